//! grpc.health.v1 on the admin port.

use std::{pin::Pin, time::Duration};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, body::Body};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};
use tower::Service as _;

use super::Admin;

/// How often a watch looks again. The beginning of a drain is told at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn answer(admin: &Admin, request: http::Request<Body>) -> http::Response<Body> {
    let answer = HealthServer::new(Probes(admin.clone())).call(request).await;
    answer.unwrap_or_else(|never| match never {})
}

#[derive(Clone)]
struct Probes(Admin);

impl Probes {
    async fn status(&self, service: &str) -> Option<ServingStatus> {
        let serving = match service {
            "liveness" => true,
            "" | "readiness" => self.0.look().await.ready,
            _ => return None,
        };
        Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }

    /// Tells each change until nobody listens.
    async fn tell(self, service: String, changes: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
        let mut last = None;
        loop {
            let status = self.status(&service).await.unwrap_or(ServingStatus::ServiceUnknown);
            if last.replace(status) != Some(status) && changes.send(Ok(response(status))).await.is_err() {
                return;
            }
            let shutdown = &self.0.0.shutdown;
            tokio::select! {
                () = changes.closed() => return,
                () = sleep(LOOK_EVERY) => {}
                () = shutdown.begun(), if !shutdown.is_begun() => {}
            }
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Probes {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service).await;
        status.map(|status| Response::new(response(status))).ok_or_else(|| Status::not_found("no such service"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (changes, told) = mpsc::channel(1);
        let telling = self.clone().tell(request.into_inner().service, changes);
        tokio::spawn(timeout(super::LIFE, telling));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
