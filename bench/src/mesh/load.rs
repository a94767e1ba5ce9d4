//! Calls, one after the other or when they are due.

use std::{error::Error, sync::Arc, time::Duration};

use proto::social::v1::{UpdateProfileRequest, profile_service_client::ProfileServiceClient};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport,
};

/// How a call is made.
#[derive(Clone)]
pub(crate) enum Caller {
    /// tonic's channel, as nobody.
    Tonic(transport::Channel),
    /// The mesh's, with the token of a person.
    Mesh(mesh::Channel, MetadataValue<Ascii>),
    /// tonic's, with the same.
    Person(transport::Channel, MetadataValue<Ascii>),
}

impl Caller {
    pub(crate) async fn call(&self) -> Result<(), Status> {
        let mut request = Request::new(UpdateProfileRequest::default());
        if let Self::Mesh(_, token) | Self::Person(_, token) = self {
            request.metadata_mut().insert("authorization", token.clone());
        }
        match self {
            Self::Tonic(channel) | Self::Person(channel, _) => {
                ProfileServiceClient::new(channel.clone()).update_profile(request).await?
            }
            Self::Mesh(channel, _) => ProfileServiceClient::new(channel.clone()).update_profile(request).await?,
        };
        Ok(())
    }
}

/// How long each call took, in order of time.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// In microseconds, the time that so many in a hundred did not exceed.
    pub(crate) fn micros(&self, percent: usize) -> f64 {
        self.0.get((self.0.len() * percent / 100).min(self.0.len() - 1)).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

/// `callers` at once, each with one call after the other.
pub(crate) async fn closed(caller: &Caller, callers: usize, calls: usize) -> Result<Times, Box<dyn Error>> {
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let caller = caller.clone();
        running.spawn(async move {
            let mut times = Vec::with_capacity(calls / callers);
            for _ in 0..calls / callers {
                let began = Instant::now();
                caller.call().await?;
                times.push(began.elapsed());
            }
            Ok::<_, Status>(times)
        });
    }
    let mut times = Vec::with_capacity(calls);
    while let Some(ended) = running.join_next().await {
        times.append(&mut ended??);
    }
    Ok(Times::of(times))
}

/// Calls that are due at a steady rate, whatever becomes of those before them, each timed from when it was due: a stall costs all that it
/// delayed.
pub(crate) async fn open(caller: &Caller, a_second: u32, calls: u32) -> Result<Times, Box<dyn Error>> {
    let began = Instant::now();
    let caller = Arc::new(caller.clone());
    let mut running = JoinSet::new();
    for n in 0..calls {
        let due = began + Duration::from_secs(1) * n / a_second;
        sleep_until(due).await;
        let caller = Arc::clone(&caller);
        running.spawn(async move {
            caller.call().await?;
            Ok::<_, Status>(due.elapsed())
        });
    }
    let mut times = Vec::with_capacity(calls as usize);
    while let Some(ended) = running.join_next().await {
        times.push(ended??);
    }
    Ok(Times::of(times))
}
