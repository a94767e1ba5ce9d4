//! The contract of the cases, compiled.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from gRPC's contract")]

use std::sync::OnceLock;

use ::mesh::policy::Contracts;
use proto::{MethodPolicy, mesh};

include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));

const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
const POLICIES: &[MethodPolicy] = include!(concat!(env!("OUT_DIR"), "/policies.rs"));

pub(crate) fn contracts() -> Contracts {
    static CONTRACTS: OnceLock<Contracts> = OnceLock::new();
    *CONTRACTS.get_or_init(|| Contracts::of(DESCRIPTOR, POLICIES))
}
