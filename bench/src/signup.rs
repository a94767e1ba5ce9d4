//! What a sign-up costs in the all-in-one besides its commits, and what an outage of Blog costs those who sign up after it.
//!
//! The floor is the commits alone: as many, in the same order and at once where the sign-up has them at once, of the same rows in the same tables, by
//! the same data layer, on the same disk. Rounds take turns, and of each figure the median over the rounds is shown.

mod floor;

use std::{
    error::Error,
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::mesh::{Admin, Channel, Clock, Random, Shutdown, uuid_v7};
use clap::Args;
use onebox::{Config, Edge, Onebox, Part};
use proto::sso::v1::{
    AccountType, ProvisioningState, SignUpRequest, auth_service_client::AuthServiceClient, sign_up_request::Identifier,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::aims::{Aim, Aims};
use floor::Floor;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many sign-ups make one measurement
    #[arg(long, default_value_t = 200)]
    sign_ups: usize,
    /// How many sign-ups Blog misses
    #[arg(long, default_value_t = 10_000)]
    owed: u64,
    /// How many people a second sign up before and after
    #[arg(long, default_value_t = 50)]
    rate: u64,
}

pub(super) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The lowest that bcrypt has.
const COST: u32 = 4;
/// Between one and the next, so that neither side is measured while the other still writes.
const PAUSE: Duration = Duration::from_millis(10);
const PASSWORD: &str = "correct horse battery";
/// Rows a second that a backlog may take: SSO takes 500 of them at most, by pages, so that those who sign up meanwhile have room.
const DRAIN: [f64; 2] = [400.0, 550.0];

/// Measures, and prints what came of it. Fails if an aim is missed.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(".")?;
    let bench = Bench::start(folder.path()).await.map_err(|error| error.to_string())?;
    say(format_args!(
        "Passwords are hashed at bcrypt cost {COST}, for this benchmark alone; it is 12 by default. The hash is taken off the figures."
    ))?;
    let mut aims = Aims::default();
    bench.cost(&arguments, &mut aims).await.map_err(|error| error.to_string())?;
    bench.outage(&arguments, &mut aims).await.map_err(|error| error.to_string())?;
    bench.plaza.stop().await;
    Ok(aims.conclude()?)
}

struct Bench {
    plaza: Onebox,
    floor: Floor,
    crowd: Crowd,
}

impl Bench {
    async fn start(folder: &Path) -> Outcome<Self> {
        let mut config = Config::embedded(&folder.join("plaza"))?;
        config.sso.passwords.cost = COST;
        config.sms.carrier = sms::CarrierConfig::Development { console: false };
        let plaza = Onebox::start(config, Edge::system()).await?;
        let channel = plaza.client(Part::Sso).ok_or("SSO runs")?;
        let crowd = Crowd { sso: AuthServiceClient::new(channel), count: Arc::default(), random: Random::system() };
        Ok(Self { plaza, floor: Floor::open(folder).await?, crowd })
    }

    async fn cost(&self, Arguments { rounds, sign_ups, .. }: &Arguments, aims: &mut Aims) -> Outcome<()> {
        let mut medians: [Vec<Duration>; 4] = Default::default();
        for round in 0..=*rounds {
            let mut took: [Vec<Duration>; 4] = Default::default();
            for _ in 0..*sign_ups {
                let whole = self.crowd.sign_up(true).await?;
                // What nobody waits for is done by then, on either side.
                sleep_until(Instant::now() + PAUSE).await;
                let (waited, all) = self.floor.sign_up().await?;
                sleep_until(Instant::now() + PAUSE).await;
                for (took, one) in took.iter_mut().zip([whole, hashed()?, all, waited]) {
                    took.push(one);
                }
            }
            // The first warms up.
            if round > 0 {
                medians.iter_mut().zip(&mut took).for_each(|(medians, took)| medians.push(percentile(took, 50)));
            }
        }
        let [whole, hash, all, waited] = &mut medians;
        let own: Vec<Duration> = whole.iter().zip(&*hash).map(|(whole, hash)| whole.saturating_sub(*hash)).collect();
        let (beside_all, beside_waited) = (ratios(&own, all), ratios(&own, waited));
        let [whole, hash, all, waited] = [whole, hash, all, waited].map(|medians| percentile(medians, 50));
        say(format_args!("one sign-up, to provisioned, p50   {whole:>10.1?}, of which the hash {hash:.1?}"))?;
        say(format_args!("its commits alone, p50             {all:>10.1?}, of which it waits for {waited:.1?}"))?;
        for (what, [median, least, most]) in [("its commits", beside_all), ("those it waits for", beside_waited)] {
            say(format_args!(
                "without the hash, beside {what:<19} {median:>5.2} ({least:.2} to {most:.2} in {rounds} rounds)"
            ))?;
        }
        aims.judge("a sign-up to provisioned less its hash, beside its commits", beside_all[0], Aim::AtMost(1.15));
        Ok(())
    }

