//! Tokens for operators, made with the data folder's mesh key or with a key of the operators' own.

use std::{io, path::Path, time::Duration};

use mesh::{
    Clock, Random, keyfile,
    token::{Claims, Kind, MESH_ISSUER, Signer},
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
    /// The key that was named cannot be read or made.
    #[error("the key {0}")]
    Key(#[from] io::Error),
    /// Not a name.
    #[error("an operator's name has 1 to 64 letters, digits and . _ - @")]
    Name,
    /// It would last too long, or not at all.
    #[error("an operator's token lasts 1 second to 1 hour")]
    Ttl,
}

/// The public half of the operators' key in the file at `path`, which is made if it is not there: what SSO's `keys.operators` lists.
///
/// # Errors
/// [`OperatorError::Key`].
pub fn operators_key(path: &Path, random: &Random) -> Result<String, OperatorError> {
    let seed = keyfile::load_or_create(path, random)?;
    Ok(Signer::from_bytes(seed, "").public().paserk())
}

/// A token for the operator `name`, good for `ttl` (1 s to [`MAX_TTL`]), made with the operators' key in the file `key`, or else with the mesh key in the
/// data folder of `config`, whether it is being served or not.
///
/// # Errors
/// Whatever [`OperatorError`] names.
pub fn operator_token(
    config: &Config,
    key: Option<&Path>,
    name: &str,
    ttl: Duration,
    clock: &Clock,
    random: &Random,
) -> Result<String, OperatorError> {
    let deployment = &config.sso.tokens.deployment;
    let signer = match key {
        Some(path) => Signer::from_bytes(keyfile::load(path)?, deployment),
        None => data::mesh_key(&config.data, deployment)?.signer(Kind::Operator),
    };
    mint(&signer, &config.sso.tokens.audience, name, ttl, clock, random)
}

pub(crate) fn mint(
    signer: &Signer,
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
    Ok(signer.sign(&Claims {
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
        Clock, Random, keyfile,
        token::{Expected, Keyring, Kind, MeshKey, Operators, Signer, Verifier},
    };

    use super::{mint, operators_key};

    #[test]
    fn a_token_is_believed_and_bounded() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let key = MeshKey::new([7; 32], "here");
        let make = |name: &str, seconds| {
            mint(&key.signer(Kind::Operator), "plaza", name, Duration::from_secs(seconds), &clock, &random)
        };
        let token = make("root", 900).expect("made");
        let claims = Verifier::new(
            key.keyring(),
            Expected { deployment: "here", audience: "plaza", issuer: "plaza" },
            clock.clone(),
        )
        .verify(&token)
        .expect("believed");
        assert_eq!(claims.subject, "root");
        assert!(claims.expires_at <= clock.now() + Duration::from_secs(900));
        assert!(claims.expires_at > SystemTime::UNIX_EPOCH);
        for (name, seconds) in [("", 900), ("two words", 900), ("root", 0), ("root", 3601)] {
            assert!(make(name, seconds).is_err(), "{name} {seconds}");
        }
    }

    #[test]
    fn a_key_of_their_own_is_believed_by_its_public_half() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("operator.key");
        let public = operators_key(&path, &random).expect("made");
        assert_eq!(operators_key(&path, &random).expect("read"), public);
        let keyring = Keyring::new();
        Operators::try_from(vec![public]).expect("a public key").join(&keyring);
        let verifier =
            Verifier::new(keyring, Expected { deployment: "here", audience: "plaza", issuer: "plaza" }, clock.clone());

        let signer = Signer::from_bytes(keyfile::load(&path).expect("a key"), "here");
        let token = |signer: &Signer| mint(signer, "plaza", "root", Duration::from_secs(900), &clock, &random);
        assert_eq!(verifier.verify(&token(&signer).expect("made")).expect("believed").kind, Kind::Operator);
        let mesh_key = MeshKey::new([7; 32], "here").signer(Kind::Operator);
        assert!(verifier.verify(&token(&mesh_key).expect("made")).is_err(), "no mesh key is believed");
    }
}
