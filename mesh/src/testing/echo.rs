//! A generated server and client by hand: `test.v1.EchoService`, whose handler is a closure.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming, body::Body, server::NamedService};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::contracts;
use crate::{
    channel::Channel,
    server::{Router, Server, Stack},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Items = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
type Handler = Arc<dyn Fn(Request<String>) -> BoxFuture<Result<Response<Items>, Status>> + Send + Sync>;

/// The server. A unary method answers the first item of the handler's stream.
#[derive(Clone)]
pub(crate) struct Echo(Handler);

impl Echo {
    /// Answers each call with what `handler` returns.
    pub(crate) fn unary<F, R>(handler: F) -> Self
    where
        F: Fn(Request<String>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Status>> + Send + 'static,
    {
        Self(Arc::new(move |request| {
            let answer = handler(request);
            Box::pin(async move {
                let item = answer.await?;
                Ok(Response::new(Box::pin(tokio_stream::once(Ok(item))) as Items))
            })
        }))
    }

    /// Answers each call with the stream that `handler` makes.
    pub(crate) fn stream<F, S>(handler: F) -> Self
    where
        F: Fn() -> S + Send + Sync + 'static,
        S: Stream<Item = Result<String, Status>> + Send + 'static,
    {
        Self(Arc::new(move |_| {
            let items = handler();
            Box::pin(async move { Ok(Response::new(Box::pin(items) as Items)) })
        }))
    }

    pub(crate) fn router(self, stack: Stack) -> Router {
        Server::new("echo", stack).with_contracts(contracts()).add(self).build().expect("the test service builds")
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.EchoService";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = Arc::clone(&self.0);
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        Box::pin(async move {
            if request.uri().path().ends_with("/Stream") {
                return Ok(grpc.server_streaming(StreamingHandler(handler), request).await);
            }
            let unary = service_fn(move |request| {
                let answer = handler(request);
                async move {
                    let item = answer.await?.into_inner().next().await;
                    item.unwrap_or_else(|| Err(Status::internal("no item"))).map(Response::new)
                }
            });
            Ok(grpc.unary(unary, request).await)
        })
    }
}

struct StreamingHandler(Handler);

impl tonic::server::ServerStreamingService<String> for StreamingHandler {
    type Response = String;
    type ResponseStream = Items;
    type Future = BoxFuture<Result<Response<Items>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        (self.0)(request)
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/test.v1.EchoService/{method}").parse().expect("a path")
}

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

/// Calls a unary method.
pub(crate) async fn call(channel: &Channel, method: &str, request: Request<String>) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.unary(request, path(method), codec()).await.map(Response::into_inner)
}

/// Calls a unary method with a text and nothing else.
pub(crate) async fn say(channel: &Channel, method: &str, text: &str) -> Result<String, Status> {
    call(channel, method, Request::new(text.to_owned())).await
}

/// Calls the streaming method.
pub(crate) async fn open(channel: &Channel) -> Result<Streaming<String>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.server_streaming(Request::new(String::new()), path("Stream"), codec()).await.map(Response::into_inner)
}

/// Calls the streaming method, and gathers what comes until the stream ends or fails.
pub(crate) async fn listen(channel: &Channel) -> (Vec<String>, Option<Status>) {
    let mut stream = match open(channel).await {
        Ok(stream) => stream,
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut items = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(status) => return (items, Some(status)),
        }
    }
}
