//! Opening a database: which engine, and how long its server is waited for.

use crate::figures::Figures;
use crate::worker::Workers;
use crate::{Migrations, OpenError, Options, postgres, sqlite};
use std::fmt::Display;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// Between the first two attempts; twice as long each time, up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long a server that is away is waited for, from the beginning of the opening.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    began: Instant,
    most: Option<Duration>,
    pause: Duration,
}

impl Waiting {
    pub(crate) fn new(most: Option<Duration>) -> Self {
        Self { began: Instant::now(), most, pause: PAUSE }
    }

    /// Returns after a pause, each twice as long as the last; or `false` at once, if it has been long enough.
    pub(crate) async fn again(&mut self, cause: &impl Display) -> bool {
        if self.most.is_some_and(|most| self.began.elapsed() >= most) {
            return false;
        }
        tracing::warn!(%cause, "waiting for the database");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        true
    }
}

/// What is opened, and where it is counted.
type What = (Options, Migrations, Arc<Figures>);

/// Opens the database, as soon as its server can be reached.
pub(crate) async fn open(
    options: Options,
    migrations: Migrations,
    figures: Arc<Figures>,
    mut waiting: Waiting,
) -> Result<Workers, OpenError> {
    let what = Arc::new((options, migrations, figures));
    loop {
        let opened = if what.0.inline { attempt(&what) } else { aside(Arc::clone(&what)).await };
        match &opened {
            Err(OpenError::Unreachable(cause)) if waiting.again(cause).await => {}
            _ => return opened,
        }
    }
}

/// On a thread of its own, not one of the runtime's: that would not end before the attempt does, and another program
/// may hold the migrations' lock for long. A program that ends meanwhile is one that crashes, to the database.
async fn aside(what: Arc<What>) -> Result<Workers, OpenError> {
    let (sender, opened) = oneshot::channel();
    let thread = thread::Builder::new().name("db-open".to_owned()).spawn(move || {
        if let Err(Ok(workers)) = sender.send(attempt(&what)) {
            workers.close();
        }
    });
    thread.map_err(|error| OpenError::Connect(format!("cannot start a thread: {error}")))?;
    opened.await.unwrap_or_else(|_| Err(OpenError::Connect("the attempt panicked".to_owned())))
}

fn attempt((options, migrations, figures): &What) -> Result<Workers, OpenError> {
    crate::migrate::same_names(migrations)?;
    if let Some(path) = options.url.strip_prefix("sqlite:") {
        sqlite::open(path, options, migrations, figures)
    } else if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
        postgres::open(options, migrations, figures)
    } else {
        let scheme = options.url.split(':').next().filter(|rest| rest.len() < options.url.len());
        Err(OpenError::Url(scheme.map_or_else(|| "it has no scheme".to_owned(), |s| format!("its scheme is {s:?}"))))
    }
}
