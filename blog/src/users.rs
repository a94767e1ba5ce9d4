//! How SSO's users are kept as Blog's own: by version, in whichever order and however often they are told.

use db::{At, Db, Id};
use mesh::Clock;

use crate::{
    error::Error,
    store::{self, User},
    text::Username,
};

/// A user as SSO told of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The user in SSO.
    pub(crate) id: Id,
    /// SSO's version of the user, from 1.
    pub(crate) version: i64,
    /// The public name; others may hold the same one while names are changed.
    pub(crate) username: Username,
    /// What kind of account it is.
    pub(crate) account: Account,
}

/// What kind of account a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// A person.
    Customer,
    /// An Official Account.
    Official(Tier),
}

/// How far an official account is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// It signed itself up.
    Unverified,
    /// An operator has checked it.
    Verified,
    /// Verified, with the reach of a paying customer.
    Premium,
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
            Self::Official(Tier::Unverified) => 1,
            Self::Official(Tier::Verified) => 2,
            Self::Official(Tier::Premium) => 3,
        }
    }
}

/// The flows of `blog.v1.UserService`.
#[derive(Clone)]
pub(crate) struct Users {
    db: Db,
    clock: Clock,
}

impl Users {
    pub(crate) fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Keeps what was told if it is newer, and answers with what is known then.
    ///
    /// # Errors
    /// [`Error::UserDeleted`] if a deletion at this version or a later one is known.
    pub(crate) async fn tell(&self, told: Told) -> Result<User, Error> {
        let now = At(self.clock.micros());
        self.db
            .write("tell_user", move |c| {
                store::upsert(c, &told, now)?;
                // A row once written never goes, so there is one now: ours or the one ours did not beat.
                let known = store::find(c, told.id)?.ok_or(Error::UserNotFound)?;
                if known.deleted_at.is_some() { Err(Error::UserDeleted(known.version)) } else { Ok(known) }
            })
            .await
    }

    /// Forgets the user, known or not, unless a newer version of it is known.
    pub(crate) async fn delete(&self, id: Id, version: i64) -> Result<(), Error> {
        let now = At(self.clock.micros());
        self.db.write("delete_user", move |c| Ok(store::bury(c, id, version, now)?)).await
    }

    /// The user of this id.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if it was never known, or is deleted.
    pub(crate) async fn get(&self, id: Id) -> Result<User, Error> {
        self.db.read("get_user", move |c| store::find_live(c, id)?.ok_or(Error::UserNotFound)).await
    }
}
