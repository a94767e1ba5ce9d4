//! Any bytes as the footer of a token that is otherwise well formed. The first half of the input is the payload and its signature.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use mesh::token::Verifier;

thread_local!(static VERIFIER: Verifier = fuzz::verifier());

fuzz_target!(|bytes: &[u8]| {
    let (payload, footer) = bytes.split_at(bytes.len() / 2);
    let body = [payload, &[0; 64]].concat();
    for footer in [footer, bytes] {
        let token = format!("v4.public.{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(footer));
        VERIFIER.with(|verifier| assert!(verifier.verify(&token).is_err()));
    }
});
