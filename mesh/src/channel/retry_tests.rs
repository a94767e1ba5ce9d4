//! gRFC A6, row by row: what a scripted callee answers, and what the caller makes of it. On paused time.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::HeaderMap;
use tokio::time::Instant;
use tonic::Code;

use super::{Channel, ChannelOptions, PeerIdentity};
use crate::{
    clock::Random,
    testing::{Host, Hosts, Keys, contracts, say},
    token::Kind,
    wire,
};

/// What the callee answers to one request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A message, and OK.
    Fine,
    /// Trailers alone.
    Status(Code),
    /// The same, with pushback.
    Pushback(Code, &'static [&'static str]),
    /// Response headers, and then a status.
    Late(Code),
    /// RST_STREAM, before and after response headers.
    Reset(Reason),
    LateReset(Reason),
}

use Answer::{Fine, Late, LateReset, Pushback, Reset, Status};

const DOWN: Answer = Status(Code::Unavailable);
const REFUSED: Answer = Reset(Reason::REFUSED_STREAM);

/// The attempts a callee saw: what each said of those before it.
type Seen = Arc<Mutex<Vec<Option<String>>>>;

fn headers(code: Option<Code>, pushback: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(code.map(|code| (wire::STATUS.clone(), (code as i32).into())));
    for value in pushback {
        headers.append(&wire::PUSHBACK, value.parse().expect("ascii"));
    }
    headers
}

fn answer(answer: Answer, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let head = |headers: HeaderMap| {
        let mut response = http::Response::new(());
        *response.headers_mut() = headers;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
        response
    };
    match answer {
        Status(code) => drop(respond.send_response(head(headers(Some(code), &[])), true)?),
        Pushback(code, values) => drop(respond.send_response(head(headers(Some(code), values)), true)?),
        Reset(reason) => respond.send_reset(reason),
        Fine => {
            let mut body = respond.send_response(head(HeaderMap::new()), false)?;
            // An empty message: no flag, no length.
            body.send_data(Bytes::from_static(&[0; 5]), false)?;
            body.send_trailers(headers(Some(Code::Ok), &[]))?;
        }
        Late(code) => {
            let mut body = respond.send_response(head(HeaderMap::new()), false)?;
            body.send_trailers(headers(Some(code), &[]))?;
        }
        LateReset(reason) => respond.send_response(head(HeaderMap::new()), false)?.send_reset(reason),
    }
    Ok(())
}

/// A callee that gives these answers in turn, and then the last of them for ever.
fn callee(answers: Vec<Answer>) -> (Channel, Seen) {
    let seen = Seen::default();
    let note = Arc::clone(&seen);
    let script = move |at: usize, request: &http::Request<h2::RecvStream>, respond| {
        let previous = request.headers().get(&wire::PREVIOUS_ATTEMPTS);
        let previous = previous.map(|value| value.to_str().expect("ascii").to_owned());
        note.lock().expect("unpoisoned").push(previous);
        answer(*answers.get(at).or(answers.last()).expect("an answer"), respond).expect("sent");
    };
    let (keys, hosts) = (Keys::new(), Hosts::of([Host::Scripted(Arc::new(script))]));
    let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock, Random::seeded(1));
    let (network, random) = (hosts.network(), Random::seeded(1));
    let options = ChannelOptions { network, random, contracts: contracts(), ..ChannelOptions::default() };
    (Channel::connect("echo", "http://echo:80", identity, options), seen)
}

