//! The lines that call SMS, Social and Blog: wire types end here.

use std::time::{Duration, SystemTime};

use mesh::{Channel, Failure, failure};
use proto::{
    blog::v1::{self as blog, user_service_client::UserServiceClient as BlogUsers},
    sms::v1::{
        self as sms, message_service_client::MessageServiceClient, otp_service_client::OtpServiceClient,
        send_message_request, send_otp_request::Destination,
    },
    social::v1::{self as social, user_service_client::UserServiceClient as SocialUsers},
    sso::v1::ErrorReason,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    error::Error,
    identifier::Identifier,
    model::{Known, Notice, Purpose, Target, Truth, Verification},
};

/// Typed clients of the other services.
#[derive(Clone)]
pub(crate) struct Peers {
    otp: OtpServiceClient<Channel>,
    messages: MessageServiceClient<Channel>,
    social: SocialUsers<Channel>,
    blog: BlogUsers<Channel>,
}

/// The state of a verification after a send, as SMS tells it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) delivered: bool,
    pub(crate) reference: String,
    pub(crate) code_expires_at: Option<SystemTime>,
    pub(crate) resend_after: Option<SystemTime>,
    pub(crate) guesses_left: i32,
}

/// What SMS says of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved,
    WrongCode { guesses_left: i32 },
    Expired { guesses_left: i32 },
    Exhausted,
    Used,
}

impl Peers {
    /// Clients over these channels.
    pub(crate) fn new(sms: Channel, social: Channel, blog: Channel) -> Self {
        let (otp, messages) = (OtpServiceClient::new(sms.clone()), MessageServiceClient::new(sms));
        Self { otp, messages, social: SocialUsers::new(social), blog: BlogUsers::new(blog) }
    }

    /// Tells a target what is true of a user, and returns as whom the target knows it then, if it is alive. The target keeps the highest of all versions, so it may be
    /// told at any time and any number of times.
    pub(crate) async fn provision(
        &self,
        target: Target,
        user_id: Uuid,
        truth: &Truth,
    ) -> Result<Option<Known>, Status> {
        let user = match truth {
            Truth::Alive(user) => user,
            Truth::Deleted { version } => return self.delete(target, user_id, *version).await.map(|()| None),
        };
        let (account_type, tier) = user.kind.stored();
        let (id, username, version) = (user_id.to_string(), user.username.clone(), user.version);
        let (account_type, official_tier) = (i32::from(account_type), i32::from(tier));
        match target {
            Target::Social => {
                let (mut client, user) =
                    (self.social.clone(), Some(social::User { id, username, account_type, official_tier, version }));
                let theirs = match version {
                    1 => client.create_user(social::CreateUserRequest { user }).await?.into_inner().user,
                    _ => client.update_user(social::UpdateUserRequest { user }).await?.into_inner().user,
                };
                Ok(theirs.and_then(by_social))
            }
            Target::Blog => {
                let (mut client, user) =
                    (self.blog.clone(), Some(blog::User { id, username, account_type, official_tier, version }));
                let theirs = match version {
                    1 => client.create_user(blog::CreateUserRequest { user }).await?.into_inner().user,
                    _ => client.update_user(blog::UpdateUserRequest { user }).await?.into_inner().user,
                };
                Ok(theirs.and_then(by_blog))
            }
        }
    }

    /// Up to `size` users of a target with an id above `after`, by id, and whether there are more.
    pub(crate) async fn list(&self, target: Target, after: Uuid, size: i32) -> Result<(Vec<Known>, bool), Status> {
        let after_user_id = if after.is_nil() { String::new() } else { after.to_string() };
        let page_size = size;
        let (users, more) = match target {
            Target::Social => {
                let request = social::ListUsersRequest { after_user_id, page_size };
                let page = self.social.clone().list_users(request).await?.into_inner();
                (page.users.into_iter().map(by_social).collect::<Option<_>>(), page.more)
            }
            Target::Blog => {
                let request = blog::ListUsersRequest { after_user_id, page_size };
                let page = self.blog.clone().list_users(request).await?.into_inner();
                (page.users.into_iter().map(by_blog).collect::<Option<_>>(), page.more)
            }
        };
        Ok((users.ok_or_else(|| Status::internal("a target lists a user without an id"))?, more))
    }

