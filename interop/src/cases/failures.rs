use std::time::Duration;

use ::mesh::Channel;
use tokio::{sync::mpsc, time::timeout as within};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{Client, Outcome, same, streams, unary};
use crate::contract::{EchoStatus, Empty, SimpleRequest, StreamingInputCallRequest, StreamingOutputCallRequest};

pub(super) async fn status(mut client: Client, message: &str) -> Outcome {
    let duplex = StreamingOutputCallRequest { response_status: wanted(message), ..Default::default() };
    special(client.clone(), message).await?;
    let status = ends(&mut client, Request::new(tokio_stream::once(duplex))).await?;
    same("the status", (status.code(), status.message()), (Code::Unknown, message))
}

pub(super) async fn special(mut client: Client, message: &str) -> Outcome {
    let request = SimpleRequest { response_status: wanted(message), ..Default::default() };
    let status = client.unary_call(request).await.err().ok_or("answered")?;
    same("the status", (status.code(), status.message()), (Code::Unknown, message))
}

fn wanted(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: Code::Unknown.into(), message: message.to_owned() })
}

pub(super) async fn unimplemented(channel: Channel, service: &str) -> Outcome {
    let path = format!("/grpc.testing.{service}/UnimplementedCall").parse()?;
    let mut grpc = tonic::client::Grpc::new(channel);
    let called = grpc.unary(Request::new(Empty {}), path, ProstCodec::<Empty, Empty>::default()).await;
    same("the code", called.err().map(|status| status.code()), Some(Code::Unimplemented))
}

/// To give a call up is to drop it, which leaves no status to look at here: what is asked for is that the next call, on
/// the same connection, is none the worse for it.
pub(super) async fn cancelled_at_once(mut client: Client) -> Outcome {
    let (_send, requests) = mpsc::channel::<StreamingInputCallRequest>(1);
    let call = client.streaming_input_call(ReceiverStream::new(requests));
    same("answered", within(Duration::from_millis(50), call).await.is_ok(), false)?;
    unary::empty(client).await
}

/// See [`cancelled_at_once`].
pub(super) async fn cancelled_half_way(mut client: Client) -> Outcome {
    let (send, requests) = mpsc::channel(1);
    send.send(streams::ask(31_415, 27_182)).await?;
    let mut responses = client.full_duplex_call(ReceiverStream::new(requests)).await?.into_inner();
    streams::next_is(&mut responses, 31_415).await?;
    drop(responses);
    unary::empty(client).await
}

pub(super) async fn timeout(mut client: Client) -> Outcome {
    let (send, requests) = mpsc::channel(1);
    send.send(StreamingOutputCallRequest { response_parameters: Vec::new(), ..streams::ask(0, 27_182) }).await?;
    let mut request = Request::new(ReceiverStream::new(requests));
    request.set_timeout(Duration::from_millis(1));
    let status = ends(&mut client, request).await?;
    same("the code", status.code(), Code::DeadlineExceeded)
}

/// What a conversation ends with, in its headers or after them.
async fn ends<S>(client: &mut Client, requests: Request<S>) -> Result<Status, Box<dyn std::error::Error + Send + Sync>>
where
    S: Stream<Item = StreamingOutputCallRequest> + Send + 'static,
{
    match client.full_duplex_call(requests).await {
        Ok(response) => Ok(response.into_inner().message().await.err().ok_or("it ended well")?),
        Err(status) => Ok(status),
    }
}
