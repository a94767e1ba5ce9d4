//! `grpc.testing.TestService`.

use std::{error::Error, pin::Pin, sync::Arc, time::Duration};

use ::mesh::{
    Clock, Limits, Router, Server, Stack,
    token::{Expected, MeshKey, Verifier},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    MESSAGE_BYTES,
    contract::{
        EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
        StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse, contracts,
        test_service_server::{TestService, TestServiceServer},
    },
    echo::Echo,
};

type Answers = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;
type Sink = mpsc::Sender<Result<StreamingOutputCallResponse, Status>>;

/// The key of a deployment without secrets: every method is public.
pub(crate) fn key() -> MeshKey {
    MeshKey::new([0; 32], "interop")
}

pub(crate) fn router() -> Result<Router, Box<dyn Error>> {
    let verifier = Verifier::new(
        key().keyring(),
        Expected { deployment: "interop", audience: "plaza", issuer: "sso" },
        Clock::system(),
    );
    let limits = Limits { message_bytes: MESSAGE_BYTES, ..Limits::default() };
    let stack =
        Stack { verifier: Arc::new(verifier), limits, tracer: mesh::Tracer::off(), random: mesh::Random::system() };
    Ok(Server::new("interop", stack).with_contracts(contracts()).add(Echo(TestServiceServer::new(Tester))).build()?)
}

struct Tester;

#[tonic::async_trait]
impl TestService for Tester {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(&self, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        end_with(request.response_status)?;
        Ok(Response::new(SimpleResponse { payload: Some(zeros(request.response_size)?) }))
    }

    type StreamingOutputCallStream = Answers;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Answers>, Status> {
        let (sink, answers) = mpsc::channel(1);
        let request = request.into_inner();
        tokio::spawn(async move {
            let outcome = answer(&request.response_parameters, &sink).await;
            if let Err(status) = outcome {
                // A caller that is gone wants no status.
                let _ = sink.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let (mut requests, mut bytes) = (request.into_inner(), 0);
        while let Some(request) = requests.message().await? {
            bytes += request.payload.unwrap_or_default().body.len();
        }
        let aggregated_payload_size = i32::try_from(bytes).map_err(|_| Status::out_of_range("too many bytes"))?;
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    type FullDuplexCallStream = Answers;

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (sink, answers) = mpsc::channel(1);
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            if let Err(status) = converse(&mut requests, &sink).await {
                // A caller that is gone wants no status.
                let _ = sink.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// Answers each request before it takes the next.
async fn converse(requests: &mut Streaming<StreamingOutputCallRequest>, sink: &Sink) -> Result<(), Status> {
    loop {
        let request = tokio::select! {
            request = requests.message() => request?,
            () = sink.closed() => return Ok(()),
        };
        let Some(request) = request else { return Ok(()) };
        end_with(request.response_status)?;
        answer(&request.response_parameters, sink).await?;
    }
}

async fn answer(parameters: &[ResponseParameters], sink: &Sink) -> Result<(), Status> {
    for wanted in parameters {
        sleep(Duration::from_micros(wanted.interval_us.try_into().unwrap_or_default())).await;
        let payload = Some(zeros(wanted.size)?);
        let sent = sink.send(Ok(StreamingOutputCallResponse { payload })).await;
        sent.map_err(|_| Status::cancelled("the caller is gone"))?;
    }
    Ok(())
}

fn end_with(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => Err(Status::new(Code::from(status.code), status.message)),
        _ => Ok(()),
    }
}

fn zeros(size: i32) -> Result<Payload, Status> {
    let size = u32::try_from(size).ok().filter(|size| *size <= MESSAGE_BYTES);
    let size = size.ok_or_else(|| Status::invalid_argument("a size from 0 to 4 MiB is wanted"))?;
    Ok(Payload { body: vec![0; size as usize] })
}
