//! The envelope: header, signature and footer of a v4.public token. Knows nothing of claims or of who may sign.

use pasetors::{
    Public,
    keys::{AsymmetricPublicKey, AsymmetricSecretKey},
    token::UntrustedToken,
    version4::{PublicToken, V4},
};
use serde::{Deserialize, Serialize};

use super::{MAX_FOOTER, MAX_TOKEN, TokenError};

/// The footer. A key that is double or unknown is refused by serde.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    kid: String,
}

/// A token that was taken apart and not yet believed.
pub(super) struct Envelope {
    token: UntrustedToken<Public, V4>,
    pub(super) kid: String,
}

impl Envelope {
    pub(super) fn open(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let token = UntrustedToken::<Public, V4>::try_from(text).map_err(|_| TokenError::Malformed)?;
        let footer = token.untrusted_footer();
        if footer.len() > MAX_FOOTER {
            return Err(TokenError::Footer);
        }
        let Footer { kid } = serde_json::from_slice(footer).map_err(|_| TokenError::Footer)?;
        Ok(Self { token, kid })
    }

    /// The payload, if `key` signed it and `implicit` was asserted.
    pub(super) fn verify(&self, key: &AsymmetricPublicKey<V4>, implicit: &[u8]) -> Result<String, TokenError> {
        let footer = self.token.untrusted_footer();
        PublicToken::verify(key, &self.token, Some(footer), Some(implicit))
            .map(|trusted| trusted.payload().to_owned())
            .map_err(|_| TokenError::Signature)
    }
}

/// Signs a payload that is not empty.
pub(super) fn seal(key: &AsymmetricSecretKey<V4>, kid: &str, payload: &str, implicit: &[u8]) -> String {
    let footer = serde_json::to_string(&Footer { kid: kid.to_owned() }).expect("a struct of one string serialises");
    PublicToken::sign(key, payload.as_bytes(), Some(footer.as_bytes()), Some(implicit))
        .expect("signing fails on an empty payload alone")
}
