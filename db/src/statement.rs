//! SQL as text with typed values, for statements whose table is a parameter: the query builder knows a table only as a type. Each text
//! is prepared once a connection, on both engines.

use std::marker::PhantomData;

use diesel::{
    QueryResult, RunQueryDsl,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{BigInt, HasSqlType, Integer, Nullable, SmallInt, Text},
};
use uuid::Uuid;

use crate::{At, Id, sql};

/// SQL that returns rows of the SQL type `T`. Its values stand as `?`; it has no other question mark.
pub(crate) struct Statement<'a, T> {
    sql: &'a str,
    values: &'a [Value<'a>],
    rows: PhantomData<T>,
}

/// A value in the SQL type that its columns have.
pub(crate) enum Value<'a> {
    Id(Id),
    Time(Option<At>),
    Small(i16),
    Number(i32),
    Big(i64),
    Text(&'a str),
}

impl<'a, T> Statement<'a, T> {
    pub(crate) fn new(sql: &'a str, values: &'a [Value<'a>]) -> Self {
        Self { sql, values, rows: PhantomData }
    }
}

impl<T, DB> QueryFragment<DB> for Statement<'_, T>
where
    DB: Backend + HasSqlType<sql::Id> + HasSqlType<sql::At>,
    Id: ToSql<sql::Id, DB>,
    At: ToSql<sql::At, DB>,
    i16: ToSql<SmallInt, DB>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
    str: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for (at, piece) in self.sql.split('?').enumerate() {
            if at > 0 {
                match values.next() {
                    Some(Value::Id(id)) => out.push_bind_param::<sql::Id, _>(id)?,
                    Some(Value::Time(time)) => out.push_bind_param::<Nullable<sql::At>, _>(time)?,
                    Some(Value::Small(number)) => out.push_bind_param::<SmallInt, _>(number)?,
                    Some(Value::Number(number)) => out.push_bind_param::<Integer, _>(number)?,
                    Some(Value::Big(number)) => out.push_bind_param::<BigInt, _>(number)?,
                    Some(Value::Text(text)) => out.push_bind_param::<Text, str>(text)?,
                    None => return Err(diesel::result::Error::QueryBuilderError("a value is missing".into())),
                }
            }
            out.push_sql(piece);
        }
        Ok(())
    }
}

// Known by its text: statements of one type differ.
impl<T> QueryId for Statement<'_, T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Query for Statement<'_, T> {
    type SqlType = T;
}

impl<T, C> RunQueryDsl<C> for Statement<'_, T> {}

impl From<Uuid> for Value<'_> {
    fn from(id: Uuid) -> Self {
        Self::Id(Id(id))
    }
}

impl From<At> for Value<'_> {
    fn from(at: At) -> Self {
        Self::Time(Some(at))
    }
}

impl From<i16> for Value<'_> {
    fn from(number: i16) -> Self {
        Self::Small(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Big(number)
    }
}
