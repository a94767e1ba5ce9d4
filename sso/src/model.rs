//! The nouns of SSO, valid by type.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use crate::identifier::Identifier;

/// An account, with all its identifiers.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) kind: AccountKind,
    pub(crate) is_verified: bool,
    pub(crate) identifiers: Vec<Claim>,
    pub(crate) version: i64,
    pub(crate) created_at: SystemTime,
    pub(crate) updated_at: SystemTime,
    /// Since when an operator keeps the user out.
    pub(crate) locked_at: Option<SystemTime>,
}

impl User {
    /// Another with each change.
    pub(crate) fn etag(&self) -> String {
        let changed = self.updated_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", self.version, changed.as_micros())
    }

    /// As the others are to know it.
    pub(crate) fn known(&self) -> Known {
        let (account_type, tier) = self.kind.stored();
        Known { id: self.id, username: self.username.clone(), account_type, tier, version: self.version }
    }
}

/// An identifier as a user's own.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) is_verified: bool,
}

/// A customer, or an official account of some tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountKind {
    Customer,
    Official(Tier),
}

/// How far an official account is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Unverified = 1,
    Verified = 2,
    Premium = 3,
}

impl AccountKind {
    /// The two columns: account type and tier.
    pub(crate) fn stored(self) -> (i16, i16) {
        match self {
            Self::Customer => (1, 0),
            Self::Official(tier) => (2, tier as i16),
        }
    }

    /// From the two columns.
    pub(crate) fn from_stored(account_type: i16, tier: i16) -> Self {
        match (account_type, tier) {
            (1, _) => Self::Customer,
            (_, 3) => Self::Official(Tier::Premium),
            (_, 2) => Self::Official(Tier::Verified),
            _ => Self::Official(Tier::Unverified),
        }
    }
}

/// A service that keeps a record of every user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Social = 1,
    Blog = 2,
}

impl Target {
    /// Every target.
    pub(crate) const ALL: [Self; 2] = [Self::Social, Self::Blog];

    /// From its column.
    pub(crate) fn from_stored(value: i16) -> Self {
        if value == 1 { Self::Social } else { Self::Blog }
    }

    /// Its name in the mesh.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Social => "social",
            Self::Blog => "blog",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a target has been told of a user.
#[derive(Debug, Clone)]
pub(crate) struct Provisioning {
    pub(crate) target: Target,
    pub(crate) state: ProvisioningState,
}

impl Provisioning {
    /// Every target knows.
    pub(crate) fn everywhere() -> Vec<Self> {
        Target::ALL.map(|target| Self { target, state: ProvisioningState::Done }).into()
    }
}

/// What the targets are to be told of a user.
#[derive(Debug, Clone)]
pub(crate) enum Truth {
    /// This is the user.
    Alive(Box<User>),
    /// The user was deleted, as of this version.
    Deleted { version: i64 },
}

/// A user as somebody knows it, in the terms that all services share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) account_type: i16,
    pub(crate) tier: i16,
    pub(crate) version: i64,
}

/// How a target differs from SSO about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The target does not know this version yet.
    Behind,
    /// The target knows this version, which SSO does not.
    Ahead(i64),
    /// The target knows this version of somebody whom SSO has deleted.
    Deleted(i64),
    /// The target knows this version of somebody SSO does not know.
    Unknown(i64),
}

/// A debt as operators see it.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) provisioning: Provisioning,
    pub(crate) since: SystemTime,
}

/// Done, owed, or parked until somebody looks.
#[derive(Debug, Clone)]
pub(crate) enum ProvisioningState {
    Done,
    Pending { attempts: i32, due_at: SystemTime, last_error: String },
    Parked { attempts: i32, last_error: String },
}

/// The request to prove an identifier: whose, and which.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) purpose: Purpose,
}

/// What a code is for. A code for one purpose is worth nothing for another.
/// The numbers stand in the database, and are those of SMS's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    VerifyIdentifier = 1,
    ResetPassword = 2,
    SignIn = 3,
    ChangeIdentifier = 4,
}

impl Purpose {
    /// From its column.
    pub(crate) fn stored(value: i16) -> Self {
        match value {
            4 => Self::ChangeIdentifier,
            3 => Self::SignIn,
            2 => Self::ResetPassword,
            _ => Self::VerifyIdentifier,
        }
    }
}

/// What a user is told of what was done with the account. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    PasswordChanged = 1,
    PasswordReset = 2,
    IdentifierChanged = 3,
    IdentifierAdded = 4,
    IdentifierRemoved = 5,
}

impl Notice {
    /// From its column.
    pub(crate) fn from_stored(value: i16) -> Self {
        match value {
            1 => Self::PasswordChanged,
            2 => Self::PasswordReset,
            3 => Self::IdentifierChanged,
            4 => Self::IdentifierAdded,
            _ => Self::IdentifierRemoved,
        }
    }
}

/// What a request id came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) user_id: Uuid,
    pub(crate) verification_id: Option<Uuid>,
    pub(crate) session_id: Option<Uuid>,
}
