//! Telling people what was done with their account. The notice and the delivery that it owes are one commit; then it goes the way of every message
//! ([`delivery`]).

use std::{sync::Arc, time::Duration};

use db::{At, Conn, Id, Lease};
use mesh::uuid_v7;
use uuid::Uuid;

use crate::{
    code::Seal,
    core::{Core, LIFE},
    delivery,
    destination::Destination,
    error::Error,
    limits::{DAY, Limits},
    store::{
        self, DELIVERIES, Owed,
        notices::{self, Row},
    },
};

/// How long a notice is tried to be delivered, and its request can be repeated.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is said. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Notice {
    PasswordChanged = 1,
    PasswordReset = 2,
    IdentifierChanged = 3,
    IdentifierAdded = 4,
    IdentifierRemoved = 5,
}

impl Notice {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::IdentifierChanged,
        Self::IdentifierAdded,
        Self::IdentifierRemoved,
    ];

    /// From its column.
    pub(crate) fn stored(number: i16) -> Self {
        match number {
            1 => Self::PasswordChanged,
            2 => Self::PasswordReset,
            3 => Self::IdentifierChanged,
            4 => Self::IdentifierAdded,
            _ => Self::IdentifierRemoved,
        }
    }
}

/// A notice to take on.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    pub(crate) request_id: Uuid,
    pub(crate) notice: Notice,
    pub(crate) destination: Destination,
}

/// Takes a notice on, and hands it to the carrier. What the carrier says is nobody's answer: what it did not take is tried again.
pub(crate) async fn take(core: &Arc<Core>, telling: Telling) -> Result<(), Error> {
    let Telling { request_id, notice, destination } = telling;
    let number = notice as i16;
    let fingerprint = core.keys.request(&[b"notice", &number.to_be_bytes(), destination.expose().as_bytes()]);
    // Names the notice, its delivery, and the hold that this call has on it.
    let id = uuid_v7(&core.clock, &core.random);
    let limits = Arc::clone(&core.limits);
    let taken = core.write("send_message", move |c, now| {
        let row = Row {
            id: Id(id),
            request_id: Id(request_id),
            fingerprint: fingerprint.as_bytes().to_vec(),
            notice: number,
            destination: destination.expose().to_owned(),
            sent_at: now,
            kept_until: now.plus(KEPT),
        };
        store::lock_destination(c, &row.destination, now.plus(LIFE))?;
        match notices::by_request(c, request_id)? {
            Some(first) if Seal::stored(&first.fingerprint).is_some_and(|seal| seal.matches(&fingerprint)) => Ok(None),
            Some(_) => Err(Error::RequestIdReused),
            None => note(c, &limits, row, now).map(Some),
        }
    });
    if let Some((row, lease)) = taken.await? {
        let _ = delivery::at_once(core, &Owed::Notice(row), lease).await;
    }
    Ok(())
}

/// Writes down the notice, and that its message is owed.
fn note(c: &mut Conn, limits: &Limits, row: Row, now: At) -> Result<(Row, Lease), Error> {
    let past = notices::past(c, &row.destination, row.notice, now.minus(DAY), limits.notices_per_day)?;
    if let Some(wait) = limits.notice_wait(now, &past) {
        return Err(Error::NoticesSpent(wait));
    }
    notices::insert(c, &row)?;
    let lease = Lease::held(row.id.0, delivery::carrier_of(&row.destination), row.id.0);
    DELIVERIES.owe(c, row.id.0, &lease, now.plus(delivery::LEASE), now)?;
    Ok((row, lease))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_survive_the_database() {
        for notice in Notice::ALL {
            assert_eq!(Notice::stored(notice as i16), notice);
        }
    }
}
