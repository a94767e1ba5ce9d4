//! Flows 1 and 2: a person signs up; Social and Blog are told, and a code goes out, at the same time.

use std::{net::IpAddr, sync::Arc};

use crate::{
    audit::{Event, Kind, Reason},
    create::{self, By, Create},
    error::Error,
    model::{Provisioning, User},
    otp::{self, Pending},
    sso::Sso,
};

/// What came of a sign-up.
pub(crate) struct SignedUp {
    pub(crate) user: User,
    pub(crate) provisioning: Vec<Provisioning>,
    pub(crate) verification: Option<Pending>,
}

/// Signs a person up. A repeat walks the same road: each step finds what it did before.
///
/// # Errors
/// As [`create::create`]. A target or SMS that is down is no error: the answer says so.
pub(crate) async fn sign_up(sso: &Arc<Sso>, ask: Create, address: Option<IpAddr>) -> Result<SignedUp, Error> {
    let request_id = ask.request_id;
    let created = create::create(sso, ask, Event::new(Kind::SignedUp).from(address)).await.inspect_err(|error| {
        if matches!(error, Error::UsernameTaken) {
            sso.audit.count(Event::new(Kind::SignUpRefused).because(Reason::UsernameTaken).from(address));
        }
    })?;
    let send = async {
        match created.verification_id {
            Some(id) => otp::first(sso, request_id, id).await.map(Some),
            None => Ok(None),
        }
    };
    let ((), verification) = tokio::join!(sso.provisioner.settle(created.debts), send);
    let (user, provisioning) = create::user_and_provisioning(sso, created.user_id).await?;
    Ok(SignedUp { user, provisioning, verification: verification? })
}

/// Creates a user for an operator: as a sign-up, but that nothing is sent.
///
/// # Errors
/// As [`create::create`].
pub(crate) async fn create_user(sso: &Arc<Sso>, ask: Create, operator: &str) -> Result<SignedUp, Error> {
    let identifier = ask.identifier.clone();
    let vouched = ask.by == By::Operator { vouches: true };
    let vouched = if vouched { Reason::Vouched } else { Reason::Unspecified };
    let event = Event::new(Kind::UserCreated).because(vouched).by(operator);
    let created = create::create(sso, ask, event).await.inspect_err(|error| {
        let refused = |reason| sso.audit.count(Event::new(Kind::UserCreationRefused).because(reason).by(operator));
        match error {
            Error::UsernameTaken => refused(Reason::UsernameTaken),
            Error::IdentifierTaken => refused(Reason::IdentifierTaken),
            _ => {}
        }
    })?;
    sso.provisioner.settle(created.debts).await;
    let (user, provisioning) = create::user_and_provisioning(sso, created.user_id).await?;
    let verification = created.verification_id.map(|id| Pending::unsent(sso, id, &identifier));
    Ok(SignedUp { user, provisioning, verification })
}
