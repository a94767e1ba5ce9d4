//! What identity costs, beside the hash alone: sign-ins lone and saturated, reads meanwhile, refreshes, tokens, and the memory of sessions. One process holds Plaza and
//! whoever calls it, in memory; what is compared takes turns, so that a busy machine is unfair to both.

use std::{
    error::Error,
    fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use ::mesh::{
    Clock, Random,
    token::{Claims, Expected, Keyring, Kind, Signer, Verifier, VerifyingKey},
    uuid_v7,
};
use clap::Args;
use proto::sso::v1::{GetAccountRequest, RefreshTokenRequest, account_service_client::AccountServiceClient};
use tokio::{task::JoinSet, time::Instant};
use tonic::Code;

use crate::{
    aims::{Aim, Aims},
    people::{Person, Plaza, bearer},
    println,
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement under load
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Sessions whose memory is measured; the figure is for 10,000
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
}

/// Measures, and prints each figure beside what is aimed at. Fails if an aim is missed.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let plaza = Plaza::start(12).await?;
    let anna = plaza.join("anna").await?;
    let ben = plaza.join("ben").await?;
    let span = Duration::from_secs(arguments.seconds);
    let mut aims = Aims::default();
    lone(&plaza, &anna, arguments.rounds * 4, &mut aims).await?;
    saturated(&plaza, &anna, arguments.rounds, span, &mut aims).await;
    reads(&plaza, &anna, &ben, span, &mut aims).await?;
    refreshes(&plaza, &anna, &ben, span, &mut aims).await?;
    plaza.stop().await;
    verifications(&mut aims);
    memory(arguments.sessions, &mut aims).await?;
    Ok(aims.conclude()?)
}

/// One hash at cost 12, of as many bytes as SSO hashes.
fn hash() {
    black_box(bcrypt::hash_with_salt([b'x'; 64], 12, [7; 16]).ok());
}

async fn lone(plaza: &Plaza, person: &Person, rounds: usize, aims: &mut Aims) -> Result<(), Box<dyn Error>> {
    let (mut hashes, mut sign_ins) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        tokio::task::spawn_blocking(hash).await?;
        hashes.push(millis(begun.elapsed()));
        let begun = Instant::now();
        plaza.sign_in(person).await?;
        sign_ins.push(millis(begun.elapsed()));
    }
    let (hash, sign_in) = (quantile(&mut hashes, 0.5), quantile(&mut sign_ins, 0.5));
    println(&format!("lone sign-in         p50 {sign_in:.1} ms, the hash {hash:.1} ms"));
    aims.judge("a lone sign-in beside its hash", sign_in / hash, Aim::AtMost(1.05));
    Ok(())
}

async fn saturated(plaza: &Plaza, person: &Person, rounds: usize, span: Duration, aims: &mut Aims) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (mut hashes, mut sign_ins, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = tokio::task::spawn_blocking(move || hashes_alone(cores, span)).await.unwrap_or_default();
        let through = sign_ins_of(plaza, person, cores * 2, span).await;
        shares.push(through / alone);
        hashes.push(alone);
        sign_ins.push(through);
    }
    let of = |values: &mut Vec<f64>| quantile(values, 0.5);
    let (sign_ins, hashes, share) = (of(&mut sign_ins), of(&mut hashes), of(&mut shares));
    println(&format!("saturated sign-ins   {sign_ins:.2}/s, hashes alone {hashes:.2}/s"));
    aims.judge("sign-ins on all cores beside hashes alone", share, Aim::AtLeast(0.97));
}

/// Hashes a second on so many threads.
fn hashes_alone(threads: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let hashing = (0..threads).map(|_| {
        thread::spawn(move || {
            let mut done = 0;
            while begun.elapsed() < span {
                hash();
                done += 1;
            }
            done
        })
    });
    let hashing: Vec<_> = hashing.collect();
    let done: u32 = hashing.into_iter().map(|thread| thread.join().unwrap_or(0)).sum();
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// Sign-ins a second by so many callers.
async fn sign_ins_of(plaza: &Plaza, person: &Person, callers: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let mut calling = JoinSet::new();
    for _ in 0..callers {
        let (plaza, person) = (plaza.clone(), person.clone());
        calling.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < span {
                done += u32::from(plaza.sign_in(&person).await.is_ok());
            }
            done
        });
    }
    let done: u32 = calling.join_all().await.into_iter().sum();
    f64::from(done) / begun.elapsed().as_secs_f64()
}

