//! Who exists is nobody's business: each call does the same work for everybody. What is counted here are statements by name and hashes, which no load of the machine
//! changes; `bench timing` measures.

use std::time::SystemTime;

use proto::sso::v1::{
    CompleteCodeSignInRequest, SendOtpRequest, StartCodeSignInRequest, StartPasswordResetRequest,
    sign_in_response::Outcome, start_code_sign_in_request, start_password_reset_request::Identifier,
};

use crate::{
    identifiers::change_to,
    world::{Person, World, id, verification, wrong},
};

/// Somebody of each kind: unknown, verified, locked, never verified.
struct People {
    world: World,
    all: [(&'static str, Person); 4],
}

async fn people() -> People {
    let world = World::by_code().await;
    let person = Person::with_email;
    let all = [
        ("unknown", person("nobody")),
        ("verified", person("anna")),
        ("locked", person("ben")),
        ("unverified", person("cleo")),
    ];
    world.join(&all[1].1).await;
    let (ben, _) = world.join(&all[2].1).await;
    world.lock(&ben.id).await.expect("locked");
    world.sign_up(&all[3].1).await.expect("signs up");
    // Until SMS may send to each of them again.
    world.pass(std::time::Duration::from_secs(3600)).await;
    People { world, all }
}

impl People {
    /// The work that `call` does: each statement and hash, in order.
    async fn work(&self, call: impl Future<Output = ()>) -> Vec<String> {
        // What earlier calls left to the background is not this one's work.
        self.world.pass(std::time::Duration::from_millis(500)).await;
        let before = self.world.trace().text().len();
        call.await;
        let text = self.world.trace().text();
        text[before..].lines().filter_map(step).collect()
    }
}

/// The statement or hash that a line of the log tells of.
fn step(line: &str) -> Option<String> {
    if line.contains("a password is hashed") {
        return Some("hash".to_owned());
    }
    let operation = line.split("operation=\"").nth(2).or_else(|| line.split("operation=\"").nth(1))?;
    let is_statement = line.contains(": db.read ") || line.contains(": db.write ");
    is_statement.then(|| operation.split('"').next().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_costs_the_same_for_everybody() {
    let people = people().await;
    let mut all = Vec::new();
    for (kind, person) in &people.all {
        let guess = Person { password: "not the password".to_owned(), ..person.clone() };
        let work = people.work(async { drop(people.world.sign_in(&guess).await.expect_err("wrong")) }).await;
        assert_eq!(hashes(&work), 2, "{kind}: {work:?}");
        all.push(work);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
}

fn hashes(work: &[String]) -> usize {
    work.iter().filter(|step| *step == "hash").count()
}

#[tokio::test(start_paused = true)]
async fn an_owners_right_password_costs_one_hash() {
    let people = people().await;
    let work = people.work(async { drop(people.world.sign_in(&people.all[1].1).await.expect("signs in")) }).await;
    assert_eq!(hashes(&work), 1, "{work:?}");
}

/// Whoever signs up with an address and then signs in with their own password is asked for a code, whether the address is somebody's or not.
#[tokio::test(start_paused = true)]
async fn a_claimants_sign_in_costs_and_tells_the_same_for_every_address() {
    let people = people().await;
    let (mut all, mut answers) = (Vec::new(), Vec::new());
    for (at, (kind, person)) in people.all.iter().enumerate() {
        let rival = Person { username: format!("rival{at}"), password: "the rival's own".to_owned(), ..person.clone() };
        people.world.sign_up(&rival).await.expect("signs up");
        people.world.pass(std::time::Duration::from_secs(600)).await;
        let mut signed_in = None;
        let work = people.work(async { signed_in = Some(people.world.sign_in(&rival).await) }).await;
        assert_eq!(hashes(&work), 2, "{kind}: {work:?}");
        all.push(work);
        let answer = signed_in.expect("it ran").unwrap_or_else(|refused| panic!("{kind}: {refused}"));
        let Some(Outcome::Verification(pending)) = answer.outcome else { panic!("{kind}: {answer:?}") };
        let masked = pending.masked_destination.trim_start_matches(&person.address[..1]).to_owned();
        let due = pending.resend_after.map(|time| people.world.now() >= SystemTime::try_from(time).expect("a time"));
        answers.push((masked, pending.delivery, pending.reference, pending.guesses_left, due));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_costs_the_same_for_everybody() {
    let people = people().await;
    let mut all = Vec::new();
    for (_, person) in &people.all {
        let identifier = Some(Identifier::Email(person.address.clone()));
        let request = StartPasswordResetRequest { request_id: id(), identifier };
        let call = async { drop(people.world.auth().start_password_reset(request).await.expect("started")) };
        all.push(people.work(call).await);
    }
    assert!(all[0].len() > 2, "{:?}", all[0]);
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_by_code_costs_the_same_for_everybody() {
    let people = people().await;
    let (mut starts, mut guesses) = (Vec::new(), Vec::new());
    for (_, person) in &people.all {
        let identifier = Some(start_code_sign_in_request::Identifier::Email(person.address.clone()));
        let request = StartCodeSignInRequest { request_id: id(), identifier };
        let mut started = None;
        let call = async { started = people.world.auth().start_code_sign_in(request).await.ok() };
        starts.push(people.work(call).await);
        let verification_id = started.expect("started").into_inner().verification.expect("one").verification_id;
        let code = people.world.messages(&person.address).await.remove(0).code;
        let (request_id, device_label) = (id(), String::new());
        let code = wrong(if code.is_empty() { "000000" } else { &code });
        let request = CompleteCodeSignInRequest { request_id, verification_id, code, device_label };
        let call = async { drop(people.world.auth().complete_code_sign_in(request).await.expect("told")) };
        guesses.push(people.work(call).await);
    }
    for all in [starts, guesses] {
        assert!(all[0].len() > 2, "{:?}", all[0]);
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_identifier_costs_the_same_whoever_has_it() {
    let people = people().await;
    let (_, tokens) = people.world.join(&Person::with_phone("dora", "+84912345678")).await;
    let mut all = Vec::new();
    for (_, person) in &people.all {
        let request = change_to(&person.address, "");
        let call = async { drop(people.world.start_change(&tokens, request).await.expect("started")) };
        all.push(people.work(call).await);
    }
    assert!(all[0].len() > 2, "{:?}", all[0]);
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_and_its_codes_cost_the_same_for_every_address() {
    let people = people().await;
    let (mut sign_ups, mut sends) = (Vec::new(), Vec::new());
    for (at, (_, person)) in people.all.iter().enumerate() {
        let rival = Person { username: format!("rival{at}"), ..person.clone() };
        let mut signed_up = None;
        sign_ups.push(people.work(async { signed_up = people.world.sign_up(&rival).await.ok() }).await);
        let verification_id = verification(&signed_up.expect("signed up"));
        people.world.pass(std::time::Duration::from_secs(600)).await;
        let request = SendOtpRequest { request_id: id(), verification_id };
        sends.push(people.work(async { drop(people.world.auth().send_otp(request).await.expect("sent")) }).await);
    }
    assert!(sign_ups.iter().all(|work| hashes(work) == 1), "{sign_ups:#?}");
    for all in [sign_ups, sends] {
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
    }
}
