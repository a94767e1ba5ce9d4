//! Every flow, broken at each of its steps in turn, and then whole again: nothing lost, nothing twice.
//!
//! The steps of a flow are not listed here: a run without faults writes them down, every job of SSO's database and every call SSO makes. Then, for
//! each step, the flow is run with each thing that can go wrong there. Whoever called repeats the same request, as clients do; a process that
//! stopped is started again. In the end Social and Blog know the user as SSO does.

mod plan;

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::{
    self as sso, AccountType, OfficialTier, SendOtpRequest, SignUpRequest, VerifyOtpRequest, sign_in_response::Outcome,
};
use sso::{
    ChangePasswordRequest, CompleteCodeSignInRequest, ConfirmIdentifierChangeRequest, CreateUserRequest,
    DeleteAccountRequest, DeleteUserRequest, SignInRequest, UpdateUserRequest,
};
use tonic::{Code, Request, Status};

use self::plan::{AT_A_CALL, AT_A_JOB, Plan, Step, Wrong};
use crate::{
    identifiers, passwordless,
    targets::change,
    world::{Person, World, bearer, guess, id, verification},
};

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Flow {
    SignUp,
    Create,
    Send,
    Verify,
    SignIn,
    SignInByCode,
    Change,
    ChangePassword,
    ChangeIdentifier,
    Delete,
    DeleteOwn,
    Reap,
}

/// The request of one who does it, the same at each repeat; and whose it is, where that is known before.
enum Scene {
    SignUp(SignUpRequest),
    Create(CreateUserRequest),
    Send(SendOtpRequest),
    Verify(VerifyOtpRequest),
    SignIn(SignInRequest),
    SignInByCode(CompleteCodeSignInRequest),
    Change(UpdateUserRequest),
    ChangePassword(ChangePasswordRequest, String),
    ChangeIdentifier(ConfirmIdentifierChangeRequest, String),
    Delete(DeleteUserRequest),
    DeleteOwn(DeleteAccountRequest, String),
    Reap,
}

impl Flow {
    /// What has to be before it can be done; and the user, if there is one.
    async fn prepare(self, world: &World, person: &Person) -> (Scene, Option<String>) {
        match self {
            Self::SignUp => (Scene::SignUp(person.sign_up()), None),
            Self::Create => (Scene::Create(create(person)), None),
            Self::Send | Self::Verify | Self::Reap => {
                let signed_up = world.sign_up(person).await.expect("signs up");
                let verification_id = verification(&signed_up);
                let user_id = signed_up.user.expect("a user").id;
                let scene = match self {
                    Self::Send => {
                        // A code has gone out: the next may not follow at once.
                        world.pass(Duration::from_secs(60)).await;
                        Scene::Send(SendOtpRequest { request_id: id(), verification_id })
                    }
                    Self::Verify => Scene::Verify(guess(&verification_id, &world.code(&person.address).await)),
                    _ => Scene::Reap,
                };
                (scene, Some(user_id))
            }
            _ => {
                let (user, tokens) = world.join(person).await;
                let (request_id, user_id) = (id(), user.id.clone());
                let scene = match self {
                    Self::SignIn => Scene::SignIn(person.sign_in()),
                    Self::SignInByCode => Scene::SignInByCode(passwordless::prepared(world, person).await),
                    Self::Change => Scene::Change(change(&user.id, OfficialTier::Premium)),
                    Self::ChangePassword => {
                        let (old_password, new_password) = (person.password.clone(), NEW.to_owned());
                        let request = ChangePasswordRequest { request_id, old_password, new_password };
                        Scene::ChangePassword(request, tokens.access_token)
                    }
                    Self::ChangeIdentifier => {
                        let request = identifiers::prepared(world, &tokens, &new(person)).await;
                        Scene::ChangeIdentifier(request, tokens.access_token)
                    }
                    Self::Delete => Scene::Delete(DeleteUserRequest { request_id, user_id }),
                    _ => {
                        let password = person.password.clone();
                        Scene::DeleteOwn(DeleteAccountRequest { request_id, password }, tokens.access_token)
                    }
                };
                (scene, Some(user.id))
            }
        }
    }

