//! A verifier and a whole Plaza, for bytes from anybody. A panic anywhere ends the run, even where the server would have caught it.

use std::{cell::RefCell, time::Duration};

use mesh::{
    Channel, Clock, Random,
    token::{Expected, Keyring, Kind, Signer, Verifier, VerifyingKey},
};
use onebox::{Config, Edge, Onebox, Part};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

/// A verifier that believes one key.
pub fn verifier() -> Verifier {
    let keyring = Keyring::new();
    let signer = Signer::from_bytes([7; 32], "fuzz");
    let kinds = vec![Kind::Access, Kind::Operator, Kind::Peer];
    keyring.insert(VerifyingKey { key: signer.public().clone(), kinds, not_after: None });
    Verifier::new(keyring, Expected { deployment: "fuzz", audience: "fuzz", issuer: "fuzz" }, Clock::system())
}

const NO_PROTOBUF: &str = "failed to decode Protobuf message";

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub enum As {
    /// Whoever.
    Nobody,
    /// An operator.
    Operator,
    /// Another service.
    Peer(Part),
}

struct Plaza {
    runtime: Runtime,
    whole: Onebox,
    operator: String,
    _folder: TempDir,
}

thread_local! {
    static PLAZA: RefCell<Option<Plaza>> = const { RefCell::new(None) };
}

/// Calls a method with these bytes as its message. Nothing that anybody can send is an inner fault.
pub fn call(path: &'static str, caller: As, message: &[u8]) {
    PLAZA.with_borrow_mut(|plaza| {
        let plaza = plaza.get_or_insert_with(start);
        let part = Part::ALL.into_iter().find(|part| path.starts_with(&format!("/{part}."))).expect("a service");
        let channel = match caller {
            As::Nobody | As::Operator => plaza.whole.client(part),
            As::Peer(name) => plaza.whole.peer(part, name),
        };
        let mut request = Request::new(message.to_vec());
        if matches!(caller, As::Operator) {
            let bearer = format!("Bearer {}", plaza.operator);
            request.metadata_mut().insert("authorization", bearer.parse().expect("a token is ASCII"));
        }
        let answer = plaza.runtime.block_on(unary(channel.expect("it runs"), path, request));
        if let Err(status) = answer {
            // What is no Protobuf at all is INTERNAL, too, in every gRPC server.
            let inner = status.code() == Code::Internal && !status.message().starts_with(NO_PROTOBUF);
            assert!(!inner && !matches!(status.code(), Code::Unknown | Code::DataLoss), "{path}: {status:?}");
        }
    });
}

async fn unary(channel: Channel, path: &'static str, request: Request<Vec<u8>>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    grpc.unary(request, PathAndQuery::from_static(path), Raw).await.map(drop)
}

fn start() -> Plaza {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(&folder.path().join("data")).expect("the defaults hold");
    config.sso.passwords.cost = 4;
    config.sms.carrier = sms::CarrierConfig::Development { console: false };
    let edge = Edge { inline: true, random: Random::seeded(1), ..Edge::system() };
    let whole = runtime.block_on(Onebox::start(config, edge)).expect("plaza starts");
    let operator = whole.operator_token("fuzz", Duration::from_secs(900)).expect("a token");
    Plaza { runtime, whole, operator, _folder: folder }
}

/// Bytes as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        let rest = prost::bytes::Buf::remaining(buffer);
        prost::bytes::Buf::advance(buffer, rest);
        Ok(Some(()))
    }
}
