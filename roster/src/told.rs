//! What SSO tells of a user, parsed from the numbers and texts that every contract has for it.

use mesh::{Failure, Fields};
use uuid::Uuid;

use crate::text::Username;

/// A user as SSO told of it.
#[derive(Debug, Clone)]
pub struct Told {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) username: Username,
    pub(crate) account: Account,
}

/// What kind of account a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// A person.
    Customer,
    /// An Official Account.
    Official(Tier),
}

/// How far an official account is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// It signed itself up.
    Unverified = 1,
    /// An operator has checked it.
    Verified = 2,
    /// Verified, with the reach of a paying customer.
    Premium = 3,
}

impl Told {
    /// Reads the field `user` of a request: the numbers are those of the contract's AccountType and OfficialTier.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming all bad fields.
    pub fn parse(id: &str, username: &str, account_type: i32, tier: i32, version: i64) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let id = fields.id("user.id", id);
        let username = fields.take("user.username", Username::parse(username));
        let account = account(&mut fields, account_type, tier);
        let version = version_of(&mut fields, "user.version", version);
        fields.finish((|| Some(Self { id: id?, version: version?, username: username?, account: account? }))())
    }

    /// A request without its user.
    pub fn missing() -> Failure {
        Failure::invalid_field("user", "is required")
    }

    /// Reads which user is deleted, and at which version.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming all bad fields.
    pub fn deletion(user_id: &str, version: i64) -> Result<(Uuid, i64), Failure> {
        let mut fields = Fields::default();
        let id = fields.id("user_id", user_id);
        let version = version_of(&mut fields, "version", version);
        fields.finish((|| Some((id?, version?)))())
    }
}

/// Type and tier fit together: an official account has a tier, a customer has none.
fn account(fields: &mut Fields, account_type: i32, tier: i32) -> Option<Account> {
    let mut refuse = |field, what| fields.refuse(field, what);
    match (account_type, tier) {
        (1, 0) => Some(Account::Customer),
        (2, 1) => Some(Account::Official(Tier::Unverified)),
        (2, 2) => Some(Account::Official(Tier::Verified)),
        (2, 3) => Some(Account::Official(Tier::Premium)),
        (1, _) => refuse("user.official_tier", "is not for customers"),
        (2, _) => {
            refuse("user.official_tier", "is required for an official account, and one of those the contract names")
        }
        _ => refuse("user.account_type", "is required, and one of those the contract names"),
    }
}

fn version_of(fields: &mut Fields, field: &str, version: i64) -> Option<i64> {
    if version < 1 { fields.refuse(field, "is required, from 1") } else { Some(version) }
}

impl Account {
    /// In a tombstone, for type and tier.
    pub(crate) const NONE: i16 = 0;

    /// As it is stored: the number of the contract's AccountType.
    pub(crate) fn account_type(self) -> i16 {
        match self {
            Self::Customer => 1,
            Self::Official(_) => 2,
        }
    }

    /// As it is stored: the number of the contract's OfficialTier.
    pub(crate) fn official_tier(self) -> i16 {
        match self {
            Self::Customer => Self::NONE,
            Self::Official(tier) => tier as i16,
        }
    }
}
