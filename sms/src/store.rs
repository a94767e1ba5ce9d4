//! What SMS keeps. Every statement is written once and compiled for both engines.

pub(crate) mod notices;

use db::{At, Conn, Id, Old, Work, on};
use diesel::prelude::*;
use uuid::Uuid;

use crate::{
    carrier::Outcome,
    code::Seal,
    limits::PastSend,
    schema::{destinations, guesses, sends, verifications},
};

/// Messages that no carrier has taken yet, by the request of the send or the id of the notice.
pub(crate) const DELIVERIES: Work = Work::new("deliveries", "send_id");

/// What nobody needs any more.
pub(crate) const OLD: [Old; 5] = [
    Old::new("verifications", "id", "kept_until"),
    Old::new("sends", "request_id", "kept_until"),
    Old::new("notices", "id", "kept_until"),
    Old::new("guesses", "verification_id, request_id", "kept_until"),
    Old::new("destinations", "destination", "kept_until"),
];

/// `verifications.state` of a verification whose code was not given yet.
pub(crate) const PENDING: i16 = 1;
/// `verifications.state` of a verification whose code was given.
pub(crate) const APPROVED: i16 = 2;

/// A verification, as it stands.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = verifications, treat_none_as_default_value = false)]
pub(crate) struct Verification {
    pub(crate) id: Id,
    pub(crate) user_id: Id,
    pub(crate) purpose: i16,
    pub(crate) destination: String,
    pub(crate) decoy: bool,
    pub(crate) state: i16,
    pub(crate) sends: i16,
    pub(crate) guesses: i16,
    pub(crate) code_seal: Vec<u8>,
    pub(crate) code_expires_at: At,
    pub(crate) created_at: At,
    pub(crate) ends_at: At,
    pub(crate) kept_until: At,
}

/// A send: what was answered, and how to know the same request again.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sends, treat_none_as_default_value = false)]
pub(crate) struct Send {
    pub(crate) request_id: Id,
    pub(crate) verification_id: Id,
    pub(crate) destination: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) number: i16,
    pub(crate) reference: String,
    pub(crate) outcome: Option<i16>,
    pub(crate) guesses_left: i16,
    pub(crate) sent_at: At,
    pub(crate) code_expires_at: At,
    pub(crate) cool_down_ends: At,
    pub(crate) resend_after: At,
    pub(crate) kept_until: At,
}

/// A guess that was answered.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = guesses, treat_none_as_default_value = false)]
pub(crate) struct Guess {
    pub(crate) verification_id: Id,
    pub(crate) request_id: Id,
    pub(crate) destination: String,
    pub(crate) guess_seal: Vec<u8>,
    pub(crate) counted: bool,
    pub(crate) verdict: i16,
    pub(crate) guesses_left: i16,
    pub(crate) guessed_at: At,
    pub(crate) kept_until: At,
}

/// Makes every other transaction that counts for this destination wait for this one: without it two sends could both find
/// room for one. On SQLite there is one writer, and nobody to wait.
pub(crate) fn lock_destination(c: &mut Conn, destination: &str, kept_until: At) -> QueryResult<usize> {
    let row = (destinations::destination.eq(destination), destinations::kept_until.eq(kept_until));
    let touch = destinations::kept_until.eq(kept_until);
    on!(c => diesel::insert_into(destinations::table)
        .values(row).on_conflict(destinations::destination).do_update().set(touch).execute(c))
}

pub(crate) fn insert_verification(c: &mut Conn, row: &Verification) -> QueryResult<usize> {
    on!(c => diesel::insert_into(verifications::table).values(row).execute(c))
}

pub(crate) fn verification(c: &mut Conn, id: Uuid) -> QueryResult<Option<Verification>> {
    let query = verifications::table.find(Id(id));
    on!(c => query.select(Verification::as_select()).first(c).optional())
}

/// Gives a verification its next code. Zero rows: it is over, or had another send meanwhile.
pub(crate) fn renew_code(c: &mut Conn, seen: &Verification, seal: &Seal, expires_at: At) -> QueryResult<usize> {
    let target = verifications::table.filter(
        verifications::id.eq(seen.id).and(verifications::state.eq(PENDING)).and(verifications::sends.eq(seen.sends)),
    );
    let change = (
        verifications::sends.eq(seen.sends + 1),
        verifications::code_seal.eq(seal.as_bytes()),
        verifications::code_expires_at.eq(expires_at),
        verifications::decoy.eq(seen.decoy),
    );
    on!(c => diesel::update(target).set(change).execute(c))
}

/// Counts a guess and gives what to compare it with, if the verification may have one: the guard against every race. `None`
/// if it may not. The guesses returned include this one.
pub(crate) fn claim_guess(c: &mut Conn, id: Uuid, most: i16, now: At) -> QueryResult<Option<(i16, Vec<u8>)>> {
    let target = verifications::table.filter(
        verifications::id
            .eq(Id(id))
            .and(verifications::state.eq(PENDING))
            .and(verifications::guesses.lt(most))
            .and(verifications::code_expires_at.gt(now))
            .and(verifications::ends_at.gt(now)),
    );
    let change = verifications::guesses.eq(verifications::guesses + 1);
    let returning = (verifications::guesses, verifications::code_seal);
    on!(c => diesel::update(target).set(change).returning(returning).get_result(c).optional())
}

