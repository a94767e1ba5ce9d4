//! grpc.reflection, v1 and v1alpha: grpcurl of any age finds what it calls, and the details of what it is answered.

use tonic_reflection::server::{Builder, v1, v1alpha};

use super::BuildError;
use crate::policy::Contracts;

/// Version 1.
pub(super) fn v1(
    contracts: &Contracts,
    names: &[&'static str],
) -> Result<v1::ServerReflectionServer<impl v1::ServerReflection + use<>>, BuildError> {
    builder(contracts, names).build_v1().map_err(|error| BuildError::Descriptor(format!("{error:?}")))
}

/// Version 1 alpha, which grpcurl up to 1.8 speaks.
pub(super) fn v1alpha(
    contracts: &Contracts,
    names: &[&'static str],
) -> Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection + use<>>, BuildError> {
    builder(contracts, names).build_v1alpha().map_err(|error| BuildError::Descriptor(format!("{error:?}")))
}

/// All descriptors, google.rpc's too, so that error details can be printed; but only what was added is listed.
fn builder<'a>(contracts: &Contracts, names: &[&'static str]) -> Builder<'a> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(contracts.descriptor)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    names.iter().chain(&["grpc.health.v1.Health"]).fold(builder, |builder, name| builder.with_service_name(*name))
}