    async fn outage(&self, arguments: &Arguments, aims: &mut Aims) -> Outcome<()> {
        let Arguments { owed, rate, .. } = *arguments;
        let stop = Arc::new(AtomicU64::new(0));
        let quiet = tokio::spawn(self.crowd.clone().stream(rate, Arc::clone(&stop)));
        sleep_until(Instant::now() + Duration::from_secs(10)).await;
        stop.store(1, Ordering::Relaxed);
        let mut quiet = quiet.await??;

        self.plaza.withdraw(Part::Blog);
        let began = Instant::now();
        self.crowd.rush(owed).await?;
        let (pending, took) = (self.pending().await?, began.elapsed().as_secs_f64());
        say(format_args!(
            "{owed} sign-ups without Blog, 64 at a time: {:.0}/s; {pending} are owed to it",
            owed as f64 / took
        ))?;

        let stop = Arc::new(AtomicU64::new(0));
        let busy = tokio::spawn(self.crowd.clone().stream(rate, Arc::clone(&stop)));
        self.plaza.publish(Part::Blog);
        let (began, mut left, mut rates) = (Instant::now(), vec![pending], Vec::new());
        while left.last().is_some_and(|left| *left > 0) {
            sleep_until(began + Duration::from_secs(left.len() as u64)).await;
            left.push(self.pending().await?);
        }
        let seconds = began.elapsed().as_secs_f64();
        stop.store(1, Ordering::Relaxed);
        let mut busy = busy.await??;
        rates.extend(left.windows(2).map(|pair| pair[0].saturating_sub(pair[1])));
        // The first second waits for the probe, and the last is not a whole one.
        let mut steady = rates.get(1..rates.len().saturating_sub(1)).unwrap_or_default().to_vec();
        steady.sort_unstable();
        let (least, most) = (steady.first().unwrap_or(&0), steady.last().unwrap_or(&0));
        say(format_args!("drained in {seconds:.0} s"))?;
        aims.judge("rows drained in the slowest second", *least as f64, Aim::AtLeast(DRAIN[0]));
        aims.judge("rows drained in the fastest second", *most as f64, Aim::AtMost(DRAIN[1]));
        for (when, latencies) in [("before the outage", &mut quiet), ("while it drains", &mut busy)] {
            let (p50, p99, count) = (percentile(latencies, 50), percentile(latencies, 99), latencies.len());
            say(format_args!(
                "{rate} sign-ups a second {when:<18} p50 {p50:>8.1?}  p99 {p99:>8.1?}  ({count} of them)"
            ))?;
        }
        let [quiet, busy] = [&mut quiet, &mut busy].map(|latencies| percentile(latencies, 99).as_secs_f64());
        aims.judge("p99 of a sign-up while it drains, beside before", busy / quiet, Aim::AtMost(2.0));
        Ok(())
    }

    async fn pending(&self) -> Outcome<u64> {
        let admin = Admin::new(Shutdown::manual());
        self.plaza.describe(&admin);
        let (page, name) = (admin.metrics().await, "plaza_work_pending{work=\"provisioning\",target=\"blog\"} ");
        let line = page.lines().find_map(|line| line.strip_prefix(name)).ok_or("no figure of what is pending")?;
        Ok(line.parse::<f64>()? as u64)
    }
}

/// People who sign up, each for the first time.
#[derive(Clone)]
struct Crowd {
    sso: AuthServiceClient<Channel>,
    count: Arc<AtomicU64>,
    random: Random,
}

impl Crowd {
    /// How long a sign-up took; to `provisioned` everywhere, if that is wanted.
    async fn sign_up(&self, provisioned: bool) -> Outcome<Duration> {
        let username = format!("person{}", self.count.fetch_add(1, Ordering::Relaxed));
        let request = SignUpRequest {
            request_id: uuid_v7(&Clock::system(), &self.random).to_string(),
            identifier: Some(Identifier::Email(format!("{username}@example.com"))),
            password: PASSWORD.to_owned(),
            account_type: AccountType::Customer.into(),
            username,
        };
        let began = Instant::now();
        let answer = self.sso.clone().sign_up(request).await?.into_inner();
        let took = began.elapsed();
        if provisioned && answer.provisioning.iter().any(|one| one.state() != ProvisioningState::Done) {
            return Err("a sign-up was not provisioned at once".into());
        }
        Ok(took)
    }

    /// `count` sign-ups, 64 at a time.
    async fn rush(&self, count: u64) -> Outcome<()> {
        let (left, mut callers) = (Arc::new(AtomicU64::new(count)), JoinSet::new());
        for _ in 0..64 {
            let (crowd, left) = (self.clone(), Arc::clone(&left));
            callers.spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    crowd.sign_up(false).await?;
                }
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// `rate` sign-ups a second until it is to stop, however long each takes. Each is timed from when it was due.
    async fn stream(self, rate: u64, stop: Arc<AtomicU64>) -> Outcome<Vec<Duration>> {
        let (began, took, mut callers) = (Instant::now(), Arc::new(Mutex::new(Vec::new())), JoinSet::new());
        for number in 0.. {
            if stop.load(Ordering::Relaxed) > 0 {
                break;
            }
            let due = began + Duration::from_micros(number * 1_000_000 / rate.max(1));
            sleep_until(due).await;
            let (crowd, took) = (self.clone(), Arc::clone(&took));
            callers.spawn(async move {
                crowd.sign_up(false).await?;
                took.lock().unwrap_or_else(PoisonError::into_inner).push(due.elapsed());
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The ratios of the rounds: the median, the least and the most.
fn ratios(these: &[Duration], those: &[Duration]) -> [f64; 3] {
    let mut ratios: Vec<f64> =
        these.iter().zip(those).map(|(this, that)| this.as_secs_f64() / that.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    [ratios.get(ratios.len() / 2), ratios.first(), ratios.last()].map(|ratio| ratio.copied().unwrap_or(f64::NAN))
}

/// How long a hash takes, in the same round.
fn hashed() -> Outcome<Duration> {
    let began = Instant::now();
    bcrypt::hash(PASSWORD, COST)?;
    Ok(began.elapsed())
}

fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
