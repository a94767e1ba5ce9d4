use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, metadata::MetadataMap};

use super::{
    Client, Outcome, same,
    unary::{LARGE_REQUEST, LARGE_RESPONSE, large_request},
    zeros,
};
use crate::contract::{
    ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest, StreamingOutputCallResponse,
};

const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSES: [i32; 4] = [31_415, 9, 2_653, 58_979];
const INITIAL: (&str, &str) = ("x-grpc-test-echo-initial", "test_initial_metadata_value");
const TRAILING: (&str, &[u8]) = ("x-grpc-test-echo-trailing-bin", &[0xab; 3]);

/// A request for one message.
pub(super) fn ask(response: i32, payload: usize) -> StreamingOutputCallRequest {
    let response_parameters = vec![ResponseParameters { size: response, interval_us: 0 }];
    StreamingOutputCallRequest { response_parameters, payload: zeros(payload), response_status: None }
}

pub(super) async fn client(mut client: Client) -> Outcome {
    let requests = REQUESTS.map(|size| StreamingInputCallRequest { payload: zeros(size) });
    let response = client.streaming_input_call(tokio_stream::iter(requests)).await?.into_inner();
    same("the sum", response.aggregated_payload_size, 74_922)
}

pub(super) async fn server(mut client: Client) -> Outcome {
    let response_parameters = RESPONSES.map(|size| ResponseParameters { size, interval_us: 0 }).to_vec();
    let request = StreamingOutputCallRequest { response_parameters, payload: None, response_status: None };
    let mut responses = client.streaming_output_call(request).await?.into_inner();
    for size in RESPONSES {
        next_is(&mut responses, size).await?;
    }
    ended(&mut responses).await
}

pub(super) async fn ping_pong(mut client: Client) -> Outcome {
    let (send, requests) = mpsc::channel(1);
    let mut pairs = RESPONSES.into_iter().zip(REQUESTS).map(|(response, request)| ask(response, request));
    // Some servers say nothing, headers included, before they are asked.
    send.send(pairs.next().unwrap_or_default()).await?;
    let mut responses = client.full_duplex_call(ReceiverStream::new(requests)).await?.into_inner();
    for size in RESPONSES {
        next_is(&mut responses, size).await?;
        if let Some(request) = pairs.next() {
            send.send(request).await?;
        }
    }
    drop(send);
    ended(&mut responses).await
}

pub(super) async fn empty(mut client: Client) -> Outcome {
    let mut responses = client.full_duplex_call(tokio_stream::empty()).await?.into_inner();
    ended(&mut responses).await
}

pub(super) async fn metadata(mut client: Client) -> Outcome {
    let response = client.unary_call(marked(large_request())).await?;
    // tonic lays the trailers of a single answer over its headers.
    has_initial(response.metadata())?;
    has_trailing(response.metadata())?;
    let requests = marked(tokio_stream::once(ask(LARGE_RESPONSE, LARGE_REQUEST)));
    let response = client.full_duplex_call(requests).await?;
    has_initial(response.metadata())?;
    let mut responses = response.into_inner();
    next_is(&mut responses, LARGE_RESPONSE).await?;
    ended(&mut responses).await?;
    has_trailing(&responses.trailers().await?.ok_or("no trailers")?)
}

fn marked<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(INITIAL.0, INITIAL.1.parse().expect("ASCII"));
    request.metadata_mut().insert_bin(TRAILING.0, tonic::metadata::MetadataValue::from_bytes(TRAILING.1));
    request
}

fn has_initial(metadata: &MetadataMap) -> Outcome {
    same("the first metadata", metadata.get(INITIAL.0).and_then(|value| value.to_str().ok()), Some(INITIAL.1))
}

fn has_trailing(metadata: &MetadataMap) -> Outcome {
    let value = metadata.get_bin(TRAILING.0).and_then(|value| value.to_bytes().ok());
    same("the last metadata", value.as_deref(), Some(TRAILING.1))
}

pub(super) async fn next_is(responses: &mut Streaming<StreamingOutputCallResponse>, size: i32) -> Outcome {
    let response = responses.message().await?.ok_or("the stream has ended")?;
    same("the payload", response.payload.unwrap_or_default().body.len(), size as usize)
}

async fn ended(responses: &mut Streaming<StreamingOutputCallResponse>) -> Outcome {
    same("messages left", responses.message().await?.is_some(), false)
}
