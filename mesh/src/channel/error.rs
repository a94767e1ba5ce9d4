//! What a failure of the transport is called. tonic calls most of them UNKNOWN; a connection that is lost, refused or cut is
//! UNAVAILABLE, and only what the peer itself said about one stream is anything else.

use std::error::Error;

use h2::Reason;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use tonic::{Code, Status, body::Body};

use crate::{
    failure::{Failure, chain, cut},
    wire,
};

/// A call that the transport lost.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) status: Status,
    pub(super) progress: Progress,
}

/// How far a lost call came (gRFC A6, transparent retries).
#[derive(Debug)]
pub(super) enum Progress {
    /// There was no connection to send it on.
    NotConnected,
    /// The connection ended with the call still in hand. Here it is, its body unread.
    NeverLeft(Box<http::Request<Body>>),
    /// The callee says that it did not look at it.
    Refused,
    /// The callee may have acted on it.
    Unknown,
}

impl<E: Into<Status>> From<E> for Loss {
    fn from(status: E) -> Self {
        Self { status: status.into(), progress: Progress::Unknown }
    }
}

/// Whether the callee says that it did not look at this call (RFC 9113, 8.7): it refused the stream, or said goodbye before it.
/// Of a goodbye, whatever its reason, h2 tells the streams above its last one alone; those below go on, or break as the connection does.
pub(super) fn refused_unread(error: &(dyn Error + 'static)) -> bool {
    let remote = find::<h2::Error>(error).filter(|error| error.is_remote());
    remote.is_some_and(|error| error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Whether the callee said goodbye to the whole connection.
pub(super) fn is_goodbye(error: &(dyn Error + 'static)) -> bool {
    find::<h2::Error>(error).is_some_and(|error| error.is_remote() && error.is_go_away())
}

/// The status of an error of hyper, h2 or the operating system.
pub(super) fn normalise(callee: &str, error: &(dyn Error + 'static)) -> Status {
    let reset = find::<h2::Error>(error).filter(|error| error.is_reset());
    match reset.and_then(|error| Some((error.is_remote(), error.reason()?))) {
        Some((true, reason)) => Status::new(code(reason), format!("{callee} reset the call: {reason}")),
        // The connection is in order, and so is every other call on it.
        Some((false, reason)) => {
            Status::internal(format!("the answer of {callee} breaks the rules of HTTP/2: {reason}"))
        }
        None => Failure::unreachable(format!("{callee}: {}", chain(error))).into(),
    }
}

/// The response, unless it is not one of gRPC's: a proxy's, or HTTP/2's own refusal.
///
/// # Errors
/// What grpc/grpc doc/http-grpc-status-mapping.md makes of its HTTP status, and grpc-java of 431, headers too large; UNKNOWN if that is 200.
pub(super) fn answered<B>(callee: &str, response: http::Response<B>) -> Result<http::Response<B>, Status> {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_grpc = response.status() == StatusCode::OK && kind.starts_with(b"application/grpc");
    if is_grpc || response.headers().contains_key(&wire::STATUS) {
        return Ok(response);
    }
    let code = match response.status().as_u16() {
        400 | 431 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let kind = cut(String::from_utf8_lossy(kind).into_owned(), 64);
    Err(Status::new(code, format!("{callee} answered HTTP {}, {kind:?}", response.status())))
}

/// gRPC over HTTP/2, section "Errors": RST_STREAM codes as gRPC codes.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}
