//! The SQL types both engines share under one name. `table!` names them; nothing else needs to.
//!
//! ```ignore
//! diesel::table! {
//!     use diesel::sql_types::*;
//!     use db::sql::{At, Id};
//!     users (id) { id -> Id, username -> Text, created_at -> At, deleted_at -> Nullable<At> }
//! }
//! ```

use diesel::query_builder::QueryId;
use diesel::sql_types::{SqlOrd, SqlType};

/// `uuid` on PostgreSQL (by its fixed oid, so nothing is looked up); a 16-byte `BLOB` on SQLite. In Rust: [`crate::Id`].
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Binary"))]
pub struct Id;

/// `timestamptz` on PostgreSQL; `INTEGER` microseconds since 1970 on SQLite. In Rust: [`crate::At`].
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub struct At;

impl SqlOrd for At {}
