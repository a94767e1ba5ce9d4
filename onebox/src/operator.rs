//! Tokens for operators, made from the data folder's mesh key.

use std::time::Duration;

use mesh::{
    Clock, Random,
    token::{Claims, Kind, MESH_ISSUER, MeshKey},
    uuid_v7,
};

use crate::{Config, DataError, data};

/// The longest an operator's token lasts: there is no way to take one back.
pub const MAX_TTL: Duration = Duration::from_secs(3600);

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no key.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Not a name.
    #[error("an operator's name has 1 to 64 letters, digits and . _ - @")]
    Name,
    /// It would last too long, or not at all.
    #[error("an operator's token lasts 1 second to 1 hour")]
    Ttl,
}

/// A token for the operator `name`, good for `ttl` (1 s to [`MAX_TTL`]), made with the key in the data folder of `config`, whether
/// it is being served or not.
///
/// # Errors
/// Whatever [`OperatorError`] names.
pub fn operator_token(
    config: &Config,
    name: &str,
    ttl: Duration,
    clock: &Clock,
    random: &Random,
) -> Result<String, OperatorError> {
    let key = data::mesh_key(&config.data, &config.sso.tokens.deployment)?;
    mint(&key, &config.sso.tokens.audience, name, ttl, clock, random)
}

pub(crate) fn mint(
    key: &MeshKey,
    audience: &str,
    name: &str,
    ttl: Duration,
    clock: &Clock,
    random: &Random,
) -> Result<String, OperatorError> {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(known) {
        return Err(OperatorError::Name);
    }
    if !(Duration::from_secs(1)..=MAX_TTL).contains(&ttl) {
        return Err(OperatorError::Ttl);
    }
    let now = clock.now();
    Ok(key.signer(Kind::Operator).sign(&Claims {
        kind: Kind::Operator,
        issuer: MESH_ISSUER.to_owned(),
        audience: audience.to_owned(),
        subject: name.to_owned(),
        session: None,
        id: uuid_v7(clock, random),
        issued_at: now,
        not_before: now,
        expires_at: now + ttl,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use mesh::{
        Clock, Random,
        token::{MeshKey, Verifier},
    };

    use super::mint;

    #[test]
    fn a_token_is_believed_and_bounded() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let key = MeshKey::new([7; 32], "here");
        let make = |name: &str, seconds| mint(&key, "plaza", name, Duration::from_secs(seconds), &clock, &random);
        let token = make("root", 900).expect("made");
        let claims =
            Verifier::new(key.keyring(), "here", "plaza", "plaza", clock.clone()).verify(&token).expect("believed");
        assert_eq!(claims.subject, "root");
        assert!(claims.expires_at <= clock.now() + Duration::from_secs(900));
        assert!(claims.expires_at > SystemTime::UNIX_EPOCH);
        for (name, seconds) in [("", 900), ("two words", 900), ("root", 0), ("root", 3601)] {
            assert!(make(name, seconds).is_err(), "{name} {seconds}");
        }
    }
}
