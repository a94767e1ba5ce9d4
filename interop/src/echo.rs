//! "Echo Metadata": two headers of the request come back, one before the answer and one after it.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderName;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::{body::Body, server::NamedService};
use tower::Service;

const INITIAL: HeaderName = HeaderName::from_static("x-grpc-test-echo-initial");
const TRAILING: HeaderName = HeaderName::from_static("x-grpc-test-echo-trailing-bin");

/// Stands before a generated server, for tonic lets no handler of one answer write trailers.
#[derive(Clone)]
pub(crate) struct Echo<S>(pub(crate) S);

impl<S: NamedService> NamedService for Echo<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Echo<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let [initial, trailing] = [INITIAL, TRAILING].map(|name| request.headers().get(name).cloned());
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(value) = initial {
                response.headers_mut().insert(INITIAL, value);
            }
            let Some(value) = trailing else { return Ok(response) };
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| match frame.into_trailers() {
                    Ok(mut trailers) => {
                        trailers.insert(TRAILING, value.clone());
                        Frame::trailers(trailers)
                    }
                    Err(data) => data,
                }))
            }))
        })
    }
}
