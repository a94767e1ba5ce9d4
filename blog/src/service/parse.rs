//! Requests, parsed: what comes out is valid by type, or all bad fields are named.

use db::Id;
use mesh::{Failure, Fields};
use proto::blog::v1::{self as pb, get_author_request::Key as PbKey};

use crate::{
    authors::{Change, Key},
    text::{About, DisplayName, Username},
    users::{Account, Tier, Told},
};

/// A user as SSO tells of it, from the field `user` of a request.
pub(super) fn told(user: Option<pb::User>) -> Result<Told, Failure> {
    let mut fields = Fields::default();
    let Some(user) = user else {
        fields.refuse("user", "is required");
        return fields.finish(None);
    };
    let id = fields.id("user.id", &user.id);
    let username = fields.take("user.username", Username::parse(&user.username));
    let account = account(&mut fields, &user);
    let version = version(&mut fields, "user.version", user.version);
    fields.finish((|| Some(Told { id: Id(id?), version: version?, username: username?, account: account? }))())
}

/// Type and tier fit together: an official account has a tier, a customer has none.
fn account(fields: &mut Fields, user: &pb::User) -> Option<Account> {
    let tier = pb::OfficialTier::try_from(user.official_tier);
    match (user.account_type(), tier) {
        (pb::AccountType::Unspecified, _) => {
            fields.refuse("user.account_type", "is required, and one of those the contract names");
            None
        }
        (pb::AccountType::Customer, Ok(pb::OfficialTier::Unspecified)) => Some(Account::Customer),
        (pb::AccountType::Customer, _) => {
            fields.refuse("user.official_tier", "is not for customers");
            None
        }
        (pb::AccountType::Official, Ok(pb::OfficialTier::Unverified)) => Some(Account::Official(Tier::Unverified)),
        (pb::AccountType::Official, Ok(pb::OfficialTier::Verified)) => Some(Account::Official(Tier::Verified)),
        (pb::AccountType::Official, Ok(pb::OfficialTier::Premium)) => Some(Account::Official(Tier::Premium)),
        (pb::AccountType::Official, _) => {
            fields.refuse(
                "user.official_tier",
                "is required for an official account, and one of those the contract names",
            );
            None
        }
    }
}

fn version(fields: &mut Fields, field: &str, version: i64) -> Option<i64> {
    if version < 1 {
        fields.refuse(field, "is required, from 1");
        return None;
    }
    Some(version)
}

/// Which user a peer asks for.
pub(super) fn id(user_id: &str) -> Result<Id, Failure> {
    let mut fields = Fields::default();
    let id = fields.id("user_id", user_id);
    fields.finish(id.map(Id))
}

/// Which user is deleted, and at which version.
pub(super) fn deletion(request: &pb::DeleteUserRequest) -> Result<(Id, i64), Failure> {
    let mut fields = Fields::default();
    let id = fields.id("user_id", &request.user_id);
    let version = version(&mut fields, "version", request.version);
    fields.finish((|| Some((Id(id?), version?)))())
}

/// Which author is wanted.
pub(super) fn key(request: pb::GetAuthorRequest) -> Result<Key, Failure> {
    let mut fields = Fields::default();
    let key = match request.key {
        Some(PbKey::UserId(id)) => fields.id("user_id", &id).map(|id| Key::Id(Id(id))),
        Some(PbKey::Username(name)) => fields.take("username", Username::parse(&name)).map(Key::Username),
        None => {
            fields.refuse("key", "is required: user_id or username");
            None
        }
    };
    fields.finish(key)
}

/// What a person changes of their own author.
pub(super) fn change(request: &pb::UpdateAuthorRequest) -> Result<Change, Failure> {
    let mut fields = Fields::default();
    let display_name = request.display_name.as_deref().map(DisplayName::parse).transpose();
    let about = request.about.as_deref().map(About::parse).transpose();
    let display_name = fields.take("display_name", display_name);
    let about = fields.take("about", about);
    fields.finish((|| Some(Change { display_name: display_name?, about: about? }))())
}
