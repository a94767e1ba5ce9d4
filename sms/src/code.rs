//! Codes: how they are made, written and kept. A code exists in plain only on its way to the carrier; what is kept is a seal, an
//! HMAC-SHA-256 under a key that the database does not hold. Under another such key a code is derived, as in HOTP (RFC 4226): so a
//! message that a crash has cut short can be made again, and no row holds it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use mesh::Random;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// The fewest digits of a code: 20 bits, the least of ASVS 6.5.4.
pub(crate) const MIN_DIGITS: u32 = 6;
/// The most digits of a code.
pub(crate) const MAX_DIGITS: u32 = 10;

/// A one-time code: 6 to 10 digits, leading zeros kept. Prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

/// What is wrong with a code. Does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 6 to 10 digits")]
pub struct CodeError;

impl Code {
    /// A code as somebody typed it.
    ///
    /// # Errors
    /// Unless it is 6 to 10 ASCII digits and nothing else.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let fits = (MIN_DIGITS..=MAX_DIGITS).contains(&length) && text.bytes().all(|byte| byte.is_ascii_digit());
        if fits { Ok(Self(text.to_owned())) } else { Err(CodeError) }
    }

    /// The digits, for the message alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Code(••••••)")
    }
}

/// Two letters that stand both in the message and in the answer, so that a person with two messages knows which to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    /// Without vowels, so that no pair is a word; without Y, which sounds like one.
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

    pub(crate) fn draw(random: &Random) -> Self {
        let letter = || {
            let index = usize::try_from(random.below(Self::LETTERS.len() as u64)).unwrap_or(0);
            char::from(Self::LETTERS[index])
        };
        Self([letter(), letter()].iter().collect())
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An HMAC of a secret. Compared in constant time and in no other way.
#[derive(Clone, Copy)]
pub(crate) struct Seal([u8; 32]);

impl Seal {
    /// The seal of no code at all: what a decoy keeps.
    pub(crate) fn of_nothing(random: &Random) -> Self {
        Self(random.bytes())
    }

    /// A seal out of the database. One of the wrong length matches nothing.
    pub(crate) fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The keys of the seals, each derived from the master key by its label, so that no seal can stand for another.
#[derive(Clone)]
pub(crate) struct Keys {
    draw: [u8; 32],
    code: [u8; 32],
    guess: [u8; 32],
    request: [u8; 32],
}

impl Keys {
    pub(crate) fn derive(master: &[u8; 32]) -> Self {
        let derived = |label: &str| mac(master, &[label.as_bytes()]);
        Self {
            draw: derived("plaza sms draw v1"),
            code: derived("plaza sms code v1"),
            guess: derived("plaza sms guess v1"),
            request: derived("plaza sms request v1"),
        }
    }

    /// The code of a send: `digits` digits out of HMAC-SHA-256(key, verification id ‖ request id), each as likely as any other but for
    /// less than 1 in 10^28. Whoever lacks the key knows nothing of it, and the same send has the same code each time.
    pub(crate) fn draw(&self, verification_id: Uuid, request_id: Uuid, digits: u32) -> Code {
        let digits = digits.clamp(MIN_DIGITS, MAX_DIGITS);
        let drawn = mac(&self.draw, &[verification_id.as_bytes(), request_id.as_bytes()]);
        let number = drawn.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte));
        Code(format!("{:0width$}", number % 10_u128.pow(digits), width = digits as usize))
    }

    /// What is kept of a code that was sent: HMAC-SHA-256(key, verification id ‖ code).
    pub(crate) fn code(&self, verification_id: Uuid, code: &Code) -> Seal {
        Seal(mac(&self.code, &[verification_id.as_bytes(), code.0.as_bytes()]))
    }

    /// What is kept of a code that was guessed, to know the same guess again.
    pub(crate) fn guess(&self, verification_id: Uuid, request_id: Uuid, code: &Code) -> Seal {
        Seal(mac(&self.guess, &[verification_id.as_bytes(), request_id.as_bytes(), code.0.as_bytes()]))
    }

    /// What is kept of a request to send, to know the same request again. Each part is preceded by its length.
    pub(crate) fn request(&self, parts: &[&[u8]]) -> Seal {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let framed: Vec<&[u8]> =
            lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), *part]).collect();
        Seal(mac(&self.request, &framed))
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_length_and_keep_leading_zeros() {
        let (keys, here) = (Keys::derive(&[1; 32]), Uuid::from_u128(1));
        let codes: Vec<_> = (0..2000).map(|send| keys.draw(here, Uuid::from_u128(send), 6)).collect();
        assert!(codes.iter().all(|code| code.expose().len() == 6 && Code::parse(code.expose()).is_ok()));
        for first in '0'..='9' {
            let count = codes.iter().filter(|code| code.expose().starts_with(first)).count();
            assert!((140..260).contains(&count), "{count} of 2000 begin with {first}");
        }
        assert_eq!(keys.draw(here, here, 10).expose().len(), 10);
    }

    /// Python: hmac.new(hmac.new(bytes(32), b"plaza sms draw v1", "sha256").digest(), bytes(15) + b"\x07" + bytes(15) + b"\x08", "sha256")
    #[test]
    fn a_code_is_its_sends_own_and_the_same_each_time() {
        let (one, two) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let draw = |master, verification, send| Keys::derive(&[master; 32]).draw(verification, send, 6);
        assert_eq!(draw(0, one, two).expose(), "727898");
        assert_eq!(draw(0, one, two), draw(0, one, two));
        assert!(
            [draw(1, one, two), draw(0, two, one), draw(0, one, one)].iter().all(|other| *other != draw(0, one, two))
        );
    }

    #[test]
    fn only_six_to_ten_ascii_digits_are_a_code() {
        for good in ["000000", "0123456789"] {
            assert_eq!(Code::parse(good).expect(good).expose(), good);
        }
        for bad in ["", "12345", "12345678901", "12345a", " 123456", "１２３４５６", "+12345", "-12345"] {
            assert_eq!(Code::parse(bad), Err(CodeError), "{bad}");
        }
    }

    #[test]
    fn a_code_prints_masked() {
        let code = Code::parse("123456").expect("a code");
        assert_eq!(format!("{code:?}"), "Code(••••••)");
    }

    #[test]
    fn references_are_two_letters_that_make_no_word() {
        let random = Random::seeded(2);
        for _ in 0..500 {
            let reference = Reference::draw(&random);
            assert!(
                reference.as_str().len() == 2 && reference.as_str().bytes().all(|b| Reference::LETTERS.contains(&b))
            );
        }
    }

    #[test]
    fn a_seal_holds_for_one_verification_one_code_one_use_and_one_key() {
        let (keys, other) = (Keys::derive(&[1; 32]), Keys::derive(&[2; 32]));
        let (here, there) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (right, wrong) = (Code::parse("123456").expect("a code"), Code::parse("123457").expect("a code"));
        let seal = keys.code(here, &right);
        assert!(seal.matches(&keys.code(here, &right)));
        assert!(!seal.matches(&keys.code(here, &wrong)));
        assert!(!seal.matches(&keys.code(there, &right)));
        assert!(!seal.matches(&other.code(here, &right)));
        assert!(!seal.matches(&keys.guess(here, here, &right)));
    }

    /// Python: hmac.new(hmac.new(bytes(32), b"plaza sms code v1", "sha256").digest(), bytes(15) + b"\x07" + b"012345", "sha256")
    #[test]
    fn the_seal_of_a_code_is_what_the_documentation_says() {
        let seal = Keys::derive(&[0; 32]).code(Uuid::from_u128(7), &Code::parse("012345").expect("a code"));
        let hex: String = seal.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ab1a98c5720ca347f501ad3536457f613ff1bd64c576dbb673fff9eb7d9b2f7a");
    }

    #[test]
    fn parts_of_a_request_do_not_run_together() {
        let keys = Keys::derive(&[0; 32]);
        assert!(!keys.request(&[b"ab", b"c"]).matches(&keys.request(&[b"a", b"bc"])));
    }
}
