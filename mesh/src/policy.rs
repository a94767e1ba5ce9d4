//! What the contracts say of each method, by its path. The build of `proto` makes the table; nothing here adds to it but the
//! two protocols every service speaks, health and reflection, whose contracts are not ours to annotate.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use proto::MethodPolicy;
pub use proto::mesh::v1::Access;

/// How long a call may take when no contract names its method: 5 s.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// A set of contracts: the encoded descriptor set that reflection serves, and the policy of every method in it.
#[derive(Debug, Clone, Copy)]
pub struct Contracts {
    /// An encoded `google.protobuf.FileDescriptorSet`, imports included.
    pub descriptor: &'static [u8],
    policies: &'static HashMap<&'static str, &'static MethodPolicy>,
}

impl Contracts {
    /// The contracts of Plaza, with health and reflection.
    pub fn plaza() -> Self {
        static POLICIES: OnceLock<HashMap<&'static str, &'static MethodPolicy>> = OnceLock::new();
        Self { descriptor: proto::DESCRIPTOR, policies: POLICIES.get_or_init(|| index(proto::POLICIES)) }
    }

    /// Other contracts: an encoded descriptor set with its imports, and a policy for each of its methods. The table lives as long as the process.
    pub fn of(descriptor: &'static [u8], policies: &'static [MethodPolicy]) -> Self {
        Self { descriptor, policies: Box::leak(Box::new(index(policies))) }
    }

    /// The policy of the method at `path` (`/package.Service/Method`), or `None` for a method no contract names.
    pub fn find(&self, path: &str) -> Option<&'static MethodPolicy> {
        self.policies.get(path).copied()
    }

    /// Whether a method of `service` (`package.Service`) is in them. Then all are, for a build in which one has no policy fails.
    pub(crate) fn know(&self, service: &str) -> bool {
        self.paths().any(|path| path[1..].split_once('/').is_some_and(|(name, _)| name == service))
    }

    /// The paths of all methods.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.policies.keys().copied()
    }
}

fn index(policies: &'static [MethodPolicy]) -> HashMap<&'static str, &'static MethodPolicy> {
    policies.iter().chain(BUILT_IN).map(|policy| (policy.path, policy)).collect()
}

/// Health and reflection: for anyone, since probes and grpcurl carry no token. Both only read.
const BUILT_IN: &[MethodPolicy] = &[
    open("/grpc.health.v1.Health/Check", 5),
    MethodPolicy { server_streaming: true, ..open("/grpc.health.v1.Health/Watch", 600) },
    both_ways("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    both_ways("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
];

const fn both_ways(path: &'static str) -> MethodPolicy {
    MethodPolicy { client_streaming: true, server_streaming: true, ..open(path, 60) }
}

const fn open(path: &'static str, seconds: u64) -> MethodPolicy {
    MethodPolicy {
        path,
        access: Access::Public,
        callers: &[],
        deadline: Duration::from_secs(seconds),
        repeatable: true,
        client_streaming: false,
        server_streaming: false,
    }
}
