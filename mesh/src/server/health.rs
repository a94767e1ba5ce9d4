//! grpc.health.v1, by service name and, under "", for the whole server. It serves until it stops.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use tokio_stream::{Stream, StreamExt as _, once, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
    health_server::HealthServer,
};

use super::body;
use crate::shutdown::Shutdown;

struct Health {
    services: Arc<BTreeSet<&'static str>>,
    stopping: Shutdown,
}

/// SERVING until `stopping` begins: the services, and the whole under "".
pub(super) fn server(services: &[&'static str], stopping: Shutdown) -> HealthServer<impl health_server::Health> {
    let services = services.iter().copied().chain([""]).collect();
    HealthServer::new(Health { services: Arc::new(services), stopping })
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if self.services.contains(&*request.get_ref().service) {
            Ok(Response::new(serving(!self.stopping.is_begun())))
        } else {
            Err(Status::not_found("no such service"))
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Ends by itself when the service stops, and not as other streams do: who watches is told NOT_SERVING first.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.services.contains(&*request.get_ref().service);
        let mut stopping = self.stopping.watch();
        let begun = *stopping.borrow_and_update();
        let now = if known { serving(!begun) } else { of(ServingStatus::ServiceUnknown) };
        let change = WatchStream::from_changes(stopping).take(usize::from(!begun));
        let change = change.filter_map(move |_| known.then(|| Ok(serving(false))));
        let end = once(Err(body::stopping().into()));
        Ok(Response::new(Box::pin(once(Ok(now)).chain(change).chain(end))))
    }
}

fn serving(serving: bool) -> HealthCheckResponse {
    of(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn of(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
