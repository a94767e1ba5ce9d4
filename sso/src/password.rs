//! Passwords: what is accepted as one, and the form that is hashed.

use std::{collections::HashSet, fmt, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use unicode_normalization::UnicodeNormalization;

use crate::username::Username;

/// NIST SP 800-63B, 3.1.1.2; OWASP ASVS 5.0, 6.2.1.
const SHORTEST: usize = 8;
/// OWASP ASVS 5.0, 6.2.9 wants 64 at least; the bound keeps what is normalised small.
const LONGEST: usize = 128;

/// The name of the service, which is as easy to guess as the user's own (ASVS 6.2.11).
const SERVICE: &str = "plaza";

/// The commonest passwords, lower case (OWASP ASVS 5.0, 6.2.4).
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("../data/common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// A password in NFKC, so that every keyboard's spelling of it is one. Prints masked.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    /// Reads a password to be set: 8 to 128 characters, no composition rules (ASVS 6.2.5), not common, not made of the username or the name of the service (6.2.11).
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn new(text: &str, username: Option<&Username>) -> Result<Self, &'static str> {
        let password = Self::given(text)?;
        if password.0.chars().count() < SHORTEST {
            return Err("must have 8 to 128 characters");
        }
        if COMMON.contains(password.0.to_lowercase().as_str()) {
            return Err("is one of the commonest passwords");
        }
        if password.is_made_of(SERVICE) {
            return Err("is made of the name of this service");
        }
        match username {
            Some(name) => password.other_than(name),
            None => Ok(password),
        }
    }

    /// The password, unless it is little more than the username (ASVS 6.2.11).
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn other_than(self, name: &Username) -> Result<Self, &'static str> {
        if self.is_made_of(name.folded()) { Err("is made of the username") } else { Ok(self) }
    }

    /// Whether the password is too short without a word that is in it.
    fn is_made_of(&self, word: &str) -> bool {
        let lower = self.0.to_lowercase();
        lower.contains(word) && lower.chars().count() < word.chars().count() + SHORTEST
    }

    /// Reads a password to be compared: 1 to 128 characters, whatever the rules were when it was set.
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn given(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is required");
        }
        // The longest character takes four bytes; beyond that there is nothing to normalise.
        if text.len() > 4 * LONGEST {
            return Err("must have 8 to 128 characters");
        }
        let normal: String = text.nfkc().collect();
        if normal.chars().count() > LONGEST {
            return Err("must have 8 to 128 characters");
        }
        Ok(Self(normal))
    }

    /// The 64 characters that bcrypt hashes: base64 of HMAC-SHA-384 under the pepper. bcrypt alone reads 72 bytes at most and stops at
    /// a NUL; this form has neither limit, and a stolen table of hashes is worth nothing without the pepper (OWASP Password Storage).
    pub(crate) fn peppered(&self, pepper: &[u8; 32]) -> String {
        let mut mac = Hmac::<Sha384>::new_from_slice(pepper).expect("HMAC takes a key of any length");
        mac.update(self.0.as_bytes());
        STANDARD_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// What goes into the keyed digest of a request.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMON, HashSet, Password, SHORTEST, Username};

    #[test]
    fn lengths_are_counted_in_characters() {
        for (characters, accepted) in [(7, false), (8, true), (64, true), (128, true), (129, false)] {
            for letter in ["x", "ễ", "山", "🐘"] {
                assert_eq!(
                    Password::new(&letter.repeat(characters), None).is_ok(),
                    accepted,
                    "{characters} of {letter}"
                );
            }
        }
    }

    #[test]
    fn composed_and_decomposed_are_one_password() {
        let pepper = [7; 32];
        let composed = Password::new("mật khẩu dài", None).unwrap().peppered(&pepper);
        let decomposed =
            Password::new("ma\u{323}\u{302}t kha\u{302}\u{309}u da\u{300}i", None).unwrap().peppered(&pepper);
        assert_eq!(composed, decomposed);
        assert_eq!(composed.len(), 64);
    }

    #[test]
    fn length_beyond_72_bytes_counts() {
        let form = |text: &str| Password::new(text, None).unwrap().peppered(&[1; 32]);
        // bcrypt alone reads 72 bytes, one of which may be its own NUL, and stops at a NUL.
        let pasted: HashSet<_> = (70..=74).map(|bytes| form(&"x".repeat(bytes))).collect();
        assert_eq!(pasted.len(), 5);
        assert_ne!(form(&"é".repeat(100)), form(&"é".repeat(101)));
        assert_ne!(form("correct\0horse"), form("correct\0house"));
    }

    #[test]
    fn common_ones_and_the_own_name_are_refused() {
        let name = Username::parse("wintermute").unwrap();
        for text in
            ["password", "PassWord", "12345678", "iloveyou", "wintermute1", "Wintermute!", "plaza2026", "MyPlaza!"]
        {
            assert!(Password::new(text, Some(&name)).is_err(), "{text}");
        }
        assert!(Password::new("wintermute and seven dwarfs", Some(&name)).is_ok());
        assert!(Password::new("on the plaza at noon", Some(&name)).is_ok());
        let long: Vec<_> = COMMON.iter().filter(|text| text.chars().count() >= SHORTEST).collect();
        assert!(long.len() >= 3000, "ASVS asks for as many that would be long enough, not {}", long.len());
        assert!(long.iter().all(|text| Password::new(&text.to_uppercase(), None).is_err()));
    }

    #[test]
    fn prints_masked() {
        assert!(!format!("{:?}", Password::new("correct horse", None)).contains("horse"));
    }
}
