//! The official vectors of PASETO v4 and PASERK k4, through our own path. Ours takes less than PASETO allows: v4.public with a
//! key id in the footer.

use serde_json::Value;

use super::{PublicKey, Signer, TokenError, format};

fn tests(file: &str) -> Vec<Value> {
    let whole: Value = serde_json::from_str(file).expect("JSON");
    whole["tests"].as_array().expect("tests").clone()
}

fn text<'a>(test: &'a Value, field: &str) -> &'a str {
    test[field].as_str().unwrap_or_default()
}

fn bytes(test: &Value, field: &str) -> Vec<u8> {
    let digits = text(test, field);
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

#[test]
fn signed_tokens_open_and_are_made_alike() {
    let mut whole = 0;
    for test in tests(include_str!("../../tests/data/paseto/v4.json")) {
        let name = text(&test, "name");
        let opened = format::Envelope::open(text(&test, "token"));
        if name == "4-F-2" {
            // A signed token where an encrypted one is expected: to us, one that no key of ours has signed.
            let signer = Signer::from_bytes([1; 32], "");
            let verdict = opened.expect("opens").verify(signer.public().key(), b"");
            assert_eq!(verdict, Err(TokenError::Signature), "{name}");
            continue;
        }
        if !name.starts_with("4-S") {
            assert_eq!(opened.err(), Some(TokenError::Malformed), "{name} is of another version or encrypted");
            continue;
        }
        if text(&test, "footer").is_empty() {
            assert_eq!(opened.err(), Some(TokenError::Footer), "{name}");
            continue;
        }
        let signer = Signer::from_bytes(bytes(&test, "secret-key-seed").try_into().expect("32 bytes"), "");
        assert_eq!(signer.public().bytes(), bytes(&test, "public-key"), "{name}");
        let (envelope, implicit) = (opened.expect("opens"), text(&test, "implicit-assertion").as_bytes());
        let payload = text(&test, "payload");
        assert_eq!(envelope.verify(signer.public().key(), implicit).as_deref(), Ok(payload), "{name}");
        assert_eq!(envelope.verify(signer.public().key(), b"another"), Err(TokenError::Signature), "{name}");
        assert_eq!(format::seal(signer.secret(), &envelope.kid, payload, implicit), text(&test, "token"), "{name}");
        whole += 1;
    }
    assert_eq!(whole, 2, "4-S-2 and 4-S-3 name a key");
}

#[test]
fn keys_have_the_texts_and_ids_of_the_vectors() {
    for test in tests(include_str!("../../tests/data/paseto/k4.public.json")) {
        let (name, paserk, key) =
            (text(&test, "name"), text(&test, "paserk"), PublicKey::from_bytes(&bytes(&test, "key")));
        match test["expect-fail"] == true {
            true => assert!(key.is_err(), "{name}"),
            false => {
                assert_eq!(key.expect("a key").paserk(), paserk, "{name}");
                assert_eq!(PublicKey::from_paserk(paserk).expect("a key").bytes(), bytes(&test, "key"), "{name}");
            }
        }
    }
    for test in tests(include_str!("../../tests/data/paseto/k4.pid.json")) {
        let (name, key) = (text(&test, "name"), PublicKey::from_bytes(&bytes(&test, "key")));
        match test["expect-fail"] == true {
            true => assert!(key.is_err(), "{name}"),
            false => assert_eq!(key.expect("a key").kid(), text(&test, "paserk"), "{name}"),
        }
    }
}
