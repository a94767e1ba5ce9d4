//! What is known, put into the words of the contract.

use db::At;
use proto::blog::v1 as pb;

use crate::store::User;

/// What SSO is answered.
pub(super) fn user(user: User) -> pb::User {
    pb::User {
        id: user.id.0.to_string(),
        username: user.username,
        account_type: user.account_type.into(),
        official_tier: user.official_tier.into(),
        version: user.version,
    }
}

/// What everyone sees.
pub(super) fn author(user: User) -> pb::Author {
    pb::Author {
        user_id: user.id.0.to_string(),
        account_type: user.account_type.into(),
        official_tier: user.official_tier.into(),
        display_name: user.display_name.unwrap_or_else(|| user.username.clone()),
        username: user.username,
        about: user.about,
        create_time: Some(timestamp(user.created_at)),
    }
}

fn timestamp(at: At) -> prost_types::Timestamp {
    let nanos = at.0.rem_euclid(1_000_000) * 1000;
    prost_types::Timestamp { seconds: at.0.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}
