//! The tables, as diesel sees them on either engine.
#![allow(missing_docs, unreachable_pub, reason = "made by diesel's macros; the migrations describe the columns")]

diesel::table! {
    use diesel::sql_types::{Binary, Bool, Nullable, SmallInt, Text};
    use db::sql::{At, Id};

    verifications (id) {
        id -> Id,
        user_id -> Id,
        purpose -> SmallInt,
        destination -> Text,
        decoy -> Bool,
        state -> SmallInt,
        sends -> SmallInt,
        guesses -> SmallInt,
        code_seal -> Binary,
        code_expires_at -> At,
        created_at -> At,
        ends_at -> At,
        approved_at -> Nullable<At>,
        acknowledged_at -> Nullable<At>,
        kept_until -> At,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Nullable, SmallInt, Text};
    use db::sql::{At, Id};

    sends (request_id) {
        request_id -> Id,
        verification_id -> Id,
        destination -> Text,
        fingerprint -> Binary,
        number -> SmallInt,
        reference -> Text,
        outcome -> Nullable<SmallInt>,
        guesses_left -> SmallInt,
        sent_at -> At,
        code_expires_at -> At,
        cool_down_ends -> At,
        resend_after -> At,
        kept_until -> At,
    }
}

diesel::table! {
    use diesel::sql_types::{Binary, Bool, SmallInt, Text};
    use db::sql::{At, Id};

    guesses (verification_id, request_id) {
        verification_id -> Id,
        request_id -> Id,
        destination -> Text,
        guess_seal -> Binary,
        counted -> Bool,
        verdict -> SmallInt,
        guesses_left -> SmallInt,
        guessed_at -> At,
        kept_until -> At,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use db::sql::{At, Id};

    notices (id) {
        id -> Id,
        request_id -> Id,
        fingerprint -> Binary,
        notice -> SmallInt,
        destination -> Text,
        sent_at -> At,
        kept_until -> At,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use db::sql::At;

    destinations (destination) {
        destination -> Text,
        kept_until -> At,
    }
}
