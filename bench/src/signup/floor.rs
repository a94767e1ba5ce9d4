//! The commits of a sign-up alone.

mod sql;

use std::{error::Error, path::Path, time::Duration};

use ::mesh::{Clock, Random, uuid_v7};
use db::{At, Conn, Db, Migrations, Options};
use tokio::time::Instant;
use uuid::Uuid;

use super::Outcome;
use sql::{Value, execute};

/// The commits of a sign-up, and nothing else of it: the rows that a sign-up writes, into the tables of the services, without a read.
pub(super) struct Floor {
    sso: Db,
    sms: Db,
    social: Db,
    blog: Db,
    random: Random,
}

macro_rules! migrations {
    ($service:literal) => {
        Migrations {
            sqlite: diesel_migrations::embed_migrations!($service),
            postgres: diesel_migrations::embed_migrations!($service),
        }
    };
}
const SSO: Migrations = migrations!("../sso/migrations/sqlite");
const SMS: Migrations = migrations!("../sms/migrations/sqlite");
const SOCIAL: Migrations = migrations!("../social/migrations/sqlite");
const BLOG: Migrations = migrations!("../blog/migrations/sqlite");

/// Who signs up.
#[derive(Clone, Copy)]
struct Person {
    id: Uuid,
    /// Names all other rows of the person; where a table has two, the second is the person's id.
    row: Uuid,
    at: i64,
}

impl Floor {
    pub(super) async fn open(folder: &Path) -> Outcome<Self> {
        let open = async |name, migrations| {
            let url = format!("sqlite:{}", folder.join(format!("floor/{name}.db")).display());
            Db::open(Options::new(url), migrations).await
        };
        Ok(Self {
            sso: open("sso", SSO).await?,
            sms: open("sms", SMS).await?,
            social: open("social", SOCIAL).await?,
            blog: open("blog", BLOG).await?,
            random: Random::system(),
        })
    }

    /// As many commits as a sign-up has, in the same order, and at once where it has them at once. How long those take that it waits for, and all.
    pub(super) async fn sign_up(&self) -> Outcome<(Duration, Duration)> {
        let clock = Clock::system();
        let id = || uuid_v7(&clock, &self.random);
        let person = Person { id: id(), row: id(), at: At::from(clock.now()).0 };
        let began = Instant::now();
        commit(&self.sso, person, created).await?;
        let then = async |first: (&Db, Rows), second: (&Db, Rows)| {
            commit(first.0, person, first.1).await?;
            let waited = began.elapsed();
            commit(second.0, person, second.1).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(waited)
        };
        let (a, b, c) = tokio::try_join!(
            then((&self.social, told), (&self.sso, social)),
            then((&self.blog, told), (&self.sso, blog)),
            then((&self.sms, sent), (&self.sms, taken)),
        )?;
        Ok((a.max(b).max(c), began.elapsed()))
    }
}

type Rows = fn(&mut Conn, Person) -> diesel::QueryResult<()>;

async fn commit(db: &Db, person: Person, rows: Rows) -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(db.write("rows", move |c| Ok::<_, db::Error>(rows(c, person)?)).await?)
}

/// As long as a hash of bcrypt.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuLv1AVsxBkI1UFbcBBLxYrVqyMcX5aFa";
/// As long as a digest.
const DIGEST: &[u8] = &[7; 32];

