//! grpc.health.v1, by service name and, under "", for the whole server.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_server, health_server::HealthServer},
};

/// What probes are told of a server. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Health {
    statuses: Arc<watch::Sender<BTreeMap<String, ServingStatus>>>,
}

impl Health {
    /// Serving: the services, and the whole under "".
    pub(super) fn serving(services: &[&'static str]) -> Self {
        let names = services.iter().copied().chain([""]);
        let statuses = names.map(|name| (name.to_owned(), ServingStatus::Serving)).collect();
        Self { statuses: Arc::new(watch::Sender::new(statuses)) }
    }

    /// Sets what probes of all services are told.
    pub(super) fn set_all(&self, serving: bool) {
        self.statuses.send_modify(|statuses| statuses.values_mut().for_each(|status| *status = of(serving)));
    }

    pub(super) fn server(&self) -> HealthServer<impl health_server::Health> {
        HealthServer::new(Service(self.clone()))
    }
}

fn of(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

struct Service(Health);

#[tonic::async_trait]
impl health_server::Health for Service {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.0.statuses.borrow().get(&request.get_ref().service).copied();
        status.map(|status| Response::new(response(status))).ok_or_else(|| Status::not_found("no such service"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let mut last = None;
        let changes = WatchStream::new(self.0.statuses.subscribe()).filter_map(move |statuses| {
            let status = statuses.get(&service).copied().unwrap_or(ServingStatus::Unknown);
            (last.replace(status) != Some(status)).then(|| Ok(watched(status)))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

/// The protocol has a status of its own for a service that a watch does not find.
fn watched(status: ServingStatus) -> HealthCheckResponse {
    const SERVICE_UNKNOWN: i32 = 3;
    match status {
        ServingStatus::Unknown => HealthCheckResponse { status: SERVICE_UNKNOWN },
        known => response(known),
    }
}
