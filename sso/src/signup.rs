//! Flows 1 and 2: a person signs up; Social and Blog are told, and a code goes out, at the same time.

use std::{net::IpAddr, sync::Arc};

use crate::{
    audit::{Event, Kind, Reason},
    create::{self, By, Create, Created},
    error::Error,
    model::{Provisioning, User},
    otp::{self, Pending},
    sso::Sso,
    throttle::SignUps,
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
    let (event, sign_ups) = (Event::new(Kind::SignedUp).from(address), SignUps::from(sso, address));
    let created = create::create(sso, ask, event, sign_ups).await.inspect_err(|error| {
        let refused = |reason| sso.audit.count(Event::new(Kind::SignUpRefused).because(reason).from(address));
        match error {
            Error::UsernameTaken => refused(Reason::UsernameTaken),
            Error::Limited { .. } => refused(Reason::Throttled),
            _ => {}
        }
    })?;
    let Created { user_id, verification_id, fresh } = created;
    let (committed, opened) = fresh.map(|fresh| ((fresh.user, fresh.debts), fresh.verification)).unzip();
    let send = async {
        match (opened.flatten(), verification_id) {
            (Some((verification, decoy)), _) => Ok(Some(otp::first(sso, request_id, &verification, decoy).await)),
            (None, Some(id)) => otp::repeat(sso, request_id, id).await.map(Some),
            (None, None) => Ok(None),
        }
    };
    let (settled, verification) = tokio::join!(create::settled(sso, user_id, committed), send);
    let (user, provisioning) = settled?;
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
    let created = create::create(sso, ask, event, None).await.inspect_err(|error| {
        let refused = |reason| sso.audit.count(Event::new(Kind::UserCreationRefused).because(reason).by(operator));
        match error {
            Error::UsernameTaken => refused(Reason::UsernameTaken),
            Error::IdentifierTaken => refused(Reason::IdentifierTaken),
            _ => {}
        }
    })?;
    let Created { user_id, verification_id, fresh } = created;
    let committed = fresh.map(|fresh| (fresh.user, fresh.debts));
    let (user, provisioning) = create::settled(sso, user_id, committed).await?;
    let verification = verification_id.map(|id| Pending::unsent(sso, id, &identifier));
    Ok(SignedUp { user, provisioning, verification })
}
