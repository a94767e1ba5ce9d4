//! The contracts, compiled: a module for each package, the descriptor set that reflection serves, and the policy of every method.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from documented .proto files")]

use std::time::Duration;

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// Every message, method and comment of `proto/**` with its imports, as an encoded `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// What the contract says of one method: its `(mesh.v1.policy)`, its `idempotency_level` and its kind.
#[derive(Debug, Clone, Copy)]
pub struct MethodPolicy {
    /// `/package.Service/Method`, as it stands in the HTTP/2 path.
    pub path: &'static str,
    /// Who may call.
    pub access: mesh::v1::Access,
    /// For `Access::Peer`, the services that may call.
    pub callers: &'static [&'static str],
    /// The longest the whole call may take.
    pub deadline: Duration,
    /// Whether `idempotency_level` is IDEMPOTENT or NO_SIDE_EFFECTS.
    pub repeatable: bool,
    /// Whether the caller sends a stream.
    pub client_streaming: bool,
    /// Whether the answer is a stream.
    pub server_streaming: bool,
}

/// The policy of every method of every package, sorted by path.
pub const POLICIES: &[MethodPolicy] = include!(concat!(env!("OUT_DIR"), "/policies.rs"));
