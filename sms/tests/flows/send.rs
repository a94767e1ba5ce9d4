//! Sending: answers, replays, refusals of what is malformed.

use std::time::{Duration, SystemTime};

use mesh::Channel;
use proto::sms::v1::{
    self as pb, Delivery, Purpose, Verdict, otp_service_client::OtpServiceClient, send_otp_request::Destination,
};
use tonic::Code;

use crate::{
    engine::{Engine, on_both_engines},
    world::{World, no, refused},
};

on_both_engines! {
    a_send_answers_with_everything_but_the_code,
    a_phone_number_is_a_destination_too,
    all_bad_fields_are_named_at_once,
    only_sso_may_call,
    a_repeated_send_answers_the_same_and_sends_nothing,
    a_request_id_stands_for_one_request,
    a_verification_is_opened_once,
    a_resend_replaces_the_code_and_restores_no_guess,
    there_is_no_resend_without_a_use_for_it,
    a_decoy_cannot_be_told_from_a_verification,
    the_code_a_decoy_would_have_had_is_wrong,
    a_resend_may_make_a_decoy_and_never_unmakes_one,
}

async fn a_send_answers_with_everything_but_the_code(engine: Engine) {
    let world = World::new(engine).await;
    let opening = world.opening(" Anna@Example.com");
    let before = world.clock.now();
    let otp = world.send(&opening).await.unwrap();
    let message = world.messages("anna@example.com").await.remove(0);

    assert_eq!(otp.verification_id, opening.verification_id);
    assert_eq!(otp.masked_destination, "a•••@example.com");
    assert_eq!(otp.delivery(), Delivery::Sent);
    assert_eq!(otp.guesses_left, 5);
    let after = |seconds| Some(prost_types::Timestamp::from(before + Duration::from_secs(seconds)));
    assert_eq!((otp.code_expire_time, otp.resend_after), (after(300), after(30)));
    let (code, reference) = (&message.code, &otp.reference);
    assert_eq!(&message.reference, reference);
    assert_eq!(
        message.text,
        format!("Plaza: {code} is your code (ref {reference}). It works for 5 minutes. Never share it.")
    );
}

async fn a_phone_number_is_a_destination_too(engine: Engine) {
    let world = World::new(engine).await;
    let mut opening = world.opening("");
    opening.destination = Some(Destination::PhoneNumber("+84912345678".to_owned()));
    assert_eq!(world.send(&opening).await.unwrap().masked_destination, "+84•••••678");
    let code = world.code("+84912345678").await;
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::Approved);
}

async fn all_bad_fields_are_named_at_once(engine: Engine) {
    let world = World::new(engine).await;
    let status = world.send(&pb::SendOtpRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for field in ["request_id", "verification_id", "user_id", "purpose", "destination"] {
        assert!(status.message().contains(field), "{}", status.message());
    }
    let mut opening = world.opening("anna@localhost");
    assert!(world.send(&opening).await.unwrap_err().message().contains("email"));
    opening.destination = Some(Destination::PhoneNumber("0912345678".to_owned()));
    opening.purpose = 99;
    let status = world.send(&opening).await.unwrap_err();
    assert!(status.message().contains("phone_number") && status.message().contains("purpose"), "{}", status.message());
    let mut guess = world.guess(&opening, "12345");
    guess.purpose = Purpose::Unspecified.into();
    let status = world.verify(&guess).await.unwrap_err();
    assert!(status.message().contains("code") && status.message().contains("purpose"), "{}", status.message());
}

async fn only_sso_may_call(engine: Engine) {
    let world = World::new(engine).await;
    for channel in [Channel::memory(world.router.clone(), "social"), Channel::anonymous(world.router.clone())] {
        let answer = OtpServiceClient::new(channel).send_otp(world.opening("anna@example.com")).await;
        assert!(matches!(answer.unwrap_err().code(), Code::PermissionDenied | Code::Unauthenticated));
    }
    assert!(world.messages("").await.is_empty());
}

async fn a_repeated_send_answers_the_same_and_sends_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let opening = world.opening("anna@example.com");
    let first = world.send(&opening).await.unwrap();
    world.wait(600).await;
    assert_eq!(world.send(&opening).await.unwrap(), first);

    let another = world.another(&opening);
    let second = world.resend(&another).await.unwrap();
    assert_eq!(world.resend(&another).await.unwrap(), second);
    let (mut decoy, owned) = (opening.clone(), "somebody has proven the address meanwhile");
    decoy.decoy = true;
    assert_eq!(world.send(&decoy).await.unwrap(), first, "{owned}");
    assert_eq!(world.send(&opening).await.unwrap(), first);
    assert_eq!(world.messages("anna@example.com").await.len(), 2);
}

async fn a_request_id_stands_for_one_request(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, _) = world.opened("anna@example.com").await;
    let reused = no(Code::Aborted, "REQUEST_ID_REUSED", None);
    let changes: [fn(&World, &mut pb::SendOtpRequest); 3] = [
        |world, request| request.verification_id = world.id(),
        |world, request| request.user_id = world.id(),
        |_, request| request.destination = Some(Destination::Email("bert@example.com".to_owned())),
    ];
    for change in changes {
        let mut changed = opening.clone();
        change(&world, &mut changed);
        assert_eq!(refused(world.send(&changed).await), reused);
    }
    let resend = pb::ResendOtpRequest {
        request_id: opening.request_id.clone(),
        verification_id: opening.verification_id.clone(),
        decoy: false,
    };
    assert_eq!(refused(world.resend(&resend).await), reused);
    assert_eq!(world.messages("").await.len(), 1);
}

