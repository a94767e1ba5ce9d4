//! Changing what the other services are told of a user: the change and what is owed for it, in one commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    create,
    error::Error,
    model::{AccountKind, Outcome, Provisioning, User},
    sso::Sso,
    store::{self, provisioning::Debts},
};

/// A change by an operator, valid by type.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) request_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) kind: AccountKind,
}

/// Makes the user an account of that kind, with the next version, and tells the targets. What is so already stays so.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::RequestIdReused`].
pub(crate) async fn change(sso: &Arc<Sso>, ask: Change, operator: &str) -> Result<(User, Vec<Provisioning>), Error> {
    let Change { request_id, user_id, kind } = ask;
    let (account_type, tier) = kind.stored();
    let parts: [&[u8]; 4] = [b"change", user_id.as_bytes(), &account_type.to_be_bytes(), &tier.to_be_bytes()];
    let digest = crate::digest::keyed(&sso.digest_key, &parts);
    let now = sso.clock.now();
    let (debts, audit) = (sso.provisioner.held(user_id, now), sso.audit.clone());
    let event = Event::new(Kind::UserUpdated).of(user_id).by(operator);
    let owed = sso.db.write("change_user", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if store::requests::claim(c, request_id, &digest, &outcome, now)?.is_some() {
            return Ok::<_, Error>(Debts::default());
        }
        if store::users::change_kind(c, user_id, kind, now)? == 0 {
            return store::users::find(c, user_id)?.map(|_| Debts::default()).ok_or(Error::UserNotFound);
        }
        debts.owe(c, now)?;
        audit.record(c, event.clone())?;
        Ok(debts.clone())
    });
    sso.provisioner.settle(owed.await?).await;
    create::user_and_provisioning(sso, user_id).await
}