    /// What is so in the end, besides that all three services agree.
    async fn check(self, world: &World, person: &Person, user_id: &str, when: &str) {
        let known = world.sso_knows(user_id).await;
        match self {
            Self::Delete | Self::DeleteOwn | Self::Reap => assert_eq!(known, None, "{when}"),
            Self::Change => assert_eq!(known.expect("it is there").3, 2, "changed once, {when}"),
            Self::SignUp | Self::Create => {
                assert_eq!(known, Some((person.username.clone(), 1, 0, 1)), "{when}");
                let twice = world.sign_up(&Person { address: format!("x{}", person.address), ..person.clone() }).await;
                assert_eq!(twice.expect_err("the name is taken").code(), Code::AlreadyExists, "{when}");
            }
            _ => assert!(known.is_some(), "{when}"),
        }
        if let Self::Verify | Self::SignIn = self {
            let outcome = world.sign_in(person).await.expect("signs in").outcome;
            assert!(matches!(outcome, Some(Outcome::Tokens(_))), "verified, {when}");
        }
        if let Self::ChangePassword = self {
            world.pass(Duration::from_secs(30)).await;
            assert_eq!(
                world.notices(&person.address, "Plaza: your password was changed").await,
                1,
                "told once, {when}"
            );
            world.sign_in(&Person { password: NEW.to_owned(), ..person.clone() }).await.expect("the new one");
        }
        if let Self::ChangeIdentifier = self {
            world.pass(Duration::from_secs(30)).await;
            assert_eq!(world.notices(&person.address, identifiers::CHANGED).await, 1, "told once, {when}");
            world.sign_in(person).await.expect_err("the old one");
            world.sign_in(&Person { address: new(person), ..person.clone() }).await.expect("the new one");
        }
        if let Self::SignUp | Self::Send = self {
            prove(world, person, when).await;
        }
    }
}

impl Scene {
    /// Does it, and says whose it was if that is new.
    async fn act(&self, world: &World) -> Result<Option<String>, Status> {
        let id_of = |user: Option<sso::User>| Some(user.expect("a user").id);
        match self {
            Self::SignUp(request) => Ok(id_of(world.auth().sign_up(request.clone()).await?.into_inner().user)),
            Self::Create(request) => {
                let request = world.as_operator(request.clone());
                Ok(id_of(world.users().create_user(request).await?.into_inner().user))
            }
            Self::Send(request) => world.auth().send_otp(request.clone()).await.map(|_| None),
            Self::Verify(request) => {
                let answer = world.auth().verify_otp(request.clone()).await?.into_inner();
                crate::world::success(answer);
                Ok(None)
            }
            Self::SignIn(request) => world.auth().sign_in(request.clone()).await.map(|_| None),
            Self::SignInByCode(request) => passwordless::sign_in(world, request).await.map(|_| None),
            Self::Change(request) => world.users().update_user(world.as_operator(request.clone())).await.map(|_| None),
            Self::ChangePassword(request, token) => {
                let done = world.account().change_password(bearer(request.clone(), token)).await;
                // What is owed for it goes on by itself.
                world.pass(Duration::from_secs(2)).await;
                done.map(|_| None)
            }
            Self::ChangeIdentifier(request, token) => {
                let done = world.account().confirm_identifier_change(bearer(request.clone(), token)).await;
                world.pass(Duration::from_secs(2)).await;
                done.map(|_| None)
            }
            Self::Delete(request) => world.users().delete_user(world.as_operator(request.clone())).await.map(|_| None),
            Self::DeleteOwn(request, token) => {
                let request: Request<_> = bearer(request.clone(), token);
                world.account().delete_account(request).await.map(|_| None)
            }
            Self::Reap => {
                world.leap(Duration::from_secs(24 * 3600 + 60)).await;
                world.pass(Duration::from_secs(5)).await;
                Ok(None)
            }
        }
    }
}

/// What a password is changed to.
const NEW: &str = "a whole new password";

/// What an address is changed to.
fn new(person: &Person) -> String {
    format!("new-{}", person.address)
}

pub(crate) fn create(person: &Person) -> CreateUserRequest {
    CreateUserRequest {
        request_id: id(),
        identifier: Some(sso::create_user_request::Identifier::Email(person.address.clone())),
        password: person.password.clone(),
        username: person.username.clone(),
        account_type: AccountType::Customer.into(),
        official_tier: OfficialTier::Unspecified.into(),
        vouch_identifier: true,
    }
}