async fn reads(
    plaza: &Plaza,
    signing: &Person,
    reading: &Person,
    span: Duration,
    aims: &mut Aims,
) -> Result<(), Box<dyn Error>> {
    let token = plaza.sign_in(reading).await?.access_token;
    let mut idle = read_for(plaza, &token, span).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut calling = JoinSet::new();
    for _ in 0..128 {
        let (plaza, person, over) = (plaza.clone(), signing.clone(), Arc::clone(&over));
        calling.spawn(async move {
            let (mut refused, mut late, mut longest) = (0, 0, Duration::ZERO);
            while !over.load(Relaxed) {
                let begun = Instant::now();
                match plaza.sign_in(&person).await {
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused += 1;
                        longest = longest.max(begun.elapsed());
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    Err(_) => late += 1,
                    Ok(_) => {}
                }
            }
            (refused, late, longest)
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut busy = read_for(plaza, &token, span).await;
    over.store(true, Relaxed);
    let answers = calling.join_all().await;
    let (refused, late): (u64, u64) = answers.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let longest = answers.iter().map(|one| one.2).max().unwrap_or_default();
    let (idle, busy) = (quantile(&mut idle, 0.99), quantile(&mut busy, 0.99));
    println(&format!("a read meanwhile     p99 {busy:.2} ms, idle {idle:.2} ms"));
    aims.judge("p99 of a read during sign-ins, beside idle", busy / idle, Aim::AtMost(2.0));
    println(&format!("excess sign-ins      {refused} refused, after {:.0} ms at most", millis(longest)));
    aims.judge("excess sign-ins that are late rather than refused", late as f64, Aim::AtMost(0.0));
    Ok(())
}

/// How long reads take, in milliseconds, one every two milliseconds.
async fn read_for(plaza: &Plaza, token: &str, span: Duration) -> Vec<f64> {
    let (mut account, begun, mut took) = (AccountServiceClient::new(plaza.sso()), Instant::now(), Vec::new());
    while begun.elapsed() < span {
        let asked = Instant::now();
        if account.get_account(bearer(GetAccountRequest {}, token)).await.is_ok() {
            took.push(millis(asked.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took
}

async fn refreshes(
    plaza: &Plaza,
    anna: &Person,
    ben: &Person,
    span: Duration,
    aims: &mut Aims,
) -> Result<(), Box<dyn Error>> {
    let mut tokens = Vec::new();
    for at in 0..64 {
        tokens.push(plaza.sign_in(if at % 2 == 0 { anna } else { ben }).await?.refresh_token);
    }
    let begun = Instant::now();
    let mut calling = JoinSet::new();
    for mut token in tokens {
        let mut auth = plaza.auth();
        calling.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < span {
                let request = RefreshTokenRequest { refresh_token: token.clone() };
                let Ok(answer) = auth.refresh_token(request).await else { break };
                token = answer.into_inner().tokens.unwrap_or_default().refresh_token;
                done += 1;
            }
            done
        });
    }
    let done: u32 = calling.join_all().await.into_iter().sum();
    aims.judge("refreshes a second", f64::from(done) / begun.elapsed().as_secs_f64(), Aim::AtLeast(5000.0));
    Ok(())
}

fn verifications(aims: &mut Aims) {
    let (clock, random, keyring) = (Clock::system(), Random::system(), Keyring::new());
    let signer = Signer::generate(&random, "bench");
    keyring.insert(VerifyingKey { key: signer.public().clone(), kinds: vec![Kind::Access], not_after: None });
    let verifier =
        Verifier::new(keyring, Expected { deployment: "bench", audience: "bench", issuer: "bench" }, clock.clone());
    let now = clock.now();
    let tokens: Vec<_> = (0..4000)
        .map(|_| {
            let id = uuid_v7(&clock, &random);
            signer.sign(&Claims {
                kind: Kind::Access,
                issuer: "bench".to_owned(),
                audience: "bench".to_owned(),
                subject: id.to_string(),
                session: Some(id),
                id,
                issued_at: now,
                not_before: now,
                expires_at: now + Duration::from_secs(900),
            })
        })
        .collect();
    let each = || {
        let begun = Instant::now();
        let good = tokens.iter().filter(|token| black_box(verifier.verify(token)).is_ok()).count();
        assert_eq!(good, tokens.len(), "the tokens hold");
        begun.elapsed().as_secs_f64() * 1e6 / tokens.len() as f64
    };
    let cold = each();
    let mut cached: Vec<_> = (0..9).map(|_| each()).collect();
    println(&format!("a token verified     for the first time {cold:.1} µs"));
    aims.judge("a token verified again, µs", quantile(&mut cached, 0.5), Aim::AtMost(1.0));
}

/// Sessions at the least cost that a release program takes: what is measured is what stays of them.
async fn memory(sessions: usize, aims: &mut Aims) -> Result<(), Box<dyn Error>> {
    let plaza = Plaza::start(10).await?;
    let mut people = Vec::new();
    for at in 0..sessions.div_ceil(50) {
        people.push(plaza.join(&format!("person{at}")).await?);
    }
    let before = resident()?;
    for at in 0..sessions {
        plaza.sign_in(&people[at % people.len()]).await?;
    }
    let more = (resident()? - before).max(0.0) * 10_000.0 / sessions as f64;
    aims.judge(&format!("10,000 sessions, MiB, from {sessions}"), more, Aim::AtMost(10.0));
    plaza.stop().await;
    Ok(())
}

/// VmRSS, in MiB.
fn resident() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value that so large a part of all lies below.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
