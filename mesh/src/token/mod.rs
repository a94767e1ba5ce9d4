//! Tokens: PASETO v4.public, one format, one verifier. Version 4 of the specification at github.com/paseto-standard/paseto-spec.
//!
//! The footer is `{"kid":"k4.pid...."}` and nothing else; the name of the deployment is the implicit assertion, so that a
//! token of one deployment means nothing in another.

mod cache;
mod claims;
mod format;
mod key;
mod keyring;
mod mesh_key;
mod operators;
mod revoked;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod verifier;

pub use claims::{Claims, Kind};
pub use key::{KeyError, PublicKey, Signer};
pub use keyring::{Keyring, VerifyingKey};
pub use mesh_key::MeshKey;
pub use operators::Operators;
pub use verifier::{Expected, TokenError, Verifier};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 1024;
/// The longest footer, in bytes before base64.
pub(crate) const MAX_FOOTER: usize = 256;
/// `iss` of the tokens that services make from the key they share.
pub const MESH_ISSUER: &str = "mesh";
