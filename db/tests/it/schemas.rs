//! Each service's migrations make the same of both engines, as far as both have it: tables, columns, keys and indexes.

use crate::world::{empty_postgres, migrations};
use db::{Conn, Db, Error, Migrations, Options};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};
use diesel_migrations::embed_migrations;

macro_rules! of {
    ($sqlite:literal, $postgres:literal) => {{
        const MIGRATIONS: Migrations =
            Migrations { sqlite: embed_migrations!($sqlite), postgres: embed_migrations!($postgres) };
        MIGRATIONS
    }};
}

/// A line for each thing there is, such as `users.id blob not null`, `users primary key (id)`, `users unique (kind, username)`.
const SQLITE: &str = include_str!("schemas/sqlite.sql");
const POSTGRES: &str = include_str!("schemas/postgres.sql");

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn schema(url: String, migrations: Migrations) -> Vec<String> {
    let db = Db::open(Options::new(url), migrations).await.unwrap();
    let lines: Vec<Line> = db
        .read("schema", |c| {
            Ok::<_, Error>(match c {
                Conn::Sqlite(c) => diesel::sql_query(SQLITE).load(c)?,
                Conn::Postgres(c) => diesel::sql_query(POSTGRES).load(c)?,
            })
        })
        .await
        .unwrap();
    let mut lines: Vec<_> = lines.into_iter().map(|line| line.line).collect();
    lines.sort();
    lines
}

async fn compare(what: &str, migrations: impl Fn() -> Migrations) {
    let sqlite = schema("sqlite::memory:".to_owned(), migrations()).await;
    assert!(sqlite.iter().any(|line| line.contains("primary key")), "{what}: {sqlite:?}");
    let Some(url) = empty_postgres().await else { return };
    let postgres = schema(url, migrations()).await;
    let only = |of: &[String], other: &[String]| of.iter().filter(|line| !other.contains(line)).cloned().collect();
    let (of_sqlite, of_postgres): (Vec<_>, Vec<_>) = (only(&sqlite, &postgres), only(&postgres, &sqlite));
    assert_eq!((of_sqlite, of_postgres), (Vec::new(), Vec::new()), "{what}: what only one of them has");
    assert_eq!(sqlite.len(), postgres.len(), "{what}: what one of them has twice");
}

#[tokio::test]
async fn of_every_service_are_the_same_on_both_engines() {
    compare("sso", || of!("../sso/migrations/sqlite", "../sso/migrations/postgres")).await;
    compare("sms", || of!("../sms/migrations/sqlite", "../sms/migrations/postgres")).await;
    compare("social", || of!("../social/migrations/sqlite", "../social/migrations/postgres")).await;
    compare("blog", || of!("../blog/migrations/sqlite", "../blog/migrations/postgres")).await;
    compare("the tests", migrations).await;
}
