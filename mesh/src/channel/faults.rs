//! Faults that tests ask for, between the services of one process. A program that asks for none has none.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use tokio::time::sleep;
use tonic::{Code, Status, body::Body};

use crate::server::Router;

/// What becomes of a call on its way to a service and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Pass,
    /// The service sees nothing of it, and the caller gets this code.
    Refuse(Code),
    /// The service acts, its answer is lost, and the caller gets this code.
    Lose(Code),
    /// The service sees nothing of it, and no answer comes until the caller's deadline passes.
    Hang,
    /// The service acts, and no answer comes until the caller's deadline passes.
    ActAndHang,
    /// The service acts, and its answer is on its way for so long.
    Delay(Duration),
    /// It is on its way for so long, and calls that are made meanwhile come before it; then the service acts, even if the caller waits no more.
    Late(Duration),
}

type Decide = dyn Fn(&str) -> Fate + Send + Sync;

/// Decides the fate of each attempt of each call by its path. Clones decide as one.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Decide>>);

impl Faults {
    /// `decide` is asked with the path of each attempt: `/social.v1.UserService/CreateUser`.
    pub fn new(decide: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    pub(super) async fn handle(
        &self,
        router: &Router,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Status> {
        let fate = self.0.as_ref().map_or(Fate::Pass, |decide| decide(request.uri().path()));
        match fate {
            Fate::Pass => Ok(router.handle(request).await),
            Fate::Refuse(code) => Err(Status::new(code, "a fault that was asked for")),
            Fate::Lose(code) => {
                router.handle(request).await;
                Err(Status::new(code, "a fault that was asked for"))
            }
            Fate::Hang => pending().await,
            Fate::ActAndHang => {
                router.handle(request).await;
                pending().await
            }
            Fate::Late(time) => {
                let router = router.clone();
                let arriving = tokio::spawn(async move {
                    sleep(time).await;
                    router.handle(request).await
                });
                arriving.await.map_err(|_| Status::unknown("a fault that was asked for, and a panic"))
            }
            Fate::Delay(time) => {
                let answer = router.handle(request).await;
                sleep(time).await;
                Ok(answer)
            }
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(…)" } else { "Faults(none)" })
    }
}
