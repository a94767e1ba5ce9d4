//! One attempt of a call.

use std::time::Duration;

use http::{HeaderValue, header::USER_AGENT};
use tonic::body::Body;

use super::{
    error::Loss,
    identity::{Minter, PeerIdentity},
    memory::{Memory, Place},
    socket::Socket,
};
use crate::{deadline::Deadline, server::Router, wire};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("plaza-mesh/", env!("CARGO_PKG_VERSION")));

/// What carries an attempt to the callee.
#[expect(clippy::large_enum_variant, reason = "there is one to a channel, behind its Arc")]
pub(super) enum Transport {
    Memory(Memory),
    Socket(Socket, Minter),
}

impl Transport {
    pub(super) fn memory(router: Router, caller: Option<&'static str>) -> Self {
        Self::Memory(Memory::new(Place::Router(router), caller))
    }

    pub(super) fn socket(callee: &'static str, uri: &str, caller: PeerIdentity, connect_timeout: Duration) -> Self {
        Self::Socket(Socket::new(callee, uri, connect_timeout), Minter::new(caller, callee))
    }

    /// Sends the request, with the time that is left and the number of attempts before this one (gRFC A6).
    ///
    /// # Errors
    /// What the normaliser makes of a loss; an answer that is a failure is a response.
    pub(super) async fn attempt(
        &self,
        mut request: http::Request<Body>,
        deadline: Deadline,
        previous: u32,
    ) -> Result<http::Response<Body>, Loss> {
        let headers = request.headers_mut();
        headers.insert(wire::TIMEOUT, wire::timeout_value(deadline.left()));
        headers.insert(USER_AGENT, AGENT);
        if previous > 0 {
            headers.insert(wire::PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        }
        match self {
            Self::Memory(memory) => Ok(memory.send(request).await?),
            Self::Socket(socket, minter) => {
                request.headers_mut().insert(wire::PEER, minter.token());
                socket.send(request).await
            }
        }
    }
}
