//! Who is calling. The server stack finds out before a handler runs; a handler only asks.

use std::net::IpAddr;

use std::sync::Arc;

use tonic::Request;
use uuid::Uuid;

use crate::failure::Failure;

/// Who makes a call, as far as the mesh has proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody known.
    Anyone,
    /// A person, by an access token.
    Person {
        /// The user in SSO.
        user_id: Uuid,
        /// The session the token was issued in.
        session_id: Uuid,
    },
    /// Another service, by name: `sso`, `sms`, `social`, `blog`.
    Peer(String),
    /// An operator, by name.
    Operator(String),
}

/// The person who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The user in SSO.
    pub user_id: Uuid,
    /// The session the token was issued in.
    pub session_id: Uuid,
}

/// Who makes this call. [`Caller::Anyone`] if the request did not come through a server stack.
pub fn caller<T>(request: &Request<T>) -> &Caller {
    request.extensions().get::<Caller>().unwrap_or(&Caller::Anyone)
}

/// The person who makes this call.
///
/// # Errors
/// UNAUTHENTICATED `TOKEN_INVALID` if the caller is not a person. Methods with bearer access are never reached by others;
/// public ones are.
pub fn person<T>(request: &Request<T>) -> Result<Person, Failure> {
    match caller(request) {
        Caller::Person { user_id, session_id } => Ok(Person { user_id: *user_id, session_id: *session_id }),
        _ => Err(Failure::token_invalid("an access token is wanted")),
    }
}

/// The network address a call came from: the other end of its socket, and not what a header says, for anybody can write one; unless that end is a proxy that
/// is listed ([`crate::Proxies`]). In the extensions of a request that came over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Where this call came from; `None` in memory.
pub fn client_address<T>(request: &Request<T>) -> Option<IpAddr> {
    request.extensions().get().map(|ClientAddress(address)| *address)
}

/// Which service calls, known by how the call came here: in the extensions of a request that crossed no socket, or one with TLS. A request
/// without it came in plain text, and its peer has a token.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// This one: by construction, or by its certificate.
    Peer(Arc<str>),
    /// None: a caller without a certificate, whatever else it says.
    Nobody,
}
