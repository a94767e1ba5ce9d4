//! Changing what the other services are told of a user: the change and what is owed for it, in one commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    create,
    error::Error,
    model::{AccountKind, Outcome, Provisioning, User},
    sso::Sso,
    store::{self, requests::Request},
    username::Username,
};

/// A change by an operator, valid by type.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) request_id: Uuid,
    pub(crate) user_id: Uuid,
    /// What is left out stays.
    pub(crate) kind: Option<AccountKind>,
    pub(crate) username: Option<Username>,
    /// Of the user as it was read; without, whatever it is.
    pub(crate) etag: Option<String>,
}

/// Makes the user so, with the next version, and tells the targets. What is so already stays so.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::UsernameTaken`], [`Error::EtagMismatch`], [`Error::RequestIdReused`].
pub(crate) async fn change(sso: &Arc<Sso>, ask: Change, operator: &str) -> Result<(User, Vec<Provisioning>), Error> {
    let request = ask.request(sso);
    let Change { user_id, kind, username, etag, .. } = ask;
    let now = sso.clock.now();
    let (debts, audit) = (sso.provisioner.held(user_id, now), sso.audit.clone());
    let event = Event::new(Kind::UserUpdated).of(user_id).by(operator);
    let changed = sso.db.write("change_user", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if request.claim(c, &outcome, now)?.is_some() {
            return Ok::<_, Error>(None);
        }
        store::users::lock(c, user_id)?.ok_or(Error::UserNotFound)?;
        let user = store::users::find(c, user_id)?.ok_or(Error::UserNotFound)?;
        if etag.as_ref().is_some_and(|etag| *etag != user.etag()) {
            return Err(Error::EtagMismatch);
        }
        let mut changes = 0;
        if let Some(kind) = kind {
            changes += store::users::change_kind(c, user_id, kind, now)?;
        }
        if let Some(username) = &username {
            changes += store::users::rename(c, user_id, username, now)?;
        }
        if changes == 0 {
            return Ok(None);
        }
        debts.owe(c, now)?;
        audit.record(c, event.clone())?;
        let user = store::users::find(c, user_id)?.ok_or(Error::UserNotFound)?;
        Ok(Some((user, debts.clone())))
    });
    let changed = changed.await.inspect_err(|error| {
        let refused = Event::new(Kind::UserUpdateRefused).of(user_id).by(operator);
        match error {
            Error::UsernameTaken => sso.audit.count(refused.because(Reason::UsernameTaken)),
            Error::EtagMismatch => sso.audit.count(refused.because(Reason::Overtaken)),
            _ => {}
        }
    });
    create::settled(sso, user_id, changed?).await
}

impl Change {
    fn request(&self, sso: &Sso) -> Request {
        let (account_type, tier) = self.kind.map(AccountKind::stored).unwrap_or_default();
        let username = self.username.as_ref().map(Username::as_str).unwrap_or_default();
        let etag = self.etag.as_deref().unwrap_or_default();
        sso.request(
            self.request_id,
            &[
                b"change",
                self.user_id.as_bytes(),
                &account_type.to_be_bytes(),
                &tier.to_be_bytes(),
                username.as_bytes(),
                etag.as_bytes(),
            ],
        )
    }
}