/// Approves a verification. One row for one guess in its life; zero for every other.
pub(crate) fn approve(c: &mut Conn, id: Uuid, now: At, kept_until: At) -> QueryResult<usize> {
    let target = verifications::table.filter(verifications::id.eq(Id(id)).and(verifications::state.eq(PENDING)));
    let change = (
        verifications::state.eq(APPROVED),
        verifications::approved_at.eq(Some(now)),
        verifications::kept_until.eq(kept_until),
    );
    on!(c => diesel::update(target).set(change).execute(c))
}

/// Notes that an approval was acted on: from now on the verification is kept no longer than any other.
pub(crate) fn acknowledge(c: &mut Conn, id: Uuid, now: At) -> QueryResult<usize> {
    let target = verifications::table.filter(
        verifications::id
            .eq(Id(id))
            .and(verifications::state.eq(APPROVED))
            .and(verifications::acknowledged_at.is_null()),
    );
    let change = (verifications::acknowledged_at.eq(Some(now)), verifications::kept_until.eq(verifications::ends_at));
    on!(c => diesel::update(target).set(change).execute(c))
}

pub(crate) fn insert_send(c: &mut Conn, row: &Send) -> QueryResult<usize> {
    on!(c => diesel::insert_into(sends::table).values(row).execute(c))
}

pub(crate) fn send(c: &mut Conn, request_id: Uuid) -> QueryResult<Option<Send>> {
    let query = sends::table.find(Id(request_id));
    on!(c => query.select(Send::as_select()).first(c).optional())
}

/// The sends to a destination after `since`, newest first.
pub(crate) fn past_sends(c: &mut Conn, destination: &str, since: At, most: u16) -> QueryResult<Vec<PastSend>> {
    let query = sends::table
        .filter(sends::destination.eq(destination).and(sends::sent_at.gt(since)))
        .order(sends::sent_at.desc())
        .limit(most.into())
        .select((sends::sent_at, sends::cool_down_ends));
    on!(c => query.load(c))
}

/// Notes what became of a send. Of a notice nobody asks.
pub(crate) fn record_outcome(c: &mut Conn, request_id: Uuid, outcome: Outcome) -> QueryResult<usize> {
    let change = sends::outcome.eq(Some(outcome as i16));
    on!(c => diesel::update(sends::table.find(Id(request_id))).set(change).execute(c))
}

/// Notes of a send that nobody will ever know what became of it, if that is so.
pub(crate) fn give_up(c: &mut Conn, request_id: Uuid) -> QueryResult<usize> {
    let target = sends::table.filter(sends::request_id.eq(Id(request_id)).and(sends::outcome.is_null()));
    let change = sends::outcome.eq(Some(Outcome::Unknown as i16));
    on!(c => diesel::update(target).set(change).execute(c))
}

/// A message that is owed.
#[derive(Debug, Clone)]
pub(crate) enum Owed {
    Code(Send, Verification),
    Notice(notices::Row),
}

impl Owed {
    /// Whether it is a notice; a decoy is none, for it is treated as a code.
    pub(crate) fn is_notice(&self) -> bool {
        matches!(self, Self::Notice(_))
    }
}

/// The message of a delivery, if it is still of use at `now`: the code is the last and works, and was not given yet; the notice is not too old.
pub(crate) fn deliverable(c: &mut Conn, id: Uuid, now: At) -> QueryResult<Option<Owed>> {
    let Some(send) = send(c, id)? else {
        return Ok(notices::find(c, id)?.filter(|row| row.kept_until > now).map(Owed::Notice));
    };
    let query = verifications::table.find(send.verification_id).filter(
        verifications::state
            .eq(PENDING)
            .and(verifications::sends.eq(send.number))
            .and(verifications::code_expires_at.gt(now)),
    );
    let found: Option<Verification> = on!(c => query.select(Verification::as_select()).first(c).optional())?;
    Ok(found.map(|verification| Owed::Code(send, verification)))
}

pub(crate) fn insert_guess(c: &mut Conn, row: &Guess) -> QueryResult<usize> {
    on!(c => diesel::insert_into(guesses::table).values(row).execute(c))
}

pub(crate) fn guess(c: &mut Conn, verification_id: Uuid, request_id: Uuid) -> QueryResult<Option<Guess>> {
    let query = guesses::table.find((Id(verification_id), Id(request_id)));
    on!(c => query.select(Guess::as_select()).first(c).optional())
}

/// How many answers are kept for a verification.
pub(crate) fn answers(c: &mut Conn, verification_id: Uuid) -> QueryResult<i64> {
    let query = guesses::table.filter(guesses::verification_id.eq(Id(verification_id))).count();
    on!(c => query.get_result(c))
}

/// When the counted guesses for a destination after `since` were, newest first.
pub(crate) fn past_guesses(c: &mut Conn, destination: &str, since: At, most: u16) -> QueryResult<Vec<At>> {
    let query = guesses::table
        .filter(guesses::destination.eq(destination).and(guesses::counted.eq(true)).and(guesses::guessed_at.gt(since)))
        .order(guesses::guessed_at.desc())
        .limit(most.into())
        .select(guesses::guessed_at);
    on!(c => query.load(c))
}
