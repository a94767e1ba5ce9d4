//! The operators whom a deployment names by their public keys: whoever reads its secrets can check their tokens, and make none.

use serde::Deserialize;

use super::{Keyring, Kind, PublicKey, VerifyingKey};

/// The most that may be listed: one for each group of operators, and a second while it takes the place of the first.
const MOST: usize = 8;

/// Keys, as PASERK texts (`k4.public.…`), whose tokens are operators'. None unless settings list them, 8 at most.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Operators(Vec<PublicKey>);

impl Operators {
    /// Has `keyring` believe them.
    pub fn join(&self, keyring: &Keyring) {
        for key in &self.0 {
            keyring.insert(VerifyingKey { key: key.clone(), kinds: vec![Kind::Operator], not_after: None });
        }
    }
}

impl TryFrom<Vec<String>> for Operators {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        if texts.len() > MOST {
            return Err(format!("at most {MOST} operators' keys may be listed, not {}", texts.len()));
        }
        // What is no public key may be a secret one: it is not repeated.
        let key = |text: String| PublicKey::from_paserk(&text).map_err(|_| "an operator's key is no k4.public.… text");
        Ok(Self(texts.into_iter().map(key).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Random, token::Signer};

    #[test]
    fn keys_that_are_none_are_refused_and_not_repeated() {
        let text = Signer::generate(&Random::seeded(1), "here").public().paserk();
        assert_eq!(Operators::try_from(vec![text.clone(); 2]).expect("two keys").0.len(), 2);
        assert!(Operators::try_from(vec![text; 9]).is_err(), "too many");
        let secret = "k4.secret.AAAA";
        assert!(!Operators::try_from(vec![secret.to_owned()]).expect_err("no public key").contains(secret));
    }
}
