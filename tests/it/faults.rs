//! Every flow, broken at each of its steps in turn, and then whole again: nothing lost, nothing twice.
//!
//! The steps of a flow are not listed here: a run without faults writes them down, every call SSO makes, and every job of its database and of the
//! databases of those it calls. Then, for each step, the flow is run with each thing that can go wrong there. Whoever called repeats the same request, as
//! clients do, and once more when it was answered, for an answer may be lost on the last of its way; a process that stopped is started again. In the end
//! Social and Blog know the user as SSO does, the repeat was told the same, and what was recorded and sent is what the run without faults recorded and sent.

mod accounts;
mod codes;
mod end;
mod identifiers;
mod operators;
mod plan;
mod sessions;

use std::{fmt::Debug, time::Duration};

use onebox::Part;
use proto::social::v1::{GetProfileRequest, get_profile_request::Key};
use tonic::{Code, Status};

use self::{
    end::{End, Seen},
    plan::{AT_A_CALL, AT_A_JOB, LATE, Plan, Step, Wrong},
};
use crate::world::{Person, World};

/// Something that is asked for, the same at each repeat, and done once.
trait Flow: Sized {
    /// What a repeat is told as the first call was.
    type Answer: Debug + PartialEq;

    /// Jobs and calls of the background that are steps of this flow, by their names and paths.
    const BACKGROUND: &'static [&'static str] = &[];

    /// What has to be before, and what is asked for then.
    async fn prepare(world: &World, person: &Person) -> Self;

    /// Asks for it.
    async fn act(&self, world: &World) -> Result<Self::Answer, Status>;

    /// What is so in the end, besides what is so of every flow.
    async fn check(&self, end: &End<'_>, answer: &Self::Answer);
}

/// What a password is changed to.
const NEW: &str = "a whole new password";

/// What an address is changed to.
fn moved(person: &Person) -> Person {
    Person { address: format!("new-{}", person.address), ..person.clone() }
}

/// What comes beside an address.
fn by_phone(person: &Person) -> Person {
    let number: u32 = person.username.trim_start_matches("person").parse().expect("they are counted");
    Person { address: format!("+8491234{number:04}"), ..person.clone() }
}

/// What runs by itself now and then, whatever else is done.
const BACKGROUND: [&str; 19] = [
    "audit",
    "claim_deliveries",
    "claim_notices",
    "claim_provisioning",
    "compare_users",
    "forget",
    "keep_comparison",
    "list_users",
    "mend_users",
    "never_verified",
    "reap",
    "revocations",
    "rotate_key",
    "signing_keys",
    "take_comparison",
    "/blog.v1.UserService/ListUsers",
    "/social.v1.UserService/ListUsers",
    "/sso.v1.TokenService/ListPublicKeys",
    "/sso.v1.TokenService/WatchRevocations",
];

/// How long what goes on by itself may take when nothing is in its way.
const LATER: Duration = Duration::from_secs(2);

/// The lease of a message, the longest pause of SMS's worker, and a little.
const TAKEN_OVER: Duration = Duration::from_millis(18_000 + 1500 + 200);

/// A step, the how-manieth time it comes by, and what goes wrong there.
type Fault = (Step, usize, Wrong);

/// Where flows are run, and things go wrong as planned.
struct Stage {
    world: World,
    plan: Plan,
}

impl Stage {
    async fn new() -> Self {
        let plan = Plan::default();
        Self { world: World::with_faults_and_post(plan.faults()).await, plan }
    }

