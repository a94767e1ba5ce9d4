//! Any text as a token: none is believed, for nobody has the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::token::Verifier;

thread_local!(static VERIFIER: Verifier = fuzz::verifier());

fuzz_target!(|text: &str| {
    VERIFIER.with(|verifier| {
        assert!(verifier.verify(text).is_err());
        assert!(verifier.verify_peer(text, "sso").is_err());
    });
});
