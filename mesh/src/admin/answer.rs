//! The answers of the admin port.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use super::{Admin, Look, health};

const TEXT: &str = "text/plain; charset=utf-8";
/// The type that Prometheus asks for.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers one request. Bodies are not read.
pub(super) async fn answer(admin: &Admin, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    if path.starts_with("/grpc.health.v1.Health/") {
        return health::answer(admin, request).await;
    }
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return plain(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET it\n".to_owned());
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => plain(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => ready(&admin.look().await),
        _ => plain(StatusCode::OK, METRICS, admin.metrics().await),
    }
}

fn ready(look: &Look) -> Response<Body> {
    let (status, word) =
        if look.ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    let mut text = format!("{word}\n");
    for (name, holds) in &look.checks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {}", if *holds { "ok" } else { "failed" });
    }
    plain(status, TEXT, text)
}

fn plain(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
