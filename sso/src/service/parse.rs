//! Requests become values that are valid by type, or one answer that names all bad fields.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh::{Failure, Fields, token::MAX_TOKEN};
use proto::sso::v1::{
    self as pb, AccountType, ChangePasswordRequest, CompleteCodeSignInRequest, CompletePasswordResetRequest,
    CreateUserRequest, OfficialTier, SendOtpRequest, SignInRequest, SignUpRequest, StartCodeSignInRequest,
    StartPasswordResetRequest, VerifyOtpRequest,
};
use uuid::Uuid;

use crate::{
    account::ChangePassword,
    challenge,
    create::{By, Create},
    identifier::Identifier,
    model::{AccountKind, Tier},
    origin::{Origin, device_label},
    password::Password,
    recovery,
    signin::SignIn,
    username::Username,
    verify::Guess,
};

/// A code that is asked for.
pub(super) struct SendOtp {
    pub(super) request_id: Uuid,
    pub(super) verification_id: Uuid,
}

/// The fields of one `oneof identifier`, whichever message it stands in.
pub(super) enum Given {
    Email(String),
    Phone(String),
}

impl TryFrom<SignUpRequest> for Create {
    type Error = Failure;

    fn try_from(request: SignUpRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(|identifier| match identifier {
            pb::sign_up_request::Identifier::Email(text) => Given::Email(text),
            pb::sign_up_request::Identifier::PhoneNumber(text) => Given::Phone(text),
        });
        let mut fields = Fields::default();
        let kind = match AccountType::try_from(request.account_type) {
            Ok(AccountType::Customer) => Some(AccountKind::Customer),
            Ok(AccountType::Official) => Some(AccountKind::Official(Tier::Unverified)),
            _ => refuse(&mut fields, "account_type", "is required"),
        };
        let rest = Common { request_id: request.request_id, password: request.password, username: request.username };
        create(fields, given, rest, kind, By::Person)
    }
}

impl TryFrom<CreateUserRequest> for Create {
    type Error = Failure;

    fn try_from(request: CreateUserRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let kind = account_kind(&mut fields, request.account_type, request.official_tier);
        let given = request.identifier.map(|identifier| match identifier {
            pb::create_user_request::Identifier::Email(text) => Given::Email(text),
            pb::create_user_request::Identifier::PhoneNumber(text) => Given::Phone(text),
        });
        let rest = Common { request_id: request.request_id, password: request.password, username: request.username };
        create(fields, given, rest, kind, By::Operator { vouches: request.vouch_identifier })
    }
}

impl TryFrom<SignInRequest> for SignIn {
    type Error = Failure;

