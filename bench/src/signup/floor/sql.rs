//! SQL as text, prepared once a connection.

use db::Conn;
use diesel::{
    QueryResult, RunQueryDsl,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Binary, Text},
    sqlite::Sqlite,
};
use uuid::Uuid;

/// What stands for a `?`.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Id(Uuid),
    Bytes(&'a [u8]),
    Text(&'a str),
    Number(i64),
}

struct Sql<'a>(&'static str, &'a [Value<'a>]);

/// Runs one statement on SQLite.
pub(super) fn execute(c: &mut Conn, sql: &'static str, values: &[Value<'_>]) -> QueryResult<()> {
    match c {
        Conn::Sqlite(c) => Sql(sql, values).execute(c).map(drop),
        Conn::Postgres(_) => Err(diesel::result::Error::QueryBuilderError("the floor is SQLite's".into())),
    }
}

impl QueryFragment<Sqlite> for Sql<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut values = self.1.iter();
        for piece in self.0.split_inclusive('?') {
            match piece.strip_suffix('?') {
                None => out.push_sql(piece),
                Some(piece) => {
                    out.push_sql(piece);
                    match values.next() {
                        Some(Value::Id(id)) => out.push_bind_param::<Binary, [u8; 16]>(id.as_bytes())?,
                        Some(Value::Bytes(bytes)) => out.push_bind_param::<Binary, [u8]>(bytes)?,
                        Some(Value::Text(text)) => out.push_bind_param::<Text, str>(text)?,
                        Some(Value::Number(number)) => out.push_bind_param::<BigInt, i64>(number)?,
                        None => return Err(diesel::result::Error::QueryBuilderError("a value is missing".into())),
                    }
                }
            }
        }
        Ok(())
    }
}

// Known by its text.
impl QueryId for Sql<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> RunQueryDsl<C> for Sql<'_> {}
