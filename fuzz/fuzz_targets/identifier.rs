//! Any text as an e-mail address and as a phone number, through a sign-in: parsed, looked up, and a dummy compared if it is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use proto::sso::v1::{SignInRequest, sign_in_request::Identifier};

fuzz_target!(|text: &str| {
    for identifier in [Identifier::Email(text.to_owned()), Identifier::PhoneNumber(text.to_owned())] {
        let request = SignInRequest {
            request_id: uuid::Uuid::from_u128(7).to_string(),
            identifier: Some(identifier),
            password: "correct horse battery".to_owned(),
            device_label: String::new(),
        };
        fuzz::call("/sso.v1.AuthService/SignIn", fuzz::As::Nobody, &request.encode_to_vec());
    }
});