async fn a_verification_is_opened_once(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, _) = world.opened("anna@example.com").await;
    let mut again = world.opening("bert@example.com");
    again.verification_id = opening.verification_id;
    assert_eq!(refused(world.send(&again).await), no(Code::AlreadyExists, "VERIFICATION_EXISTS", None));
}

async fn a_resend_replaces_the_code_and_restores_no_guess(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, old) = world.opened("anna@example.com").await;
    let wrong = crate::world::other(&old, 1);
    assert_eq!(world.verify(&world.guess(&opening, &wrong)).await.unwrap(), (Verdict::WrongCode, 4));
    world.wait(30).await;
    assert_eq!(world.resend(&world.another(&opening)).await.unwrap().guesses_left, 4);
    let new = world.code("anna@example.com").await;
    assert_ne!(old, new);
    assert_eq!(world.verify(&world.guess(&opening, &old)).await.unwrap(), (Verdict::WrongCode, 3));
    assert_eq!(world.verify(&world.guess(&opening, &new)).await.unwrap(), (Verdict::Approved, 2));
}

async fn there_is_no_resend_without_a_use_for_it(engine: Engine) {
    let world = World::new(engine).await;
    let unknown = world.opening("anna@example.com");
    let nothing = no(Code::NotFound, "VERIFICATION_NOT_FOUND", None);
    assert_eq!(refused(world.resend(&world.another(&unknown)).await), nothing);

    let (approved, code) = world.opened("anna@example.com").await;
    world.verify(&world.guess(&approved, &code)).await.unwrap();
    world.wait(60).await;
    let over = no(Code::FailedPrecondition, "VERIFICATION_OVER", None);
    assert_eq!(refused(world.resend(&world.another(&approved)).await), over);

    let (spent, code) = world.opened("bert@example.com").await;
    for by in 1..=5 {
        world.verify(&world.guess(&spent, &crate::world::other(&code, by))).await.unwrap();
    }
    world.wait(60).await;
    let useless = no(Code::ResourceExhausted, "OTP_GUESS_LIMIT", None);
    assert_eq!(refused(world.resend(&world.another(&spent)).await), useless);
    assert_eq!(world.messages("").await.len(), 2);
}

async fn a_decoy_cannot_be_told_from_a_verification(engine: Engine) {
    let world = World::new(engine).await;
    let (real, mut decoy) = (world.opening("anna@example.com"), world.opening("bert@example.com"));
    decoy.decoy = true;
    let (as_real, as_decoy) = (world.send(&real).await.unwrap(), world.send(&decoy).await.unwrap());
    let alike =
        |otp: &pb::Otp| (otp.delivery, otp.code_expire_time, otp.resend_after, otp.guesses_left, otp.reference.len());
    assert_eq!(alike(&as_real), alike(&as_decoy));
    assert_eq!(as_decoy.masked_destination, "b•••@example.com");

    let notice = world.messages("bert@example.com").await.remove(0);
    assert!(notice.code.is_empty() && notice.reference.is_empty());
    assert!(!notice.text.chars().any(|char| char.is_ascii_digit()), "{}", notice.text);

    for request in [&real, &decoy] {
        let soon = no(Code::ResourceExhausted, "OTP_RESEND_TOO_SOON", 30_000);
        assert_eq!(refused(world.resend(&world.another(request)).await), soon);
        assert_eq!(world.verify(&world.guess(request, "000000")).await.unwrap(), (Verdict::WrongCode, 4));
    }
    world.wait(30).await;
    let (as_real, as_decoy) =
        (world.resend(&world.another(&real)).await.unwrap(), world.resend(&world.another(&decoy)).await.unwrap());
    assert_eq!(alike(&as_real), alike(&as_decoy));
    assert!(world.messages("bert@example.com").await.iter().all(|message| message.code.is_empty()));
    assert_eq!(world.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_767_225_630);
}

/// Two worlds draw the same from one seed: the first shows what the second would have sent.
async fn the_code_a_decoy_would_have_had_is_wrong(engine: Engine) {
    let (real, other) = (World::new(engine).await, World::new(engine).await);
    let mut opening = real.opening("anna@example.com");
    let mut codes = Vec::new();
    for world in [&real, &World::new(engine).await] {
        world.send(&opening).await.unwrap();
        codes.push(world.code("anna@example.com").await);
    }
    assert_eq!(codes[0], codes[1], "one send has one code");
    opening.decoy = true;
    other.send(&opening).await.unwrap();
    assert_eq!(other.verify(&other.guess(&opening, &codes[0])).await.unwrap(), (Verdict::WrongCode, 4));
}

async fn a_resend_may_make_a_decoy_and_never_unmakes_one(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    for decoy in [true, false] {
        world.wait(60).await;
        world.resend(&pb::ResendOtpRequest { decoy, ..world.another(&opening) }).await.unwrap();
        assert!(world.messages("anna@example.com").await[0].code.is_empty(), "a notice");
    }
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap(), (Verdict::WrongCode, 4));
}