    async fn delete(&self, target: Target, user_id: Uuid, version: i64) -> Result<(), Status> {
        let user_id = user_id.to_string();
        match target {
            Target::Social => {
                self.social.clone().delete_user(social::DeleteUserRequest { user_id, version }).await.map(drop)
            }
            Target::Blog => self.blog.clone().delete_user(blog::DeleteUserRequest { user_id, version }).await.map(drop),
        }
    }

    /// Sends the first code of a verification, or, as a decoy, the notice to whoever owns the identifier.
    pub(crate) async fn send_otp(
        &self,
        request_id: Uuid,
        verification: &Verification,
        decoy: bool,
    ) -> Result<Sent, Status> {
        let destination = match &verification.identifier {
            Identifier::Email(address) => Destination::Email(address.clone()),
            Identifier::Phone(number) => Destination::PhoneNumber(number.clone()),
        };
        let request = sms::SendOtpRequest {
            request_id: request_id.to_string(),
            verification_id: verification.id.to_string(),
            user_id: verification.user_id.to_string(),
            purpose: purpose(verification.purpose).into(),
            destination: Some(destination),
            decoy,
        };
        self.otp.clone().send_otp(request).await.map(|answer| sent(answer.into_inner().otp))
    }

    /// Sends another code for a verification that has had its first.
    pub(crate) async fn resend_otp(
        &self,
        request_id: Uuid,
        verification_id: Uuid,
        decoy: bool,
    ) -> Result<Sent, Status> {
        let (request_id, verification_id) = (request_id.to_string(), verification_id.to_string());
        let request = sms::ResendOtpRequest { request_id, verification_id, decoy };
        self.otp.clone().resend_otp(request).await.map(|answer| sent(answer.into_inner().otp))
    }

    /// Has a code checked.
    pub(crate) async fn verify_otp(
        &self,
        request_id: Uuid,
        verification: &Verification,
        code: &str,
    ) -> Result<Verdict, Error> {
        let request = sms::VerifyOtpRequest {
            request_id: request_id.to_string(),
            verification_id: verification.id.to_string(),
            user_id: verification.user_id.to_string(),
            purpose: purpose(verification.purpose).into(),
            code: code.to_owned(),
        };
        let answer = self.otp.clone().verify_otp(request).await.map_err(|status| refused(&status))?.into_inner();
        let guesses_left = answer.guesses_left;
        match answer.verdict() {
            sms::Verdict::Approved => Ok(Verdict::Approved),
            sms::Verdict::WrongCode => Ok(Verdict::WrongCode { guesses_left }),
            sms::Verdict::CodeExpired => Ok(Verdict::Expired { guesses_left }),
            sms::Verdict::GuessesExhausted => Ok(Verdict::Exhausted),
            sms::Verdict::CodeUsed => Ok(Verdict::Used),
            sms::Verdict::Unspecified => Err(Failure::internal(UnknownVerdict(answer.verdict)).into()),
        }
    }

    /// Says that an approval was acted on.
    pub(crate) async fn acknowledge_otp(&self, verification_id: Uuid) -> Result<(), Status> {
        let request = sms::AcknowledgeOtpRequest { verification_id: verification_id.to_string() };
        self.otp.clone().acknowledge_otp(request).await.map(drop)
    }

