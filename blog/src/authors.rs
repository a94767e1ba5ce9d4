//! What people see of a user, and what a user may change of it.

use db::{Db, Id};

use crate::{
    error::Error,
    store::{self, User},
    text::{About, DisplayName, Username},
};

/// Which author is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// That of the user with this id.
    Id(Id),
    /// That of the user who has this name, without regard to case.
    Username(Username),
}

/// What a person changes of their own author; what is `None` stays.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) display_name: Option<DisplayName>,
    pub(crate) about: Option<About>,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.display_name.is_none() && self.about.is_none()
    }
}

/// The flows of `blog.v1.AuthorService`.
#[derive(Clone)]
pub(crate) struct Authors {
    db: Db,
}

impl Authors {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The author of this key.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if no live user has it.
    pub(crate) async fn get(&self, key: Key) -> Result<User, Error> {
        self.db
            .read("get_author", move |c| {
                let found = match &key {
                    Key::Id(id) => store::find_live(c, *id)?,
                    Key::Username(username) => store::find_by_username(c, username.key())?,
                };
                found.ok_or(Error::UserNotFound)
            })
            .await
    }

    /// Changes the author of this user, and answers with the whole of it.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if SSO did not tell of the user yet, or it is deleted.
    pub(crate) async fn update(&self, id: Id, change: Change) -> Result<User, Error> {
        // SQL knows no UPDATE of nothing.
        if change.is_empty() {
            return self.get(Key::Id(id)).await;
        }
        self.db.write("update_author", move |c| store::change(c, id, &change)?.ok_or(Error::UserNotFound)).await
    }
}
