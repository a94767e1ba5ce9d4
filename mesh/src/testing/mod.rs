//! A contract, a service and tokens for the tests of this crate.

mod authority;
mod echo;
mod network;
pub(crate) mod sockets;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use proto::MethodPolicy;
use uuid::Uuid;

use crate::{
    clock::{Clock, Random},
    policy::{Access, Contracts},
    server::{Limits, Stack},
    token::{Claims, Expected, Keyring, Kind, MESH_ISSUER, MeshKey, Signer, Verifier, VerifyingKey},
    trace::Tracer,
};

pub(crate) use authority::{Authority, DOMAIN, Folder, Signed};
pub(crate) use echo::{Echo, call, listen, open, say};
pub(crate) use network::{Host, Hosts, address, answer};

pub(crate) const DEPLOYMENT: &str = "test";
pub(crate) const AUDIENCE: &str = "plaza";

/// The methods of `test.v1.EchoService`, with their policies. `Missing` is in the descriptor, and has none.
const METHODS: &[MethodPolicy] = &[
    method("/test.v1.EchoService/Public", Access::Public, &[], true),
    method("/test.v1.EchoService/Once", Access::Public, &[], false),
    method("/test.v1.EchoService/Bearer", Access::Bearer, &[], true),
    method("/test.v1.EchoService/Peer", Access::Peer, &["sso"], true),
    method("/test.v1.EchoService/Operator", Access::Operator, &[], true),
    MethodPolicy { server_streaming: true, ..method("/test.v1.EchoService/Stream", Access::Public, &[], true) },
];

const fn method(
    path: &'static str,
    access: Access,
    callers: &'static [&'static str],
    repeatable: bool,
) -> MethodPolicy {
    let deadline = Duration::from_secs(2);
    MethodPolicy { path, access, callers, deadline, repeatable, client_streaming: false, server_streaming: false }
}

/// The contract of the test service.
pub(crate) fn contracts() -> Contracts {
    static CONTRACTS: OnceLock<Contracts> = OnceLock::new();
    *CONTRACTS.get_or_init(|| Contracts::of(descriptor(), METHODS))
}

fn descriptor() -> &'static [u8] {
    let names = METHODS.iter().filter_map(|method| method.path.rsplit('/').next()).chain(["Missing"]);
    let service = ServiceDescriptorProto {
        name: Some("EchoService".to_owned()),
        method: names.map(|name| MethodDescriptorProto { name: Some(name.to_owned()), ..Default::default() }).collect(),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/v1/echo.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        service: vec![service],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}

/// The keys of a deployment: the mesh's own, and SSO's.
pub(crate) struct Keys {
    pub(crate) mesh: MeshKey,
    pub(crate) sso: Signer,
    pub(crate) clock: Clock,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let clock = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        Self { mesh: MeshKey::new([7; 32], DEPLOYMENT), sso: Signer::from_bytes([8; 32], DEPLOYMENT), clock }
    }

    pub(crate) fn keyring(&self) -> Keyring {
        let keyring = self.mesh.keyring();
        keyring.insert(self.sso_key());
        keyring
    }

    pub(crate) fn sso_key(&self) -> VerifyingKey {
        VerifyingKey { key: self.sso.public().clone(), kinds: vec![Kind::Access], not_after: None }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(
            self.keyring(),
            Expected { deployment: DEPLOYMENT, audience: AUDIENCE, issuer: "sso" },
            self.clock.clone(),
        )
    }

    pub(crate) fn stack(&self) -> Stack {
        Stack {
            verifier: Arc::new(self.verifier()),
            limits: Limits::default(),
            tracer: Tracer::off(),
            random: Random::seeded(1),
        }
    }

    pub(crate) fn claims(&self, kind: Kind) -> Claims {
        let now = self.clock.now();
        let (issuer, audience, subject) = match kind {
            Kind::Access => ("sso", AUDIENCE, Uuid::from_u128(1).to_string()),
            Kind::Peer => (MESH_ISSUER, "echo", "sso".to_owned()),
            Kind::Operator => (MESH_ISSUER, AUDIENCE, "olga".to_owned()),
        };
        Claims {
            kind,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            subject,
            session: (kind == Kind::Access).then(|| Uuid::from_u128(2)),
            id: Uuid::from_u128(3),
            issued_at: now,
            not_before: now,
            expires_at: now + Duration::from_secs(60),
        }
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        match claims.kind {
            Kind::Access => self.sso.sign(claims),
            kind => self.mesh.signer(kind).sign(claims),
        }
    }

    pub(crate) fn token(&self, kind: Kind) -> String {
        self.sign(&self.claims(kind))
    }
}
