//! grpc.reflection, v1 and v1alpha: grpcurl of any age finds what it calls, and the details of what it is answered.
//!
//! The descriptors are decoded when somebody first asks: that is a megabyte for each version, and most processes are never asked.

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use tonic::server::NamedService;
use tonic_reflection::server::{Builder, v1, v1alpha};
use tower::Service;

use crate::policy::Contracts;

/// A server that is made when it is first called.
pub(super) struct Late<S>(Arc<LazyLock<S, Make<S>>>);

type Make<S> = Box<dyn FnOnce() -> S + Send>;

/// Version 1.
pub(super) fn v1(
    contracts: Contracts,
    names: Vec<&'static str>,
) -> Late<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    Late::new(move || builder(contracts, &names).build_v1().expect(DECODES))
}

/// Version 1 alpha, which grpcurl up to 1.8 speaks.
pub(super) fn v1alpha(
    contracts: Contracts,
    names: Vec<&'static str>,
) -> Late<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    Late::new(move || builder(contracts, &names).build_v1alpha().expect(DECODES))
}

const DECODES: &str = "descriptor sets that the compiler wrote can be decoded";

/// All descriptors, google.rpc's too, so that error details can be printed; but only what was added is listed.
fn builder<'a>(contracts: Contracts, names: &[&'static str]) -> Builder<'a> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(contracts.descriptor)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    names.iter().chain(&["grpc.health.v1.Health"]).fold(builder, |builder, name| builder.with_service_name(*name))
}

impl<S> Late<S> {
    fn new(make: impl FnOnce() -> S + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<S> Clone for Late<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: NamedService> NamedService for Late<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, R> Service<R> for Late<S>
where
    S: Service<R, Error = Infallible> + Clone,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    /// A generated server is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        S::clone(&self.0).call(request)
    }
}
