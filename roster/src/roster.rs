//! The users, and what may be done with them.

use std::time::SystemTime;

use db::{At, Db, Id};
use mesh::{Clock, Failure, Fields};
use uuid::Uuid;

use crate::{
    error::Error,
    store,
    text::{About, DisplayName, Username},
    told::Told,
};

/// A user as everyone sees it.
#[derive(Debug, Clone)]
pub struct User {
    /// The user in SSO.
    pub id: Uuid,
    /// SSO's version of the user.
    pub version: i64,
    /// The public name.
    pub username: String,
    /// The number of the contract's AccountType.
    pub account_type: i32,
    /// The number of the contract's OfficialTier.
    pub official_tier: i32,
    /// What the person wants to be called; the username until they say.
    pub display_name: String,
    /// What they say of themselves.
    pub about: String,
    /// When the service first knew the user.
    pub created_at: SystemTime,
}

/// Which user is wanted.
#[derive(Debug, Clone)]
pub enum Key {
    /// The one with this id.
    Id(Uuid),
    /// The one who has this name, without regard to case.
    Username(Username),
}

/// Which part of the listing by id is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    after: Uuid,
    size: usize,
}

/// What a person changes of their own; what is `None` stays.
#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) display_name: Option<DisplayName>,
    pub(crate) about: Option<About>,
}

/// A service's users. Clones are one.
#[derive(Clone)]
pub struct Roster {
    db: Db,
    clock: Clock,
}

impl Roster {
    /// The users in `db`, whose table `users` the service's migrations have made.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Keeps what was told if it is newer, and answers with what is known then.
    ///
    /// # Errors
    /// [`Error::UserDeleted`] if a deletion is known, at whatever version.
    pub async fn tell(&self, told: Told) -> Result<User, Error> {
        let now = At::from(self.clock.now());
        self.db
            .write("tell_user", move |c| {
                if let Some(known) = store::insert(c, &told, now)? {
                    return Ok(known.into());
                }
                // A row once written never goes, so there is one: ours now, or the one ours does not beat.
                store::update(c, &told)?;
                let known = store::find(c, Id(told.id))?.ok_or(Error::UserNotFound)?;
                if known.deleted_at.is_some() { Err(Error::UserDeleted(known.version)) } else { Ok(known.into()) }
            })
            .await
    }

    /// Forgets the user, known or not, for good.
    ///
    /// # Errors
    /// Of the database.
    pub async fn delete(&self, id: Uuid, version: i64) -> Result<(), Error> {
        let now = At::from(self.clock.now());
        self.db.write("delete_user", move |c| Ok(store::bury(c, Id(id), version, now)?)).await
    }

    /// The user of this key.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if no live user has it.
    pub async fn get(&self, key: Key) -> Result<User, Error> {
        self.db
            .read("get_user", move |c| {
                let found = match &key {
                    Key::Id(id) => store::find_live(c, Id(*id))?,
                    Key::Username(username) => store::find_by_username(c, username.key())?,
                };
                found.map(User::from).ok_or(Error::UserNotFound)
            })
            .await
    }

    /// Live users by id, and whether there are more.
    ///
    /// # Errors
    /// Of the database.
    pub async fn list(&self, range: Range) -> Result<(Vec<User>, bool), Error> {
        let Range { after, size } = range;
        self.db
            .read("list_users", move |c| {
                let mut rows = store::page(c, Id(after), i64::try_from(size + 1).unwrap_or(i64::MAX))?;
                let more = rows.len() > size;
                rows.truncate(size);
                Ok((rows.into_iter().map(User::from).collect(), more))
            })
            .await
    }

    /// Changes what this user says of themselves, and answers with the whole of it.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if SSO did not tell of the user yet, or it is deleted.
    pub async fn update(&self, id: Uuid, change: Change) -> Result<User, Error> {
        // SQL knows no UPDATE of nothing.
        if change.display_name.is_none() && change.about.is_none() {
            return self.get(Key::Id(id)).await;
        }
        self.db
            .write("update_user", move |c| {
                store::change(c, Id(id), &change)?.map(User::from).ok_or(Error::UserNotFound)
            })
            .await
    }
}

impl Range {
    /// Reads the id that is before the range, and the size: 1 to 500, 0 for 100.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub fn read(after: &str, size: i32) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let after = if after.is_empty() { Some(Uuid::nil()) } else { fields.id("after_user_id", after) };
        let size = fields.take("page_size", mesh::page::size(size, 100, 500));
        fields.finish((|| Some(Self { after: after?, size: size? }))())
    }
}

impl Key {
    /// Reads a user id in the field `user_id`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub fn id(text: &str) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let id = fields.id("user_id", text);
        fields.finish(id.map(Self::Id))
    }

    /// Reads a username in the field `username`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub fn username(text: &str) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let name = fields.take("username", Username::parse(text));
        fields.finish(name.map(Self::Username))
    }

    /// A request without its key.
    pub fn missing() -> Failure {
        Failure::invalid_field("key", "is required: user_id or username")
    }
}

impl Change {
    /// Reads the fields `display_name` and `about`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming all bad fields.
    pub fn parse(display_name: Option<&str>, about: Option<&str>) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let display_name = fields.take("display_name", display_name.map(DisplayName::parse).transpose());
        let about = fields.take("about", about.map(About::parse).transpose());
        fields.finish((|| Some(Self { display_name: display_name?, about: about? }))())
    }
}

impl From<store::Row> for User {
    fn from(row: store::Row) -> Self {
        Self {
            id: row.id.0,
            version: row.version,
            display_name: row.display_name.unwrap_or_else(|| row.username.clone()),
            username: row.username,
            account_type: row.account_type.into(),
            official_tier: row.official_tier.into(),
            about: row.about,
            created_at: row.created_at.into(),
        }
    }
}
