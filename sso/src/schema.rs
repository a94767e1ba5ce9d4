//! The tables of SSO, as diesel sees them on both engines.

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    users (id) {
        id -> Id,
        username -> Text,
        username_folded -> Text,
        account_type -> SmallInt,
        official_tier -> SmallInt,
        password_hash -> Nullable<Text>,
        is_verified -> Bool,
        version -> BigInt,
        created_at -> At,
        updated_at -> At,
        locked_at -> Nullable<At>,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    identifiers (id) {
        id -> Id,
        user_id -> Id,
        kind -> SmallInt,
        value -> Text,
        is_verified -> Bool,
        created_at -> At,
        is_claim -> Bool,
    }
}

diesel::table! {
    use db::sql::{At, Id};

    verifications (id) {
        id -> Id,
        user_id -> Id,
        identifier_id -> Id,
        created_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    provisioning (id) {
        id -> Id,
        user_id -> Id,
        target -> SmallInt,
        due_at -> Nullable<At>,
        token -> Id,
        attempts -> Integer,
        last_error -> Text,
        created_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    tombstones (user_id) {
        user_id -> Id,
        version -> BigInt,
        created_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    requests (id) {
        id -> Id,
        digest -> Binary,
        user_id -> Id,
        verification_id -> Nullable<Id>,
        session_id -> Nullable<Id>,
        created_at -> At,
    }
}

diesel::table! {
    use db::sql::At;
    use diesel::sql_types::*;

    signing_keys (id) {
        id -> Text,
        sealed_secret -> Text,
        created_at -> At,
        active_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    sessions (id) {
        id -> Id,
        user_id -> Id,
        generation -> BigInt,
        device_label -> Text,
        network -> Text,
        created_at -> At,
        refreshed_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};

    revocations (session_id) {
        session_id -> Id,
        revoked_at -> At,
        kept_until -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    #[sql_name = "resets"]
    challenges (id) {
        id -> Id,
        user_id -> Nullable<Id>,
        kind -> SmallInt,
        value -> Text,
        created_at -> At,
        purpose -> SmallInt,
        former_user_id -> Nullable<Id>,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    notices (id) {
        id -> Id,
        message_id -> Id,
        target -> SmallInt,
        due_at -> Nullable<At>,
        token -> Id,
        attempts -> Integer,
        last_error -> Text,
        created_at -> At,
        user_id -> Nullable<Id>,
        notice -> Nullable<SmallInt>,
        identifier_kind -> Nullable<SmallInt>,
        identifier -> Nullable<Text>,
    }
}

diesel::table! {
    use db::sql::At;
    use diesel::sql_types::*;

    tallies (subject) {
        subject -> Binary,
        tries -> Integer,
        since -> At,
        free_at -> At,
        kept_until -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    audit_events (id) {
        id -> Id,
        kind -> SmallInt,
        reason -> SmallInt,
        user_id -> Nullable<Id>,
        session_id -> Nullable<Id>,
        operator -> Text,
        network -> Text,
        count -> BigInt,
        created_at -> At,
    }
}

diesel::table! {
    use db::sql::{At, Id};
    use diesel::sql_types::*;

    jobs (name) {
        name -> Text,
        since -> At,
        ran_at -> At,
        place -> Id,
        total -> BigInt,
        latest -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    users,
    identifiers,
    verifications,
    provisioning,
    tombstones,
    requests,
    sessions
);
