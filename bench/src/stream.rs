//! A stream of people: each signs up, and then half of them are renamed, become another kind of account, or are deleted. Each call is repeated with the same
//! request id until it is acknowledged, as a client would.

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

use clap::Args;
use proto::sso::v1::{
    AccountType, DeleteUserRequest, UpdateUserRequest, auth_service_client::AuthServiceClient,
    user_service_client::UserServiceClient,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};

use crate::people::{self, Person, bearer};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(6);
/// The pause before a repeat.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one call is repeated: a service that does not come back in this time is a finding.
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
    /// An operator's token, for those who change and are deleted
    #[arg(long)]
    operator: String,
    /// The file that gets a line for each call that was acknowledged: whose, by number, user id, and, unless deleted, username and account type
    #[arg(long)]
    acknowledged: PathBuf,
    /// Goes before every username: two streams into one deployment need two
    #[arg(long, default_value = "crowd")]
    prefix: String,
}

struct Stream {
    arguments: Arguments,
    channels: Vec<Channel>,
    next: AtomicU64,
    changes: AtomicU64,
    repeats: AtomicU64,
    acknowledged: Mutex<File>,
    began: Instant,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let connect = |uri: &String| Ok(Endpoint::from_shared(uri.clone())?.connect_lazy());
    let channels = arguments.sso.iter().map(connect).collect::<Result<_, tonic::transport::Error>>()?;
    let acknowledged = Mutex::new(File::create(&arguments.acknowledged)?);
    let (callers, count) = (arguments.callers, arguments.count);
    let [next, changes, repeats] = [const { AtomicU64::new(0) }; 3];
    let began = Instant::now();
    let stream = Arc::new(Stream { arguments, channels, next, changes, repeats, acknowledged, began });
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let stream = Arc::clone(&stream);
        tasks.spawn(async move { stream.caller().await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (rate, of) = (count as f64 / seconds, |counted: &AtomicU64| counted.load(Ordering::Relaxed));
    let (changes, repeats) = (of(&stream.changes), of(&stream.repeats));
    let what = format!("{count} sign-ups, {changes} changes and deletions in {seconds:.1} s, {rate:.0} sign-ups/s");
    writeln!(io::stdout(), "{what}; {repeats} attempts came to nothing")?;
    Ok(())
}

impl Stream {
    /// One caller: one person after the other, until there are enough.
    async fn caller(&self) -> io::Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.arguments.count {
                return Ok(());
            }
            let micros = number * 1_000_000 / self.arguments.rate.max(1);
            sleep_until(self.began + Duration::from_micros(micros)).await;
            self.live(number).await.map_err(io::Error::other)?;
        }
    }

    /// What becomes of a person.
    async fn live(&self, number: u64) -> Result<(), Status> {
        let (name, renamed) =
            (format!("{}{number}", self.arguments.prefix), format!("{}{number}b", self.arguments.prefix));
        let user_id = self.sign_up(number, &name).await?;
        let (customer, official) = (AccountType::Customer, AccountType::Official);
        match number % 8 {
            0..4 => {}
            4 => self.change(number, &user_id, &renamed, customer).await?,
            5 => self.change(number, &user_id, &name, official).await?,
            6 => self.delete(number, &user_id).await?,
            _ => {
                self.change(number, &user_id, &renamed, official).await?;
                self.delete(number, &user_id).await?;
            }
        }
        Ok(())
    }

    async fn sign_up(&self, number: u64, name: &str) -> Result<String, Status> {
        let request = people::sign_up(&Person::new(name));
        let call = |channel| {
            let request = request.clone();
            async move { AuthServiceClient::new(channel).sign_up(request).await }
        };
        let user = self.insist(number, call).await?.user;
        let user_id = user.ok_or_else(|| Status::internal("an acknowledged sign-up without a user"))?.id;
        self.write_down(number, &format!("{user_id} {name} {}", AccountType::Customer as i32))?;
        Ok(user_id)
    }

    async fn change(&self, number: u64, user_id: &str, name: &str, kind: AccountType) -> Result<(), Status> {
        let request = UpdateUserRequest {
            request_id: people::id(),
            user_id: user_id.to_owned(),
            account_type: kind.into(),
            username: name.to_owned(),
            ..Default::default()
        };
        let call = |channel| {
            let request = bearer(request.clone(), &self.arguments.operator);
            async move { UserServiceClient::new(channel).update_user(request).await }
        };
        self.insist(number, call).await?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.write_down(number, &format!("{user_id} {name} {}", kind as i32))
    }

    async fn delete(&self, number: u64, user_id: &str) -> Result<(), Status> {
        let request = DeleteUserRequest { request_id: people::id(), user_id: user_id.to_owned() };
        let call = |channel| {
            let request = bearer(request.clone(), &self.arguments.operator);
            async move { UserServiceClient::new(channel).delete_user(request).await }
        };
        self.insist(number, call).await?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.write_down(number, user_id)
    }

    /// Calls one replica after the other, until one acknowledges.
    async fn insist<A, F>(&self, number: u64, call: impl Fn(Channel) -> F) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (first, until) = (number as usize, Instant::now() + GIVE_UP);
        for attempt in 0.. {
            let channel = self.channels[(first + attempt) % self.channels.len()].clone();
            let status = match timeout(PATIENCE, call(channel)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            // Everything else is an answer, and none that these calls may get.
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

    fn write_down(&self, number: u64, what: &str) -> Result<(), Status> {
        let mut file = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writeln!(file, "{number} {what}")?)
    }
}
