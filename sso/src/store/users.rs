//! Users and what they sign in with.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::{
    error::Error,
    identifier::Identifier,
    model::{AccountKind, Claim, User},
    schema::{identifiers, users},
    username::Username,
};

/// A user to insert, with the one identifier it begins with.
#[derive(Clone)]
pub(crate) struct NewUser {
    pub(crate) id: Uuid,
    pub(crate) username: Username,
    pub(crate) kind: AccountKind,
    pub(crate) password_hash: String,
    pub(crate) identifier_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) is_verified: bool,
    pub(crate) now: SystemTime,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub(super) struct UserRow {
    pub(super) id: Id,
    username: String,
    username_folded: String,
    account_type: i16,
    official_tier: i16,
    password_hash: Option<String>,
    is_verified: bool,
    version: i64,
    created_at: At,
    updated_at: At,
    locked_at: Option<At>,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = identifiers, treat_none_as_default_value = false)]
pub(super) struct IdentifierRow {
    pub(super) id: Id,
    pub(super) user_id: Id,
    pub(super) kind: i16,
    pub(super) value: String,
    pub(super) is_verified: bool,
    pub(super) created_at: At,
    /// Whether it came by a sign-up, which proves nothing. It stays so once it is verified.
    pub(super) is_claim: bool,
}

/// Inserts a user, and gives it back as [`find`] would. The unique indexes are the referees of username and, if it is verified, identifier.
pub(crate) fn insert(c: &mut Conn, new: &NewUser) -> Result<User, Error> {
    let (account_type, official_tier) = new.kind.stored();
    let row = UserRow {
        id: Id(new.id),
        username: new.username.as_str().to_owned(),
        username_folded: new.username.folded().to_owned(),
        account_type,
        official_tier,
        password_hash: Some(new.password_hash.clone()),
        is_verified: new.is_verified,
        version: 1,
        created_at: at(new.now),
        updated_at: at(new.now),
        locked_at: None,
    };
    on!(c => diesel::insert_into(users::table).values(&row).execute(c))
        .map_err(|error| refused(error, "users_username_folded_key", Error::UsernameTaken))?;
    let claim = IdentifierRow {
        id: Id(new.identifier_id),
        user_id: Id(new.id),
        kind: new.identifier.kind(),
        value: new.identifier.value().to_owned(),
        is_verified: new.is_verified,
        created_at: at(new.now),
        is_claim: !new.is_verified,
    };
    on!(c => diesel::insert_into(identifiers::table).values(&claim).execute(c))
        .map_err(|error| refused(error, "identifiers_value_key", Error::IdentifierTaken))?;
    Ok(user(row, vec![claim]))
}

/// If it was this unique index that said no, that is `taken` and not a fault.
pub(super) fn refused(error: diesel::result::Error, index: &str, taken: Error) -> Error {
    let error = db::Error::from(error);
    if error.is_unique(index) { taken } else { error.into() }
}

/// Whether somebody has the username.
pub(crate) fn username_taken(c: &mut Conn, username: &Username) -> QueryResult<bool> {
    let named = users::table.filter(users::username_folded.eq(username.folded()));
    on!(c => diesel::select(diesel::dsl::exists(named)).get_result(c))
}

/// One user with all its identifiers, oldest first.
pub(crate) fn find(c: &mut Conn, id: Uuid) -> QueryResult<Option<User>> {
    let row: Option<UserRow> = on!(c => users::table.find(Id(id)).select(UserRow::as_select()).first(c).optional())?;
    let Some(row) = row else { return Ok(None) };
    let claims: Vec<IdentifierRow> = on!(c => identifiers::table
        .filter(identifiers::user_id.eq(Id(id)))
        .order(identifiers::id)
        .select(IdentifierRow::as_select())
        .load(c))?;
    Ok(Some(user(row, claims)))
}

/// Who may be signing in.
pub(crate) struct Candidate {
    pub(crate) user_id: Uuid,
    /// None of a locked user, with whom nothing is compared.
    pub(crate) password_hash: Option<String>,
    pub(crate) is_locked: bool,
}

/// Who may sign in with an identifier, in this order: the user who has it verified, and whoever claims it, the newest. Claims of sign-ups are compared as if none of
/// them had been proven since: what a stranger's own claim is answered changes with another sign-up, and never with who has an account.
pub(crate) fn by_identifier(c: &mut Conn, identifier: &Identifier) -> QueryResult<[Option<Candidate>; 2]> {
    type Row = (Id, bool, bool, (Id, Option<String>, Option<At>));
    let rows: Vec<Row> = on!(c => identifiers::table
        .inner_join(users::table.on(users::id.eq(identifiers::user_id)))
        .filter(identifiers::value.eq(identifier.value()))
        .order((identifiers::is_verified.desc(), identifiers::id.desc()))
        .limit(2)
        .select((
            identifiers::id,
            identifiers::is_verified,
            identifiers::is_claim,
            (users::id, users::password_hash, users::locked_at),
        ))
        .load(c))?;
    let mut rows = rows.into_iter().peekable();
    let owner = rows.next_if(|(_, is_verified, ..)| *is_verified);
    let newest = |id: &Id| owner.as_ref().is_none_or(|(other, _, is_claim, _)| !is_claim || other.0 < id.0);
    let claimant = rows.next().filter(|(id, ..)| newest(id));
    let candidate = |(_, _, _, (id, password_hash, locked_at)): Row| Candidate {
        user_id: id.0,
        password_hash: password_hash.filter(|_| locked_at.is_none()),
        is_locked: locked_at.is_some(),
    };
    Ok([owner.map(candidate), claimant.map(candidate)])
}