/// The person can still prove the address: a code goes out, and opens the account.
async fn prove(world: &World, person: &Person, when: &str) {
    world.leap(Duration::from_secs(600)).await;
    let signed_in = world.sign_in(person).await.expect("signs in").outcome;
    let Some(Outcome::Verification(pending)) = signed_in else { panic!("not yet verified, {when}: {signed_in:?}") };
    world.send(&pending.verification_id).await.unwrap_or_else(|status| panic!("no code, {when}: {status:?}"));
    let code = world.code(&person.address).await;
    crate::world::success(world.verify(&pending.verification_id, &code).await.expect("verifies"));
}

/// What runs by itself now and then, whatever else is done.
const BY_THEMSELVES: [&str; 5] = ["claim_provisioning", "claim_notices", "never_verified", "reap", "forget"];

/// The steps of a flow, as one run of it goes, each with how often it came by before.
async fn steps(flow: Flow) -> Vec<(Step, usize)> {
    let plan = Plan::default();
    let world = World::with_faults(plan.faults()).await;
    let (scene, _) = flow.prepare(&world, &Person::with_email("anna")).await;
    plan.begin(None);
    scene.act(&world).await.expect("nothing is in the way");
    let all = plan.state().steps.clone();
    let own = |step: &Step| match step {
        Step::Job("forget" | "compare_users" | "mend_users" | "revocations") => false,
        Step::Job(name) => matches!(flow, Flow::Reap) || !BY_THEMSELVES.contains(name),
        Step::Call(path) => !path.ends_with("/ListUsers") && !path.ends_with("/WatchRevocations"),
    };
    let mut steps: Vec<(Step, usize)> = Vec::new();
    for step in all.into_iter().filter(own) {
        let before = steps.iter().filter(|(other, _)| *other == step).count();
        // What runs by itself is the same each time.
        if before == 0 || !matches!(step, Step::Job(name) if BY_THEMSELVES.contains(&name)) {
            steps.push((step, before));
        }
    }
    steps
}

async fn break_each_step(flow: Flow) {
    let (plan, mut broken) = (Plan::default(), 0);
    let mut world = World::with_faults(plan.faults()).await;
    for (step, nth) in steps(flow).await {
        let wrongs: &[Wrong] = if matches!(step, Step::Job(_)) { &AT_A_JOB } else { &AT_A_CALL };
        for wrong in wrongs {
            let when = format!("{flow:?} with {wrong:?} at {step:?}, time {nth}");
            let person = Person::with_email(&format!("person{broken}"));
            let (scene, user_id) = flow.prepare(&world, &person).await;
            plan.begin(Some((step.clone(), nth, *wrong)));
            let mut outcome = scene.act(&world).await;
            if plan.state().stopped {
                restart(&mut world, &plan).await;
            }
            let missed = plan.state().armed.take();
            assert_eq!(missed, None, "the flow does not come by, {when}");
            for _ in 0..3 {
                let Err(status) = &outcome else { break };
                let passing = matches!(
                    status.code(),
                    Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::ResourceExhausted
                );
                assert!(passing, "{when}: {status:?}");
                world.pass(Duration::from_secs(1)).await;
                outcome = scene.act(&world).await;
            }
            let found = outcome.unwrap_or_else(|status| panic!("{when}, three times over: {status:?}"));
            let user_id = user_id.or(found).expect("a user");
            if let Flow::Reap = flow {
                world.pass(Duration::from_secs(120)).await;
            }
            world.settled().await;
            world.agree(&user_id, &when).await;
            flow.check(&world, &person, &user_id, &when).await;
            broken += 1;
        }
    }
    assert!(broken >= 8, "{flow:?} was broken {broken} times only");
}

/// SSO has stopped in the middle of things, and is started again once nothing of it is left.
async fn restart(world: &mut World, plan: &Plan) {
    world.plaza_mut().stop_part(Part::Sso).await;
    world.pass(Duration::from_secs(6)).await;
    plan.state().stopped = false;
    world.plaza_mut().start_part(Part::Sso).await.expect("SSO starts again");
}

macro_rules! broken {
    ($($name:ident: $flow:ident;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            break_each_step(Flow::$flow).await;
        }
    )*};
}

broken! {
    signing_up: SignUp;
    creating_a_user: Create;
    sending_a_code: Send;
    verifying: Verify;
    signing_in: SignIn;
    signing_in_by_code: SignInByCode;
    changing_a_user: Change;
    changing_a_password: ChangePassword;
    changing_an_identifier: ChangeIdentifier;
    deleting_a_user: Delete;
    deleting_ones_own_account: DeleteOwn;
    reaping: Reap;
}
