//! What a call chooses from, and how.

use std::{net::SocketAddr, sync::Arc};

use tonic::Status;

use super::connection::Connection;

/// The connections there are.
pub(super) struct View {
    pub(super) trusted: Vec<Arc<Connection>>,
    /// READY, but ejected: better than nothing.
    pub(super) ejected: Vec<Arc<Connection>>,
    /// Why there is no use in waiting for another.
    pub(super) hopeless: Option<Status>,
}

impl View {
    /// Of two chosen at random the one with fewer calls on it: among those that are in order, not tried yet and do not rest, or else do, or else
    /// those that are in order, or else those that are ejected. One that turns calls away has few on it, and would draw them all.
    pub(super) fn pick(&self, tried: &[SocketAddr], draw: impl Fn() -> u64) -> Option<Arc<Connection>> {
        let usable = |from: &'_ [Arc<Connection>]| {
            let usable = from.iter().filter(|one| one.usable());
            let fresh = usable.clone().filter(|one| !tried.contains(&one.address));
            choose(fresh.clone().filter(|one| !one.rests()), &draw)
                .or_else(|| choose(fresh, &draw))
                .or_else(|| choose(usable, &draw))
                .map(Arc::clone)
        };
        usable(&self.trusted).or_else(|| usable(&self.ejected))
    }
}

fn choose<'a, I>(candidates: I, draw: impl Fn() -> u64) -> Option<&'a Arc<Connection>>
where
    I: Iterator<Item = &'a Arc<Connection>> + Clone,
{
    let count = candidates.clone().count();
    if count < 2 {
        return candidates.into_iter().next();
    }
    let drawn = draw();
    let first = (drawn >> 32) as usize % count;
    let second = (first + 1 + (drawn as u32) as usize % (count - 1)) % count;
    let [first, second] = [first, second].map(|at| candidates.clone().nth(at));
    match (first, second) {
        (Some(first), Some(second)) if second.in_flight() < first.in_flight() => Some(second),
        // A connection may have ended since they were counted.
        (first, second) => first.or(second),
    }
}
