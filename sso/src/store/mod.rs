//! The statements of SSO, each written once for both engines. Only these files and `schema.rs` know diesel.

pub(crate) mod audit;
pub(crate) mod challenges;
pub(crate) mod deletion;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod identifiers;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod listing;
pub(crate) mod notices;
pub(crate) mod owed;
pub(crate) mod passwords;
pub(crate) mod provisioning;
pub(crate) mod reconcile;
pub(crate) mod requests;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod tallies;
pub(crate) mod users;
pub(crate) mod verifications;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use db::{At, Conn, Migrations};
use diesel::QueryResult;
use diesel_migrations::embed_migrations;
use uuid::Uuid;

/// The migrations of both engines, under the same names.
pub(crate) const MIGRATIONS: Migrations =
    Migrations { sqlite: embed_migrations!("migrations/sqlite"), postgres: embed_migrations!("migrations/postgres") };

/// Ends whatever a code was sent for to a user.
pub(crate) fn end_codes(c: &mut Conn, user_id: Uuid) -> QueryResult<()> {
    verifications::end_all(c, user_id)?;
    challenges::end_all(c, user_id)?;
    Ok(())
}

/// A moment as it is stored.
pub(crate) fn at(time: SystemTime) -> At {
    let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    At(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// A stored moment.
pub(crate) fn time(at: At) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or_default())
}

/// How much earlier or later than a row says its id may have been made.
const MARGIN: Duration = Duration::from_secs(60);

/// An id below all of rows from `time` on: ids are made by time, of the same clock.
fn before_all_from(time: SystemTime) -> Uuid {
    made_at(time.checked_sub(MARGIN).unwrap_or(UNIX_EPOCH))
}

/// An id above all of rows until `time`.
fn after_all_until(time: SystemTime) -> Uuid {
    made_at(time.checked_add(MARGIN).unwrap_or(time))
}

fn made_at(time: SystemTime) -> Uuid {
    Uuid::from_u128(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() << 80)
}
