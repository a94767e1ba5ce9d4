//! The requests about a person's own identifiers, as values that are valid by type, and what comes of a code for one.

use mesh::{Failure, Fields};
use proto::sso::v1 as pb;

use super::{
    parse::{self, Given},
    render,
};
use crate::{
    identifiers::{Ask, Confirm},
    model::User,
    password::Password,
    peers::Verdict,
};

impl TryFrom<pb::StartIdentifierChangeRequest> for Ask {
    type Error = Failure;

    fn try_from(request: pb::StartIdentifierChangeRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        ask(&request.request_id, given, &request.password)
    }
}

impl TryFrom<pb::RemoveIdentifierRequest> for Ask {
    type Error = Failure;

    fn try_from(request: pb::RemoveIdentifierRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        ask(&request.request_id, given, &request.password)
    }
}

fn ask(request_id: &str, given: Option<Given>, password: &str) -> Result<Ask, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(request_id);
    let identifier = parse::identifier(&mut fields, given);
    let password = match password {
        "" => Some(None),
        given => fields.take("password", Password::given(given)).map(Some),
    };
    fields.finish((|| Some(Ask { request_id: request_id?, identifier: identifier?, password: password? }))())
}

impl TryFrom<pb::ConfirmIdentifierChangeRequest> for Confirm {
    type Error = Failure;

    fn try_from(request: pb::ConfirmIdentifierChangeRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let verification_id = fields.id("verification_id", &request.verification_id);
        let code = fields.take("code", parse::codes::code(&request.code));
        fields.finish((|| Some(Self { request_id: request_id?, verification_id: verification_id?, code: code? }))())
    }
}

pub(super) fn confirmed(outcome: Result<User, Verdict>) -> pb::ConfirmIdentifierChangeResponse {
    use pb::confirm_identifier_change_response::Outcome;
    let outcome = match outcome {
        Ok(user) => Outcome::Success(pb::ConfirmIdentifierChangeSuccess { user: Some(render::user(&user)) }),
        Err(verdict) => Outcome::Failure(render::failure(verdict)),
    };
    pb::ConfirmIdentifierChangeResponse { outcome: Some(outcome) }
}