    fn try_from(request: SignInRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(|identifier| match identifier {
            pb::sign_in_request::Identifier::Email(text) => Given::Email(text),
            pb::sign_in_request::Identifier::PhoneNumber(text) => Given::Phone(text),
        });
        let mut fields = Fields::default();
        let request_id = fields.request_id("request_id", &request.request_id);
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

impl TryFrom<SendOtpRequest> for SendOtp {
    type Error = Failure;

    fn try_from(request: SendOtpRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id("request_id", &request.request_id);
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
    let request_id = fields.request_id("request_id", request_id);
    let verification_id = fields.id("verification_id", verification_id);
    let code = fields.take("code", code(digits));
    let label = fields.take("device_label", device_label(label));
    let parsed = (|| {
        let origin = Origin { device_label: label?, address: None };
        Some(Guess { request_id: request_id?, verification_id: verification_id?, code: code?, origin })
    })();
    fields.finish(parsed)
}

/// The account type and tier that operators give.
pub(super) fn account_kind(fields: &mut Fields, account_type: i32, official_tier: i32) -> Option<AccountKind> {
    match (AccountType::try_from(account_type), OfficialTier::try_from(official_tier)) {
        (Ok(AccountType::Customer), Ok(OfficialTier::Unspecified)) => Some(AccountKind::Customer),
        (Ok(AccountType::Customer), _) => refuse(fields, "official_tier", "is for official accounts"),
        (Ok(AccountType::Official), Ok(OfficialTier::Verified)) => Some(AccountKind::Official(Tier::Verified)),
        (Ok(AccountType::Official), Ok(OfficialTier::Premium)) => Some(AccountKind::Official(Tier::Premium)),
        (Ok(AccountType::Official), Ok(_)) => Some(AccountKind::Official(Tier::Unverified)),
        (Ok(AccountType::Official), Err(_)) => refuse(fields, "official_tier", "is unknown"),
        _ => refuse(fields, "account_type", "is required"),
    }
}

impl TryFrom<StartPasswordResetRequest> for challenge::Start {
    type Error = Failure;

    fn try_from(request: StartPasswordResetRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(|identifier| match identifier {
            pb::start_password_reset_request::Identifier::Email(text) => Given::Email(text),
            pb::start_password_reset_request::Identifier::PhoneNumber(text) => Given::Phone(text),
        });
        start(&request.request_id, given)
    }
}

impl TryFrom<StartCodeSignInRequest> for challenge::Start {
    type Error = Failure;

    fn try_from(request: StartCodeSignInRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(|identifier| match identifier {
            pb::start_code_sign_in_request::Identifier::Email(text) => Given::Email(text),
            pb::start_code_sign_in_request::Identifier::PhoneNumber(text) => Given::Phone(text),
        });
        start(&request.request_id, given)
    }
}

fn start(request_id: &str, given: Option<Given>) -> Result<challenge::Start, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id("request_id", request_id);
    let identifier = identifier(&mut fields, given);
    let parsed = (|| Some(challenge::Start { request_id: request_id?, identifier: identifier? }))();
    fields.finish(parsed)
}

impl TryFrom<CompletePasswordResetRequest> for recovery::Complete {
    type Error = Failure;

    fn try_from(request: CompletePasswordResetRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id("request_id", &request.request_id);
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

impl TryFrom<ChangePasswordRequest> for ChangePassword {
    type Error = Failure;

    fn try_from(request: ChangePasswordRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id("request_id", &request.request_id);
        let old = fields.take("old_password", Password::given(&request.old_password));
        let new = fields.take("new_password", Password::new(&request.new_password, None));
        let parsed = (|| Some(Self { request_id: request_id?, old: old?, new: new? }))();
        fields.finish(parsed)
    }
}

/// A username to change to.
pub(super) fn change_username(request: &pb::ChangeUsernameRequest) -> Result<(Uuid, Username), Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id("request_id", &request.request_id);
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
    let mut fields = Fields::default();
    let token = match text.len() {
        0 => refuse(&mut fields, "refresh_token", "is required"),
        1..=256 => Some(text),
        _ => refuse(&mut fields, "refresh_token", "is longer than 256 bytes"),
    };
    fields.finish(token)
}

/// An access token by itself: whether it is one is for the flow to say.
pub(super) fn access_token(text: &str) -> Result<&str, Failure> {
    let mut fields = Fields::default();
    let token = match text.len() {
        0 => refuse(&mut fields, "access_token", "is required"),
        1..=MAX_TOKEN => Some(text),
        _ => refuse(&mut fields, "access_token", "is longer than 1024 bytes"),
    };
    fields.finish(token)
}

/// The time in a cursor: microseconds since 1970. `None` without one.
pub(super) fn cursor(text: &str) -> Result<Option<SystemTime>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields::default();
    let micros = text.parse().ok().filter(|micros| i64::try_from(*micros).is_ok());
    let time = micros.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
    let time = time.or_else(|| refuse(&mut fields, "cursor", "is not one that came from here"));
    fields.finish(time.map(Some))
}

/// The fields that SignUp and CreateUser share.
struct Common {
    request_id: String,
    password: String,
    username: String,
}

fn create(
    mut fields: Fields,
    given: Option<Given>,
    rest: Common,
    kind: Option<AccountKind>,
    by: By,
) -> Result<Create, Failure> {
    let request_id = fields.request_id("request_id", &rest.request_id);
    let identifier = identifier(&mut fields, given);
    let username = fields.take("username", Username::parse(&rest.username));
    let password = fields.take("password", Password::new(&rest.password, username.as_ref()));
    let parsed = (|| {
        Some(Create {
            request_id: request_id?,
            identifier: identifier?,
            password: password?,
            username: username?,
            kind: kind?,
            by,
        })
    })();
    fields.finish(parsed)
}

pub(super) fn identifier(fields: &mut Fields, given: Option<Given>) -> Option<Identifier> {
    match given {
        Some(Given::Email(text)) => fields.take("email", Identifier::email(&text)),
        Some(Given::Phone(text)) => fields.take("phone_number", Identifier::phone(&text)),
        None => refuse(fields, "identifier", "is required: email or phone_number"),
    }
}

/// As people type it: spaces and hyphens between the digits are theirs to leave out.
pub(super) fn code(text: &str) -> Result<String, &'static str> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).take(11).collect();
    let is_code = (6..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_code && text.len() <= 40 { Ok(digits) } else { Err("must have 6 to 10 digits") }
}

pub(super) fn refuse<T>(fields: &mut Fields, field: &str, description: &str) -> Option<T> {
    fields.refuse(field, description);
    None
}
