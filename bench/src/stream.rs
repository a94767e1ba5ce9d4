//! A stream of sign-ups: each is repeated with the same request id until it is acknowledged, as a client would.

use std::{
    error::Error,
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::mesh::Random;
use clap::Args;
use proto::sso::v1::{
    AccountType, SignUpRequest, SignUpResponse, auth_service_client::AuthServiceClient, sign_up_request::Identifier,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(6);
/// The pause before a repeat.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one sign-up is repeated: a service that does not come back in this time is a finding.
const GIVE_UP: Duration = Duration::from_secs(120);

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where SSO is; more than once for its replicas, which take turns
    #[arg(long, required = true)]
    sso: Vec<String>,
    /// How many people sign up
    #[arg(long)]
    count: u64,
    /// How many of them in a second, at most
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// How many at a time, at most
    #[arg(long, default_value_t = 16)]
    callers: u64,
    /// The file that gets a line for each who was acknowledged: user id, username
    #[arg(long)]
    acknowledged: PathBuf,
    /// Goes before every username: two streams into one deployment need two
    #[arg(long, default_value = "crowd")]
    prefix: String,
}

struct Stream {
    arguments: Arguments,
    clients: Vec<AuthServiceClient<Channel>>,
    random: Random,
    next: AtomicU64,
    repeats: AtomicU64,
    acknowledged: Mutex<File>,
    began: Instant,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let connect = |uri: &String| Ok(AuthServiceClient::new(Endpoint::from_shared(uri.clone())?.connect_lazy()));
    let clients = arguments.sso.iter().map(connect).collect::<Result<_, tonic::transport::Error>>()?;
    let acknowledged = Mutex::new(File::create(&arguments.acknowledged)?);
    let (callers, count) = (arguments.callers, arguments.count);
    let (next, repeats) = (AtomicU64::new(0), AtomicU64::new(0));
    let (random, began) = (Random::system(), Instant::now());
    let stream = Arc::new(Stream { arguments, clients, random, next, repeats, acknowledged, began });
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let stream = Arc::clone(&stream);
        tasks.spawn(async move { stream.caller().await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let (seconds, repeats) = (began.elapsed().as_secs_f64(), stream.repeats.load(Ordering::Relaxed));
    let rate = count as f64 / seconds;
    writeln!(io::stdout(), "{count} sign-ups in {seconds:.1} s, {rate:.0}/s; {repeats} attempts came to nothing")?;
    Ok(())
}

impl Stream {
    /// One caller: signs up one after the other until there are enough.
    async fn caller(&self) -> io::Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.arguments.count {
                return Ok(());
            }
            let micros = number * 1_000_000 / self.arguments.rate.max(1);
            sleep_until(self.began + Duration::from_micros(micros)).await;
            let user_id = self.sign_up(number).await.map_err(io::Error::other)?;
            let mut file = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(file, "{user_id} {}{number}", self.arguments.prefix)?;
        }
    }

    async fn sign_up(&self, number: u64) -> Result<String, Status> {
        let username = format!("{}{number}", self.arguments.prefix);
        let request = SignUpRequest {
            request_id: mesh::uuid_v7(&mesh::Clock::system(), &self.random).to_string(),
            identifier: Some(Identifier::Email(format!("{username}@example.com"))),
            password: "correct horse battery".to_owned(),
            account_type: AccountType::Customer.into(),
            username,
        };
        let (first, until) = (number as usize, Instant::now() + GIVE_UP);
        for attempt in 0.. {
            let mut client = self.clients[(first + attempt) % self.clients.len()].clone();
            let status = match timeout(PATIENCE, client.sign_up(request.clone())).await {
                Ok(Ok(answer)) => return user_id(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            // Everything else is an answer, and none that a sign-up may get.
            let passing =
                [Code::Unavailable, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Unknown, Code::Cancelled];
            if !passing.contains(&status.code()) || Instant::now() > until {
                return Err(status);
            }
            self.repeats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        Err(Status::unavailable("never"))
    }
}

fn user_id(answer: SignUpResponse) -> Result<String, Status> {
    answer.user.map(|user| user.id).ok_or_else(|| Status::internal("an acknowledged sign-up without a user"))
}
