//! Creating a user: the user, its identifier, its verification and what is owed for it, in one commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Audit, Event, Kind},
    error::Error,
    identifier::Identifier,
    model::{AccountKind, Outcome, Provisioning, Purpose, Truth, User, Verification},
    password::Password,
    sso::Sso,
    store::{self, provisioning::Debts, requests::Request, users::NewUser},
    throttle::SignUps,
    username::Username,
};

/// A user to create, valid by type.
#[derive(Debug, Clone)]
pub(crate) struct Create {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) password: Password,
    pub(crate) username: Username,
    pub(crate) kind: AccountKind,
    pub(crate) by: By,
}

/// Who creates a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The person, who is told nothing of who else has the identifier.
    Person,
    /// An operator, who may know, and may vouch that the identifier is the user's.
    Operator { vouches: bool },
}

/// A user as created, now or when the request id first came.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) user_id: Uuid,
    /// What proves the identifier; none if it is vouched for.
    pub(crate) verification_id: Option<Uuid>,
    /// What was committed just now. Nothing on a replay: somebody has seen to it.
    pub(crate) fresh: Option<Fresh>,
}

/// What a commit knows, so that nobody has to read it.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) user: User,
    /// What is owed to the targets.
    pub(crate) debts: Debts,
    /// What proves the identifier, and whether it is a decoy, since somebody else has verified the identifier.
    pub(crate) verification: Option<(Verification, bool)>,
}

/// Creates the user, or finds what the request id came to before. `event` is what is recorded of it, `sign_ups` those of whoever asks.
///
/// # Errors
/// [`Error::UsernameTaken`], [`Error::RequestIdReused`], [`Error::Limited`]; for an operator [`Error::IdentifierTaken`] if somebody else has verified it; overload.
pub(crate) async fn create(
    sso: &Arc<Sso>,
    ask: Create,
    event: Event,
    sign_ups: Option<SignUps>,
) -> Result<Created, Error> {
    let request = ask.request(sso);
    let (username, identifier, by) = (ask.username.clone(), ask.identifier.clone(), ask.by);
    // Before the hash, which costs a thousand times as much. The commit below decides.
    let before = sso
        .db
        .read("create_user_before", move |c| {
            if let Some(outcome) = request.find(c)? {
                return Ok(Some(outcome));
            }
            sign_ups.map_or(Ok(()), |all| all.look(c))?;
            if store::users::username_taken(c, &username)? {
                return Err(Error::UsernameTaken);
            }
            if by != By::Person && store::users::owner(c, &identifier)?.is_some() {
                return Err(Error::IdentifierTaken);
            }
            Ok(None)
        })
        .await?;
    if let Some(outcome) = before {
        return Ok(Created::replayed(outcome));
    }
    let password_hash = sso.hasher.hash(&ask.password).await?;
    commit(sso, ask, request, event, sign_ups, password_hash).await
}

async fn commit(
    sso: &Arc<Sso>,
    ask: Create,
    request: Request,
    event: Event,
    sign_ups: Option<SignUps>,
    password_hash: String,
) -> Result<Created, Error> {
    let now = sso.clock.now();
    let vouched = ask.by == By::Operator { vouches: true };
    let new = NewUser {
        id: sso.id(),
        username: ask.username,
        kind: ask.kind,
        password_hash,
        identifier_id: sso.id(),
        identifier: ask.identifier,
        is_verified: vouched,
        now,
    };
    let verification_id = (!vouched).then(|| sso.opaque_id());
    let debts = sso.provisioner.held(new.id, now);
    let (audit, event) = (sso.audit.clone(), event.of(new.id));
    sso.db
        .write("create_user", move |c| {
            let outcome = Outcome { user_id: new.id, verification_id, session_id: None };
            if let Some(first) = request.claim(c, &outcome, now)? {
                return Ok(Created::replayed(first));
            }
            let user = store::users::insert(c, &new)?;
            let verification = match verification_id {
                Some(id) => Some(open(c, id, &new)?),
                None => {
                    note_rivals(c, &audit, new.id, &new.identifier)?;
                    None
                }
            };
            debts.owe(c, now)?;
            audit.record(c, event.clone())?;
            sign_ups.map_or(Ok(()), |all| all.count(c))?;
            let fresh = Fresh { user, debts: debts.clone(), verification };
            Ok(Created { user_id: new.id, verification_id, fresh: Some(fresh) })
        })
        .await
}

/// Opens the verification of a new user's identifier, and says whether it is a decoy.
fn open(c: &mut db::Conn, id: Uuid, new: &NewUser) -> Result<(Verification, bool), Error> {
    store::verifications::insert(c, id, new.id, new.identifier_id, new.now)?;
    let (identifier, purpose) = (new.identifier.clone(), Purpose::VerifyIdentifier);
    let decoy = store::users::owner(c, &identifier)?.is_some();
    Ok((Verification { id, user_id: new.id, identifier, purpose }, decoy))
}

/// The identifier is `owner`'s. What others have begun with it goes on for them as before, so that they do not learn of it, and comes to nothing: the unique index lets
/// nobody else verify it, and none of their passwords opens anything until they have.
pub(crate) fn note_rivals(c: &mut db::Conn, audit: &Audit, owner: Uuid, identifier: &Identifier) -> Result<(), Error> {
    let rivals = store::users::rivals(c, owner, identifier)?;
    if rivals > 0 {
        audit.record_all(c, Event::new(Kind::RivalsOutrun).of(owner), rivals)?;
    }
    Ok(())
}

/// Tells the targets of what was `committed` of a user just now, if anything was. The user, and how far the targets know it then.
///
/// # Errors
/// [`Error::UserNotFound`].
pub(crate) async fn settled(
    sso: &Sso,
    id: Uuid,
    committed: Option<(User, Debts)>,
) -> Result<(User, Vec<Provisioning>), Error> {
    if let Some((user, debts)) = committed
        && sso.provisioner.settle(debts, Truth::Alive(Box::new(user.clone()))).await
    {
        return Ok((user, Provisioning::everywhere()));
    }
    sso.db
        .read("user_and_provisioning", move |c| {
            let user = store::users::find(c, id)?.ok_or(Error::UserNotFound)?;
            Ok((user, store::provisioning::of_user(c, id)?))
        })
        .await
}

impl Create {
    fn request(&self, sso: &Sso) -> Request {
        let (account_type, tier) = self.kind.stored();
        sso.request(
            self.request_id,
            &[
                b"create",
                self.identifier.value().as_bytes(),
                self.password.bytes(),
                self.username.as_str().as_bytes(),
                &account_type.to_be_bytes(),
                &tier.to_be_bytes(),
                &self.by.stored(),
            ],
        )
    }
}

impl By {
    fn stored(self) -> [u8; 2] {
        match self {
            Self::Person => [0, 0],
            Self::Operator { vouches } => [1, u8::from(vouches)],
        }
    }
}

impl Created {
    fn replayed(outcome: Outcome) -> Self {
        Self { user_id: outcome.user_id, verification_id: outcome.verification_id, fresh: None }
    }
}