/// The user who has the identifier verified.
pub(crate) fn owner(c: &mut Conn, identifier: &Identifier) -> QueryResult<Option<Uuid>> {
    let found: Option<Id> = on!(c => identifiers::table
        .filter(identifiers::value.eq(identifier.value()))
        .filter(identifiers::is_verified.eq(true))
        .select(identifiers::user_id)
        .first(c)
        .optional())?;
    Ok(found.map(|id| id.0))
}

/// The user who has the identifier verified, unless an operator keeps them out: a locked user is answered like nobody. Nobody deletes the user before this transaction
/// is over, so that it may leave rows of theirs; for one who is being deleted it waits, and finds nobody.
pub(crate) fn unlocked_owner(c: &mut Conn, identifier: &Identifier) -> QueryResult<Option<Uuid>> {
    let owner = identifiers::table
        .inner_join(users::table.on(users::id.eq(identifiers::user_id)))
        .filter(identifiers::value.eq(identifier.value()))
        .filter(identifiers::is_verified.eq(true))
        .filter(users::locked_at.is_null())
        .select(users::id);
    let found: Option<Id> = match c {
        Conn::Sqlite(c) => owner.first(c).optional(),
        // As a foreign key locks it.
        Conn::Postgres(c) => owner.for_key_share().first(c).optional(),
    }?;
    Ok(found.map(|id| id.0))
}

/// Marks the user and its identifier as verified. The unique index refuses a second owner: [`Error::IdentifierTaken`].
pub(crate) fn verify(c: &mut Conn, user_id: Uuid, identifier: &Identifier, now: SystemTime) -> Result<(), Error> {
    on!(c => diesel::update(identifiers::table)
        .filter(identifiers::user_id.eq(Id(user_id)))
        .filter(identifiers::value.eq(identifier.value()))
        .set(identifiers::is_verified.eq(true))
        .execute(c))
    .map_err(|error| refused(error, "identifiers_value_key", Error::IdentifierTaken))?;
    let verified = on!(c => diesel::update(users::table.find(Id(user_id)))
        .set((users::is_verified.eq(true), users::updated_at.eq(at(now))))
        .execute(c))?;
    // Deleted since its verification was read.
    if verified == 0 { Err(Error::VerificationNotFound) } else { Ok(()) }
}

/// Makes the user an account of `kind`, with the next version. 0 if it is one already, or there is no such user.
pub(crate) fn change_kind(c: &mut Conn, user_id: Uuid, kind: AccountKind, now: SystemTime) -> QueryResult<usize> {
    let (account_type, official_tier) = kind.stored();
    on!(c => diesel::update(users::table.find(Id(user_id)))
        .filter(users::account_type.ne(account_type).or(users::official_tier.ne(official_tier)))
        .set((
            users::account_type.eq(account_type),
            users::official_tier.eq(official_tier),
            users::version.eq(users::version + 1),
            users::updated_at.eq(at(now)),
        ))
        .execute(c))
}

/// How many others claim an identifier that `owner` has proven.
pub(crate) fn rivals(c: &mut Conn, owner: Uuid, identifier: &Identifier) -> QueryResult<i64> {
    on!(c => identifiers::table
        .filter(identifiers::user_id.ne(Id(owner)))
        .filter(identifiers::value.eq(identifier.value()))
        .count()
        .get_result(c))
}

/// The stored hash of a user, whom nobody else changes before this transaction is over; `None` if there is no such user.
pub(crate) fn lock(c: &mut Conn, id: Uuid) -> QueryResult<Option<Option<String>>> {
    match c {
        Conn::Sqlite(c) => users::table.find(Id(id)).select(users::password_hash).first(c).optional(),
        Conn::Postgres(c) => users::table.find(Id(id)).select(users::password_hash).for_update().first(c).optional(),
    }
}

/// Locks a user's account, or opens it again. 0 if it is so already, or there is no such user.
pub(crate) fn set_locked(c: &mut Conn, id: Uuid, locked: bool, now: SystemTime) -> QueryResult<usize> {
    let to = locked.then(|| at(now));
    on!(c => diesel::update(users::table.find(Id(id)))
        .filter(users::locked_at.is_null().eq(locked))
        .set((users::locked_at.eq(to), users::updated_at.eq(at(now))))
        .execute(c))
}

/// Whether a user's account is locked.
pub(crate) fn is_locked(c: &mut Conn, id: Uuid) -> QueryResult<bool> {
    let locked = users::table.find(Id(id)).filter(users::locked_at.is_not_null());
    on!(c => diesel::select(diesel::dsl::exists(locked)).get_result(c))
}

/// Gives a user another name, and the next version. The unique index refuses a name that is taken: [`Error::UsernameTaken`]. 0 if it is so already.
pub(crate) fn rename(c: &mut Conn, id: Uuid, username: &Username, now: SystemTime) -> Result<usize, Error> {
    on!(c => diesel::update(users::table.find(Id(id)))
        .filter(users::username.ne(username.as_str()))
        .set((
            users::username.eq(username.as_str()),
            users::username_folded.eq(username.folded()),
            users::version.eq(users::version + 1),
            users::updated_at.eq(at(now)),
        ))
        .execute(c))
    .map_err(|error| refused(error, "users_username_folded_key", Error::UsernameTaken))
}

pub(super) fn user(row: UserRow, claims: Vec<IdentifierRow>) -> User {
    User {
        id: row.id.0,
        username: row.username,
        kind: AccountKind::from_stored(row.account_type, row.official_tier),
        is_verified: row.is_verified,
        identifiers: claims.into_iter().map(claim).collect(),
        version: row.version,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
        locked_at: row.locked_at.map(time),
    }
}

fn claim(row: IdentifierRow) -> Claim {
    Claim { id: row.id.0, identifier: Identifier::stored(row.kind, row.value), is_verified: row.is_verified }
}
