//! The tables, as `migrations/` makes them in either engine.

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

    users (id) {
        id -> Id,
        version -> BigInt,
        username -> Text,
        username_key -> Text,
        account_type -> SmallInt,
        official_tier -> SmallInt,
        display_name -> Nullable<Text>,
        about -> Text,
        created_at -> At,
        deleted_at -> Nullable<At>,
    }
}