async fn row(method: &'static str, answers: &[Answer], code: Code, attempts: &[Option<&str>], millis: Range<u64>) {
    let (channel, seen) = callee(answers.to_vec());
    let began = Instant::now();
    let outcome = say(&channel, method, "hello").await.map_or_else(|status| status.code(), |_| Code::Ok);
    let elapsed = u64::try_from(began.elapsed().as_millis()).expect("short");
    assert_eq!(outcome, code, "{method} {answers:?}");
    assert!(millis.contains(&elapsed), "{method} {answers:?} took {elapsed} ms");
    let seen: Vec<_> = seen.lock().expect("unpoisoned").clone();
    let seen: Vec<_> = seen.iter().map(Option::as_deref).collect();
    assert_eq!(seen, attempts, "{method} {answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_response_is_one_of_five_kinds() {
    let (one, two, three) = ([None], [None, Some("1")], [None, Some("1"), Some("2")]);
    let at_once = 0..5;
    // 1. OK. 2. A fatal code.
    row("Public", &[Fine], Code::Ok, &one, at_once.clone()).await;
    for code in [Code::NotFound, Code::Internal, Code::Aborted, Code::ResourceExhausted, Code::DeadlineExceeded] {
        row("Public", &[Status(code), Fine], code, &one, at_once.clone()).await;
        // Nor does pushback make a code retryable, but for the one that it is meant for.
        if code != Code::ResourceExhausted {
            row("Public", &[Pushback(code, &["10"]), Fine], code, &one, at_once.clone()).await;
        }
    }
    // 3. A retryable code: 50 ms and 100 ms, ±20 %, three attempts in all.
    row("Public", &[DOWN, Fine], Code::Ok, &two, 40..65).await;
    row("Public", &[DOWN, DOWN, Fine], Code::Ok, &three, 120..185).await;
    row("Public", &[DOWN], Code::Unavailable, &three, 120..185).await;
    row("Public", &[DOWN, Status(Code::NotFound)], Code::NotFound, &two, 40..65).await;
    row("Once", &[DOWN, Fine], Code::Unavailable, &one, at_once.clone()).await;
    // 4. With pushback: exactly so long, and the growth of the pauses starts over.
    row("Public", &[Pushback(Code::Unavailable, &["300"]), Fine], Code::Ok, &two, 300..305).await;
    row("Public", &[Pushback(Code::Unavailable, &["0"]), Fine], Code::Ok, &two, at_once.clone()).await;
    row("Public", &[Pushback(Code::ResourceExhausted, &["300"]), Fine], Code::Ok, &two, 300..305).await;
    row("Public", &[DOWN, Pushback(Code::Unavailable, &["300"]), Fine], Code::Ok, &three, 340..365).await;
    row("Public", &[Pushback(Code::Unavailable, &["300"]), DOWN, Fine], Code::Ok, &three, 340..365).await;
    row("Public", &[Pushback(Code::Unavailable, &["3000"])], Code::Unavailable, &one, at_once.clone()).await;
    // 5. With a pushback that says no, or nothing that can be understood.
    for values in [&["-1"][..], &["soon"], &[""], &["1.5"], &["99999999999999999999"], &["10", "10"]] {
        row("Public", &[Pushback(Code::Unavailable, values), Fine], Code::Unavailable, &one, at_once.clone()).await;
        row("Public", &[Pushback(Code::ResourceExhausted, values), Fine], Code::ResourceExhausted, &one, 0..5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn response_headers_commit_a_call() {
    for (late, code) in
        [(Late(Code::Unavailable), Code::Unavailable), (LateReset(Reason::INTERNAL_ERROR), Code::Internal)]
    {
        row("Public", &[late, Fine], code, &[None], 0..5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_unread_is_sent_again_once_at_once_and_is_no_attempt() {
    for method in ["Public", "Once"] {
        row(method, &[REFUSED, Fine], Code::Ok, &[None, None], 0..5).await;
    }
    // Beyond the once it is a failure like others, though safe to repeat for every method.
    for method in ["Public", "Once"] {
        row(method, &[REFUSED, REFUSED, Fine], Code::Ok, &[None, None, Some("1")], 40..65).await;
        row(method, &[REFUSED], Code::Unavailable, &[None, None, Some("1"), Some("2")], 120..185).await;
    }
    row("Once", &[REFUSED, REFUSED, DOWN], Code::Unavailable, &[None, None, Some("1")], 40..65).await;
    // A reset that does not say so may come after the callee has acted.
    for (reason, code) in [
        (Reason::CANCEL, Code::Cancelled),
        (Reason::INTERNAL_ERROR, Code::Internal),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
    ] {
        row("Public", &[Reset(reason), Fine], code, &[None], 0..5).await;
    }
}

async fn calls(channel: &Channel, count: usize) {
    for _ in 0..count {
        let _ = say(channel, "Public", "hello").await;
    }
}

fn attempts(seen: &Seen) -> usize {
    std::mem::take(&mut *seen.lock().expect("unpoisoned")).len()
}

#[tokio::test(start_paused = true)]
async fn failures_take_a_token_and_successes_give_a_tenth_back() {
    // 1000 tokens: 166 calls of three attempts, and the second failure of one more, leave 500, and those are not for retries.
    let script = [vec![DOWN; 500], vec![DOWN; 10], vec![Fine; 125], vec![DOWN; 3]].concat();
    let (channel, seen) = callee(script);
    calls(&channel, 167).await;
    assert_eq!(attempts(&seen), 500);
    calls(&channel, 10).await;
    assert_eq!(attempts(&seen), 10, "490 are left");
    calls(&channel, 125).await;
    assert_eq!(attempts(&seen), 125, "and now 502.5");
    calls(&channel, 1).await;
    assert_eq!(attempts(&seen), 3);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_however_long_some_five_hundred_successes_are_enough() {
    for (fine, repeats) in [(500, 1), (600, 3)] {
        let (channel, seen) = callee([vec![DOWN; 2000], vec![Fine; fine], vec![DOWN; 3]].concat());
        // 167 calls have the first 500 failures, each of 1500 others one.
        calls(&channel, 167 + 1500 + fine).await;
        assert_eq!(attempts(&seen), 2000 + fine);
        calls(&channel, 1).await;
        assert_eq!(attempts(&seen), repeats, "after {fine}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_failures_give_nothing_and_a_no_takes_a_token_whatever_the_code() {
    let no = Pushback(Code::NotFound, &["-1"]);
    let (channel, seen) = callee([vec![no; 500], vec![Status(Code::NotFound); 100], vec![DOWN; 3]].concat());
    calls(&channel, 600).await;
    assert_eq!(attempts(&seen), 600);
    calls(&channel, 1).await;
    assert_eq!(attempts(&seen), 1, "not again");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_seen_takes_no_token() {
    let (channel, seen) = callee([[REFUSED, Status(Code::NotFound)].repeat(600), vec![DOWN; 3]].concat());
    calls(&channel, 600).await;
    assert_eq!(attempts(&seen), 1200);
    calls(&channel, 1).await;
    assert_eq!(attempts(&seen), 3);
}