    /// Runs a flow for somebody new until all has converged. Its steps until it was answered for the first time, or not; and what is to be seen of it.
    async fn run<F: Flow>(&mut self, person: &Person, fault: Option<Fault>, when: &str) -> (Vec<Step>, Seen) {
        // What came of the run before is older.
        self.world.leap(Duration::from_secs(1)).await;
        let began = self.world.now();
        let flow = F::prepare(&self.world, person).await;
        let before = self.id_of(person).await;
        self.plan.begin(fault.clone());
        let first = self.ask(&flow).await;
        let steps = self.plan.state().steps.clone();
        let stopped = self.plan.state().stopped;
        if let Some(part) = stopped {
            self.restart(part).await;
        }
        let missed = self.plan.state().armed.take();
        assert_eq!(missed, None, "the flow does not come by, {when}");
        let is_late = matches!(fault, Some((Step::Job(..), _, Wrong::Silent | Wrong::DoneAndSilent)));
        let is_at_sms = fault.is_some_and(|(step, ..)| step.part() == Part::Sms);
        // A message that SMS has committed, and nobody has noted that it was sent, is leased.
        let patience = if is_at_sms { TAKEN_OVER.as_secs() + 1 } else { 3 };
        let answer = self.insist(&flow, first, patience, when).await;
        let repeat = self.ask(&flow).await;
        let again = self.insist(&flow, repeat, if is_at_sms { patience } else { 0 }, when).await;
        assert_eq!(again, answer, "told otherwise at a repeat {when}");
        if is_at_sms {
            self.world.pass(TAKEN_OVER).await;
        }
        if is_late {
            self.world.pass(LATE).await;
        }
        self.world.settled().await;
        self.world.told().await;
        let user_id = match before {
            Some(user_id) => user_id,
            None => self.id_of(person).await.expect("a user"),
        };
        self.world.agree(&user_id, when).await;
        let seen = Seen::since(&self.world, began, person, &user_id).await;
        flow.check(&End { world: &self.world, person, user_id: &user_id, when }, &answer).await;
        (steps, seen)
    }

    async fn ask<F: Flow>(&self, flow: &F) -> Result<F::Answer, Status> {
        let answer = flow.act(&self.world).await;
        if !F::BACKGROUND.is_empty() {
            self.world.pass(LATER).await;
        }
        answer
    }

    /// Asks again, a second later, so many times at most, as clients do.
    async fn insist<F: Flow>(
        &self,
        flow: &F,
        mut answer: Result<F::Answer, Status>,
        times: u64,
        when: &str,
    ) -> F::Answer {
        for _ in 0..times {
            let Err(status) = &answer else { break };
            assert!(is_passing(status), "{when}: {status:?}");
            self.world.pass(Duration::from_secs(1)).await;
            answer = self.ask(flow).await;
        }
        answer.unwrap_or_else(|status| panic!("{when}, however often: {status:?}"))
    }

    /// Whose name it is, as everybody may know.
    async fn id_of(&self, person: &Person) -> Option<String> {
        let key = Some(Key::Username(person.username.clone()));
        let found = self.world.profiles().get_profile(GetProfileRequest { key }).await;
        Some(found.ok()?.into_inner().profile.expect("a profile").user_id)
    }

    /// A part has stopped in the middle of things, and is started again once nothing of it is left.
    async fn restart(&mut self, part: Part) {
        self.world.plaza_mut().stop_part(part).await;
        self.world.pass(Duration::from_secs(6)).await;
        self.plan.state().stopped = None;
        self.world.plaza_mut().start_part(part).await.expect("it starts again");
        // Its workers look at the clock.
        self.world.pass(Duration::from_millis(1)).await;
    }
}

/// Whether a client that is told so asks again.
fn is_passing(status: &Status) -> bool {
    let passing = [Code::Unavailable, Code::DeadlineExceeded, Code::Internal, Code::ResourceExhausted];
    passing.contains(&status.code())
}

async fn break_each_step<F: Flow>() {
    let mut stage = Stage::new().await;
    let (steps, whole) = stage.run::<F>(&Person::with_email("person0"), None, "without faults").await;
    let mut broken = 0;
    for (step, nth) in own::<F>(steps) {
        let wrongs: &[Wrong] = match step {
            Step::Job(..) => &AT_A_JOB,
            Step::Call(_) => &AT_A_CALL,
        };
        for wrong in wrongs {
            broken += 1;
            let person = Person::with_email(&format!("person{broken}"));
            let when = format!("with {wrong:?} at {step:?}, time {nth}");
            let (_, seen) = stage.run::<F>(&person, Some((step.clone(), nth, *wrong)), &when).await;
            assert_eq!(seen, whole, "{when}");
        }
    }
    assert!(broken >= AT_A_JOB.len(), "broken {broken} times only");
}

