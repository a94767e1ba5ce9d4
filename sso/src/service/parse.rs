//! Requests become values that are valid by type, or one answer that names all bad fields.

pub(super) mod codes;
pub(super) mod create;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh::{Failure, Fields, token::MAX_TOKEN};
use proto::sso::v1::{self as pb, ChangePasswordRequest, SignInRequest};
use uuid::Uuid;

use crate::{
    account::ChangePassword,
    identifier::Identifier,
    origin::{Origin, device_label},
    password::Password,
    signin::SignIn,
    username::Username,
};

/// The fields of one `oneof identifier`, whichever message it stands in.
pub(super) enum Given {
    Email(String),
    Phone(String),
}

/// Each message has a `oneof` of its own, in a type of its own.
macro_rules! given {
    ($($message:ident)*) => {$(
        impl From<pb::$message::Identifier> for Given {
            fn from(identifier: pb::$message::Identifier) -> Self {
                match identifier {
                    pb::$message::Identifier::Email(text) => Self::Email(text),
                    pb::$message::Identifier::PhoneNumber(text) => Self::Phone(text),
                }
            }
        }
    )*};
}

given! {
    create_user_request
    remove_identifier_request
    sign_in_request
    sign_up_request
    start_code_sign_in_request
    start_identifier_change_request
    start_password_reset_request
}

impl TryFrom<SignInRequest> for SignIn {
    type Error = Failure;

    fn try_from(request: SignInRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let identifier = identifier(&mut fields, given);
        let password = fields.take("password", Password::given(&request.password));
        let label = fields.take("device_label", device_label(&request.device_label));
        let parsed = (|| {
            let origin = Origin { device_label: label?, address: None };
            Some(Self { request_id: request_id?, identifier: identifier?, password: password?, origin })
        })();
        fields.finish(parsed)
    }
}

impl TryFrom<ChangePasswordRequest> for ChangePassword {
    type Error = Failure;

    fn try_from(request: ChangePasswordRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let old = fields.take("old_password", Password::given(&request.old_password));
        let new = fields.take("new_password", Password::new(&request.new_password, None));
        let parsed = (|| Some(Self { request_id: request_id?, old: old?, new: new? }))();
        fields.finish(parsed)
    }
}

/// A username to change to.
pub(super) fn change_username(request: &pb::ChangeUsernameRequest) -> Result<(Uuid, Username), Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(&request.request_id);
    let username = fields.take("username", Username::parse(&request.username));
    fields.finish(request_id.zip(username))
}

/// An id by itself.
pub(super) fn id(field: &str, text: &str) -> Result<Uuid, Failure> {
    let mut fields = Fields::default();
    let id = fields.id(field, text);
    fields.finish(id)
}

/// A refresh token by itself: whether it is one is for the flow to say.
pub(super) fn refresh_token(text: &str) -> Result<&str, Failure> {
    match text.len() {
        0 => Err(Failure::invalid_field("refresh_token", "is required")),
        1..=256 => Ok(text),
        _ => Err(Failure::invalid_field("refresh_token", "is longer than 256 bytes")),
    }
}

/// An access token by itself: whether it is one is for the flow to say.
pub(super) fn access_token(text: &str) -> Result<&str, Failure> {
    match text.len() {
        0 => Err(Failure::invalid_field("access_token", "is required")),
        1..=MAX_TOKEN => Ok(text),
        _ => Err(Failure::invalid_field("access_token", "is longer than 1024 bytes")),
    }
}

/// The time in a cursor: microseconds since 1970. `None` without one.
pub(super) fn cursor(text: &str) -> Result<Option<SystemTime>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let micros = text.parse().ok().filter(|micros| i64::try_from(*micros).is_ok());
    let time = micros.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
    time.map(Some).ok_or_else(|| Failure::invalid_field("cursor", "is not one that came from here"))
}

pub(super) fn identifier(fields: &mut Fields, given: Option<Given>) -> Option<Identifier> {
    match given {
        Some(Given::Email(text)) => fields.take("email", Identifier::email(&text)),
        Some(Given::Phone(text)) => fields.take("phone_number", Identifier::phone(&text)),
        None => fields.refuse("identifier", "is required: email or phone_number"),
    }
}
