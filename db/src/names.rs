//! One name for a unique index on both engines.
//!
//! PostgreSQL reports a violation by the name of the index; SQLite by the columns ("UNIQUE constraint failed:
//! users.kind, users.username") unless the index is over an expression ("... failed: index 'users_email_key'"). So the
//! name follows from the table and the columns, and opening a database checks that it does.

use crate::{Conn, OpenError};
use diesel::RunQueryDsl;
use diesel::sql_types::{Nullable, Text};

/// The name of the index a message of SQLite is about.
pub(crate) fn of(message: &str) -> String {
    let about = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or(message);
    if let Some(index) = about.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')) {
        return index.to_owned();
    }
    let mut table = about;
    let mut columns = Vec::new();
    for part in about.split(", ") {
        match part.split_once('.') {
            Some((of, column)) => {
                table = of;
                columns.push(column);
            }
            None => return about.to_owned(),
        }
    }
    expected(table, &columns.join("_"))
}

/// What a unique index over `columns` (joined by `_`) is called.
fn expected(table: &str, columns: &str) -> String {
    format!("{table}_{columns}_key")
}

#[derive(diesel::QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    table: String,
    /// NULL when the index is over an expression, and thus reported by its name.
    #[diesel(sql_type = Nullable<Text>)]
    columns: Option<String>,
}

/// Made by hand ('c'): SQLite names those of a UNIQUE in a table itself, but reports columns all the same.
const SQLITE: &str = "\
    SELECT i.name AS name, t.name AS \"table\", \
           (SELECT CASE WHEN count(*) = count(c.name) THEN group_concat(c.name, '_') END \
              FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno) c) AS columns \
      FROM sqlite_schema t, pragma_index_list(t.name) i \
     WHERE t.type = 'table' AND i.\"unique\" = 1 AND i.origin = 'c'";

const POSTGRES: &str = "\
    SELECT i.relname::text AS name, t.relname::text AS \"table\", \
           CASE WHEN x.indexprs IS NULL THEN (SELECT string_agg(a.attname::text, '_' ORDER BY k.place) \
              FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(number, place) \
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number \
             WHERE k.place <= x.indnkeyatts) END AS columns \
      FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
     WHERE x.indisunique AND NOT x.indisprimary AND t.relnamespace = current_schema()::regnamespace";

/// Refuses a database with a unique index whose violation could not be told by name.
pub(crate) fn check(conn: &mut Conn) -> Result<(), OpenError> {
    let indexes: Vec<Index> = match conn {
        Conn::Sqlite(c) => diesel::sql_query(SQLITE).load(c),
        Conn::Postgres(c) => diesel::sql_query(POSTGRES).load(c),
    }
    .map_err(|error| OpenError::Migrate(format!("cannot list the unique indexes: {error}")))?;
    for index in indexes {
        let Some(columns) = index.columns else { continue };
        let mut expected = expected(&index.table, &columns);
        // PostgreSQL cuts longer names.
        expected.truncate(63);
        if index.name != expected {
            return Err(OpenError::IndexName { index: index.name, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_message_of_sqlite_gives_the_name_of_the_index() {
        assert_eq!(of("UNIQUE constraint failed: users.username"), "users_username_key");
        assert_eq!(of("UNIQUE constraint failed: users.kind, users.username"), "users_kind_username_key");
        assert_eq!(of("UNIQUE constraint failed: index 'users_email_key'"), "users_email_key");
        assert_eq!(of("something else"), "something else");
    }
}