/// The user, and what SSO writes with it.
fn created(c: &mut Conn, Person { id, row, at }: Person) -> diesel::QueryResult<()> {
    let name = id.simple().to_string();
    let address = format!("{}@example.com", &name[20..]);
    let (name, address) = (Value::Text(&name[20..]), Value::Text(&address));
    let (id, row, at, zero) = (Value::Id(id), Value::Id(row), Value::Number(at), Value::Number(0));
    execute(
        c,
        "INSERT INTO requests (id, digest, user_id, verification_id, created_at) VALUES (?, ?, ?, ?, ?)",
        &[row, Value::Bytes(DIGEST), id, row, at],
    )?;
    execute(
        c,
        "INSERT INTO users (id, username, username_folded, account_type, official_tier, password_hash, is_verified, version, created_at, updated_at)
         VALUES (?, ?, ?, 1, 0, ?, 0, 1, ?, ?)",
        &[id, name, name, Value::Text(HASH), at, at],
    )?;
    execute(
        c,
        "INSERT INTO identifiers (id, user_id, kind, value, is_verified, created_at) VALUES (?, ?, 1, ?, 0, ?)",
        &[row, id, address, at],
    )?;
    execute(
        c,
        "INSERT INTO verifications (id, user_id, identifier_id, created_at) VALUES (?, ?, ?, ?)",
        &[row, id, row, at],
    )?;
    for (owed, target) in [(row, 1), (id, 2)] {
        execute(
            c,
            "INSERT INTO provisioning (id, user_id, target, due_at, token, attempts, last_error, created_at)
             VALUES (?, ?, ?, ?, ?, 1, '', ?)",
            &[owed, id, Value::Number(target), at, row, at],
        )?;
    }
    execute(
        c,
        "INSERT INTO audit_events (id, kind, reason, user_id, operator, network, count, created_at)
         VALUES (?, 1, ?, ?, '', '', 1, ?)",
        &[row, zero, id, at],
    )
}

/// What a target writes.
fn told(c: &mut Conn, Person { id, at, .. }: Person) -> diesel::QueryResult<()> {
    let name = id.simple().to_string();
    let name = Value::Text(&name[20..]);
    execute(
        c,
        "INSERT INTO users (id, version, username, username_key, account_type, official_tier, about, created_at)
         VALUES (?, 1, ?, ?, 1, 0, '', ?)",
        &[Value::Id(id), name, name, Value::Number(at)],
    )
}

fn social(c: &mut Conn, person: Person) -> diesel::QueryResult<()> {
    settled(c, person, 1)
}

fn blog(c: &mut Conn, person: Person) -> diesel::QueryResult<()> {
    settled(c, person, 2)
}

/// A target knows.
fn settled(c: &mut Conn, Person { id, .. }: Person, target: i64) -> diesel::QueryResult<()> {
    execute(c, "DELETE FROM provisioning WHERE user_id = ? AND target = ?", &[Value::Id(id), Value::Number(target)])
}

/// What SMS writes before it calls the carrier.
fn sent(c: &mut Conn, Person { id, row, at }: Person) -> diesel::QueryResult<()> {
    let address = format!("{}@example.com", &id.simple().to_string()[20..]);
    let address = Value::Text(&address);
    let (id, row, at, digest) = (Value::Id(id), Value::Id(row), Value::Number(at), Value::Bytes(DIGEST));
    execute(c, "INSERT INTO destinations (destination, kept_until) VALUES (?, ?)", &[address, at])?;
    execute(
        c,
        "INSERT INTO verifications (id, user_id, purpose, destination, decoy, state, sends, guesses, code_seal, code_expires_at, created_at, ends_at, kept_until)
         VALUES (?, ?, 1, ?, 0, 1, 1, 0, ?, ?, ?, ?, ?)",
        &[row, id, address, digest, at, at, at, at],
    )?;
    execute(
        c,
        "INSERT INTO sends (request_id, verification_id, destination, fingerprint, number, reference, guesses_left, sent_at, code_expires_at, cool_down_ends, resend_after, kept_until)
         VALUES (?, ?, ?, ?, 1, 'ab', 5, ?, ?, ?, ?, ?)",
        &[row, row, address, digest, at, at, at, at, at],
    )?;
    execute(
        c,
        "INSERT INTO deliveries (id, send_id, target, due_at, token, attempts, last_error, created_at)
         VALUES (?, ?, 2, ?, ?, 1, '', ?)",
        &[row, row, at, row, at],
    )
}

/// The carrier has the message.
fn taken(c: &mut Conn, Person { row, .. }: Person) -> diesel::QueryResult<()> {
    execute(c, "DELETE FROM deliveries WHERE send_id = ? AND target = 2", &[Value::Id(row)])?;
    execute(c, "UPDATE sends SET outcome = 1 WHERE request_id = ?", &[Value::Id(row)])
}
