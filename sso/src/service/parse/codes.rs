//! Codes, asked for and given.

use mesh::{Failure, Fields};
use proto::sso::v1::{
    CompleteCodeSignInRequest, CompletePasswordResetRequest, SendOtpRequest, StartCodeSignInRequest,
    StartPasswordResetRequest, VerifyOtpRequest,
};
use uuid::Uuid;

use super::{Given, identifier};
use crate::{
    challenge,
    origin::{Origin, device_label},
    password::Password,
    recovery,
    verify::Guess,
};

/// A code that is asked for.
pub(in crate::service) struct SendOtp {
    pub(in crate::service) request_id: Uuid,
    pub(in crate::service) verification_id: Uuid,
}

impl TryFrom<SendOtpRequest> for SendOtp {
    type Error = Failure;

    fn try_from(request: SendOtpRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let verification_id = fields.id("verification_id", &request.verification_id);
        let parsed = (|| Some(Self { request_id: request_id?, verification_id: verification_id? }))();
        fields.finish(parsed)
    }
}

impl TryFrom<VerifyOtpRequest> for Guess {
    type Error = Failure;

    fn try_from(request: VerifyOtpRequest) -> Result<Self, Failure> {
        guess(&request.request_id, &request.verification_id, &request.code, &request.device_label)
    }
}

impl TryFrom<CompleteCodeSignInRequest> for Guess {
    type Error = Failure;

    fn try_from(request: CompleteCodeSignInRequest) -> Result<Self, Failure> {
        guess(&request.request_id, &request.verification_id, &request.code, &request.device_label)
    }
}

fn guess(request_id: &str, verification_id: &str, digits: &str, label: &str) -> Result<Guess, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(request_id);
    let verification_id = fields.id("verification_id", verification_id);
    let code = fields.take("code", code(digits));
    let label = fields.take("device_label", device_label(label));
    let parsed = (|| {
        let origin = Origin { device_label: label?, address: None };
        Some(Guess { request_id: request_id?, verification_id: verification_id?, code: code?, origin })
    })();
    fields.finish(parsed)
}

impl TryFrom<StartPasswordResetRequest> for challenge::Start {
    type Error = Failure;

    fn try_from(request: StartPasswordResetRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        start(&request.request_id, given)
    }
}

impl TryFrom<StartCodeSignInRequest> for challenge::Start {
    type Error = Failure;

    fn try_from(request: StartCodeSignInRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        start(&request.request_id, given)
    }
}

fn start(request_id: &str, given: Option<Given>) -> Result<challenge::Start, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(request_id);
    let identifier = identifier(&mut fields, given);
    let parsed = (|| Some(challenge::Start { request_id: request_id?, identifier: identifier? }))();
    fields.finish(parsed)
}

impl TryFrom<CompletePasswordResetRequest> for recovery::Complete {
    type Error = Failure;

    fn try_from(request: CompletePasswordResetRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let verification_id = fields.id("verification_id", &request.verification_id);
        let code = fields.take("code", code(&request.code));
        let password = fields.take("new_password", Password::new(&request.new_password, None));
        let parsed = (|| {
            let (request_id, verification_id) = (request_id?, verification_id?);
            Some(Self { request_id, verification_id, code: code?, password: password? })
        })();
        fields.finish(parsed)
    }
}

/// As people type it: spaces and hyphens between the digits are theirs to leave out.
pub(in crate::service) fn code(text: &str) -> Result<String, &'static str> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).take(11).collect();
    let is_code = (6..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_code && text.len() <= 40 { Ok(digits) } else { Err("must have 6 to 10 digits") }
}
