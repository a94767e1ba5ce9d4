//! Who does what is owed as it falls due: one loop for every kind of leased work.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::Lease;
use crate::Error;

/// Rows of one target that [`attend`] has under way.
const MOST: usize = 16;

/// A kind of leased work, for all its targets: what differs from the others, time and chance included.
pub trait Duty: Send + Sync + 'static {
    /// What the log calls it, as its [`Tally`](super::Tally) does.
    const NAME: &'static str;

    /// The least time that each row of a backlog takes.
    const PACE: Duration = Duration::ZERO;

    /// Claims up to `most` rows of a target.
    fn claim(&self, target: i16, most: i64) -> impl Future<Output = Result<Vec<Lease>, Error>> + Send;

    /// Tries once, and writes down what came of it.
    fn attempt(self: Arc<Self>, lease: Lease) -> impl Future<Output = ()> + Send;

    /// Waits before the next look when no more is due: a pause drawn by chance, for replicas are not to look all at once. What is known to fall due may cut it short.
    fn rest(&self, target: i16) -> impl Future<Output = ()> + Send;
}

/// Does what is owed to `target` as it falls due, until `end`; then waits for what is under way. What cannot be claimed is looked for again after a rest.
pub async fn attend<D: Duty>(duty: Arc<D>, target: i16, end: impl Future<Output = ()> + Send) {
    let (mut underway, mut end) = (JoinSet::new(), pin!(end));
    let (mut begun, mut claimed, mut more_may_be_due) = (Instant::now(), 0, true);
    loop {
        let pause = async {
            if !more_may_be_due {
                return duty.rest(target).await;
            }
            // Half of them at a time: a claim is a commit.
            while underway.len() > MOST / 2 && underway.join_next().await.is_some() {}
            sleep_until(begun + D::PACE * claimed).await;
        };
        tokio::select! {
            biased;
            () = &mut end => break,
            () = pause => {}
        }
        while underway.try_join_next().is_some() {}
        begun = Instant::now();
        let most = i64::try_from(MOST - underway.len()).unwrap_or(0);
        let leases = duty.claim(target, most).await.unwrap_or_else(|error| {
            tracing::warn!(work = D::NAME, target, %error, "what is owed cannot be read");
            Vec::new()
        });
        claimed = u32::try_from(leases.len()).unwrap_or(0);
        more_may_be_due = claimed > 0 && i64::from(claimed) == most;
        for lease in leases {
            underway.spawn(Arc::clone(&duty).attempt(lease));
        }
    }
    while underway.join_next().await.is_some() {}
}