/// The steps that are a flow's own, each with how often it came by before.
fn own<F: Flow>(all: Vec<Step>) -> Vec<(Step, usize)> {
    let mut own: Vec<(Step, usize)> = Vec::new();
    for step in all {
        let before = own.iter().filter(|(other, _)| *other == step).count();
        let is_own = !BACKGROUND.contains(&step.name()) || F::BACKGROUND.contains(&step.name());
        // What runs by itself is the same each time.
        if is_own && (before == 0 || !BACKGROUND.contains(&step.name())) {
            own.push((step, before));
        }
    }
    own
}

macro_rules! flows {
    ($($name:ident: $flow:ty, $method:literal;)*) => {
        /// The methods that are broken here.
        pub(crate) const METHODS: &[&str] = &[$($method),*];

        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                break_each_step::<$flow>().await;
            }
        )*
    };
}

flows! {
    changing_a_password: accounts::ChangePassword, "/sso.v1.AccountService/ChangePassword";
    changing_a_username: accounts::ChangeUsername, "/sso.v1.AccountService/ChangeUsername";
    confirming_an_identifier: identifiers::Confirm, "/sso.v1.AccountService/ConfirmIdentifierChange";
    deleting_ones_own_account: accounts::Delete, "/sso.v1.AccountService/DeleteAccount";
    removing_an_identifier: identifiers::Remove, "/sso.v1.AccountService/RemoveIdentifier";
    revoking_the_other_sessions: sessions::RevokeOthers, "/sso.v1.AccountService/RevokeOtherSessions";
    revoking_a_session: sessions::Revoke, "/sso.v1.AccountService/RevokeSession";
    starting_an_identifier_change: identifiers::Start, "/sso.v1.AccountService/StartIdentifierChange";
    signing_in_by_code: codes::CompleteSignIn, "/sso.v1.AuthService/CompleteCodeSignIn";
    resetting_a_password: codes::CompleteReset, "/sso.v1.AuthService/CompletePasswordReset";
    refreshing: sessions::Refresh, "/sso.v1.AuthService/RefreshToken";
    sending_a_code: codes::Send, "/sso.v1.AuthService/SendOtp";
    signing_in: sessions::SignIn, "/sso.v1.AuthService/SignIn";
    signing_out: sessions::SignOut, "/sso.v1.AuthService/SignOut";
    signing_up: accounts::SignUp, "/sso.v1.AuthService/SignUp";
    starting_a_sign_in_by_code: codes::StartSignIn, "/sso.v1.AuthService/StartCodeSignIn";
    starting_a_reset: codes::StartReset, "/sso.v1.AuthService/StartPasswordReset";
    verifying: codes::Verify, "/sso.v1.AuthService/VerifyOtp";
    rotating_the_key: operators::RotateKey, "/sso.v1.TokenService/RotateKey";
    creating_a_user: operators::Create, "/sso.v1.UserService/CreateUser";
    deleting_a_user: operators::Delete, "/sso.v1.UserService/DeleteUser";
    locking_a_user: operators::Lock, "/sso.v1.UserService/LockUser";
    reconciling: operators::Reconcile, "/sso.v1.UserService/ReconcileProvisioning";
    retrying: operators::Retry, "/sso.v1.UserService/RetryProvisioning";
    unlocking_a_user: operators::Unlock, "/sso.v1.UserService/UnlockUser";
    changing_a_user: operators::Update, "/sso.v1.UserService/UpdateUser";
}

/// Nobody asks for it.
#[tokio::test(start_paused = true)]
async fn reaping() {
    break_each_step::<accounts::Reap>().await;
}