    /// Has somebody told of what was done with their account.
    pub(crate) async fn send_message(
        &self,
        request_id: Uuid,
        notice: Notice,
        identifier: &Identifier,
    ) -> Result<(), Status> {
        use send_message_request::Destination;
        let destination = match identifier {
            Identifier::Email(address) => Destination::Email(address.clone()),
            Identifier::Phone(number) => Destination::PhoneNumber(number.clone()),
        };
        let notice = match notice {
            Notice::PasswordChanged => sms::Notice::PasswordChanged,
            Notice::PasswordReset => sms::Notice::PasswordReset,
            Notice::IdentifierChanged => sms::Notice::IdentifierChanged,
            Notice::IdentifierAdded => sms::Notice::IdentifierAdded,
            Notice::IdentifierRemoved => sms::Notice::IdentifierRemoved,
        };
        let (request_id, notice, destination) = (request_id.to_string(), notice.into(), Some(destination));
        let request = sms::SendMessageRequest { request_id, notice, destination };
        self.messages.clone().send_message(request).await.map(drop)
    }
}

fn purpose(purpose: Purpose) -> sms::Purpose {
    match purpose {
        Purpose::VerifyIdentifier => sms::Purpose::VerifyIdentifier,
        Purpose::ResetPassword => sms::Purpose::ResetPassword,
        Purpose::SignIn => sms::Purpose::SignIn,
        Purpose::ChangeIdentifier => sms::Purpose::ChangeIdentifier,
    }
}

fn sent(otp: Option<sms::Otp>) -> Sent {
    let otp = otp.unwrap_or_default();
    let time = |stamp: Option<prost_types::Timestamp>| stamp.and_then(|stamp| SystemTime::try_from(stamp).ok());
    Sent {
        delivered: otp.delivery() == sms::Delivery::Sent,
        guesses_left: otp.guesses_left,
        code_expires_at: time(otp.code_expire_time),
        resend_after: time(otp.resend_after),
        reference: otp.reference,
    }
}

fn by_social(user: social::User) -> Option<Known> {
    known(&user.id, user.username, user.account_type, user.official_tier, user.version)
}

fn by_blog(user: blog::User) -> Option<Known> {
    known(&user.id, user.username, user.account_type, user.official_tier, user.version)
}

fn known(id: &str, username: String, account_type: i32, tier: i32, version: i64) -> Option<Known> {
    let (account_type, tier) = (i16::try_from(account_type).ok()?, i16::try_from(tier).ok()?);
    Some(Known { id: Uuid::try_parse(id).ok()?, username, account_type, tier, version })
}

/// Whether SMS says that the verification has had its first send.
pub(crate) fn is_open(status: &Status) -> bool {
    reason(status) == Some(sms::ErrorReason::VerificationExists)
}

/// What a refusal of SMS means to the client of SSO.
pub(crate) fn refused(status: &Status) -> Error {
    let limited = |reason| Error::Limited { reason, retry_after: failure::retry_delay(status) };
    match reason(status) {
        Some(sms::ErrorReason::VerificationNotFound | sms::ErrorReason::VerificationOver) => {
            Error::VerificationNotFound
        }
        Some(sms::ErrorReason::RequestIdReused) => Error::RequestIdReused,
        Some(sms::ErrorReason::OtpResendTooSoon) => limited(ErrorReason::OtpResendTooSoon),
        Some(sms::ErrorReason::OtpSendLimit) => limited(ErrorReason::OtpSendLimit),
        Some(sms::ErrorReason::OtpGuessLimit) => limited(ErrorReason::OtpGuessLimit),
        _ => unanswered(status),
    }
}

/// A peer that gave no answer of its own: what is passing stays passing, and the rest is our fault, not the client's.
fn unanswered(status: &Status) -> Error {
    match status.code() {
        Code::DeadlineExceeded => Failure::late().into(),
        Code::ResourceExhausted => {
            Failure::overloaded(failure::retry_delay(status).unwrap_or(Duration::from_secs(1))).into()
        }
        Code::Unavailable | Code::Cancelled => Failure::unreachable("SMS does not answer").into(),
        _ => Failure::internal(status.clone()).into(),
    }
}

fn reason(status: &Status) -> Option<sms::ErrorReason> {
    let reason = failure::reason(status)?;
    sms::ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}"))
}

#[derive(Debug, thiserror::Error)]
#[error("SMS gave a verdict that is not in the contract: {0}")]
struct UnknownVerdict(i32);
