//! The statements, once through diesel and once as the text that the floors run.

use db::{At, Conn, Id, Migrations, on};
use diesel::prelude::*;
use diesel_migrations::embed_migrations;

pub(super) const MIGRATIONS: Migrations =
    Migrations { sqlite: embed_migrations!("migrations/sqlite"), postgres: embed_migrations!("migrations/postgres") };

/// What diesel makes of [`insert`] for SQLite.
pub(super) const INSERT: &str = "INSERT INTO `people` (`id`, `username`, `created_at`) VALUES (?, ?, ?)";
/// What diesel makes of [`find`].
pub(super) const FIND: &str = "SELECT `people`.`id`, `people`.`username`, `people`.`created_at` FROM `people` \
    WHERE (`people`.`id` = ?) LIMIT ?";
/// [`sign_up`] as a script of pgbench, whose every transaction is a new person.
pub(super) const SIGN_UP: &str = "\
    \\set n random(0, 9000000000000000000)\n\
    BEGIN;\n\
    INSERT INTO people (id, username, created_at) VALUES (md5(:n::text)::uuid, 'somebody', now()) ON CONFLICT DO NOTHING;\n\
    INSERT INTO owed (person_id, target, due_at) VALUES (md5(:n::text)::uuid, 1, now()), (md5(:n::text)::uuid, 2, now()) \
    ON CONFLICT DO NOTHING;\n\
    COMMIT;\n";

mod schema {
    diesel::table! {
        use diesel::sql_types::*;
        use db::sql::{At, Id};

        people (id) {
            id -> Id,
            username -> Text,
            created_at -> At,
        }
    }

    diesel::table! {
        use diesel::sql_types::*;
        use db::sql::{At, Id};

        owed (person_id, target) {
            person_id -> Id,
            target -> SmallInt,
            due_at -> At,
        }
    }
}
use schema::{owed, people};

pub(super) fn insert(c: &mut Conn, id: Id, at: At) -> QueryResult<usize> {
    let row = (people::id.eq(id), people::username.eq("somebody"), people::created_at.eq(at));
    on!(c => diesel::insert_into(people::table).values(row).execute(c))
}

pub(super) fn find(c: &mut Conn, id: Id) -> QueryResult<(Id, String, At)> {
    on!(c => people::table.find(id).first(c))
}

/// A person, and a row for each of two services that are to know them.
pub(super) fn sign_up(c: &mut Conn, id: Id, at: At) -> QueryResult<usize> {
    let person = (people::id.eq(id), people::username.eq("somebody"), people::created_at.eq(at));
    let row = |target: i16| (owed::person_id.eq(id), owed::target.eq(target), owed::due_at.eq(at));
    on!(c => diesel::insert_into(people::table).values(person).on_conflict_do_nothing().execute(c))?;
    match c {
        Conn::Sqlite(c) => {
            for target in [1, 2] {
                diesel::insert_into(owed::table).values(row(target)).on_conflict_do_nothing().execute(c)?;
            }
            Ok(2)
        }
        Conn::Postgres(c) => {
            diesel::insert_into(owed::table).values([row(1), row(2)]).on_conflict_do_nothing().execute(c)
        }
    }
}
