//! A stranger who asked for a code to somebody's address: what that user does afterwards must not show in what the stranger is answered.

use std::{fmt::Debug, time::Duration};

use proto::sso::v1::{
    self as sso, ChangePasswordRequest, CompletePasswordResetRequest, DeleteAccountRequest, StartPasswordResetRequest,
    Tokens,
};
use tonic::Status;

use crate::{
    recovery::{NEW, completion, forgot},
    world::{Person, World, bearer, id, wrong},
};

/// What ends everything that a code was sent for.
#[derive(Debug, Clone, Copy)]
enum Act {
    Nothing,
    NewPassword,
    OtherAddress,
    Lock,
    Deletion,
}

impl Act {
    async fn happens(self, world: &World, person: &Person, (user, tokens): &(sso::User, Tokens)) {
        let password = person.password.clone();
        match self {
            Self::Nothing => {}
            Self::NewPassword => {
                let (old_password, new_password) = (password, NEW.to_owned());
                let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
                world.account().change_password(bearer(request, &tokens.access_token)).await.expect("changed");
            }
            Self::OtherAddress => drop(world.change_identifier(tokens, "another@example.com").await),
            Self::Lock => drop(world.lock(&user.id).await.expect("locked")),
            Self::Deletion => {
                let request = DeleteAccountRequest { request_id: id(), password };
                world.account().delete_account(bearer(request, &tokens.access_token)).await.expect("deleted");
            }
        }
    }
}

/// Everything that a stranger sees who asks again.
async fn seen(world: &World, start: &StartPasswordResetRequest, guess: &CompletePasswordResetRequest) -> Vec<String> {
    let started = world.auth().start_password_reset(start.clone()).await;
    let mut seen = vec![plain(started.map(|answer| answer.into_inner().verification.map(|one| one.guesses_left)))];
    let another = CompletePasswordResetRequest { request_id: id(), ..guess.clone() };
    for guess in [guess.clone(), another.clone(), another] {
        seen.push(plain(world.auth().complete_password_reset(guess).await.map(tonic::Response::into_inner)));
    }
    let sent = world.send(&guess.verification_id).await;
    seen.push(plain(sent.map(|answer| answer.verification.map(|one| (one.delivery, one.guesses_left)))));
    seen
}

fn plain<T: Debug>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(status) => format!("{} {} {:?}", status.code(), status.message(), status.details()),
    }
}

/// `store::challenges::end_all`: what ends becomes a decoy.
#[tokio::test(start_paused = true)]
async fn a_stranger_does_not_learn_that_what_they_asked_for_has_ended() {
    let mut all = Vec::new();
    for (joins, act) in [
        (false, Act::Nothing),
        (true, Act::Nothing),
        (true, Act::NewPassword),
        (true, Act::OtherAddress),
        (true, Act::Lock),
        (true, Act::Deletion),
    ] {
        let world = World::start().await;
        let anna = Person::with_email("anna");
        let joined = if joins { Some(world.join(&anna).await) } else { None };
        world.pass(Duration::from_secs(120)).await;
        let start = forgot(&anna.address);
        let pending = world.auth().start_password_reset(start.clone()).await.expect("the same answer").into_inner();
        let pending = pending.verification.expect("a verification");
        let code = world.messages(&anna.address).await.remove(0).code;
        let guess = completion(&pending, &wrong(if code.is_empty() { "000000" } else { &code }));
        world.auth().complete_password_reset(guess.clone()).await.expect("told");
        if let Some(joined) = &joined {
            act.happens(&world, &anna, joined).await;
        }
        world.pass(Duration::from_secs(120)).await;
        all.push((act, seen(&world, &start, &guess).await));
        if joins && !matches!(act, Act::Nothing) {
            assert!(world.messages(&anna.address).await[0].code.is_empty(), "{act:?}: a notice, and no code");
        }
    }
    for (act, seen) in &all {
        assert_eq!(seen, &all[0].1, "{act:?}");
    }
}
