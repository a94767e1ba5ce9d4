//! What flows come to, as the contract says it.

use std::time::{SystemTime, UNIX_EPOCH};

use mesh::token::Claims;
use proto::sso::v1::{self as pb, CodeDelivery, VerifyOtpFailureReason};
use uuid::Uuid;

use crate::{
    identifier::Identifier,
    model::{Claim, Provisioning, ProvisioningState, Target, User},
    otp::Pending,
    peers::Verdict,
    revocations::{News, Revocation},
    session::{Session, Tokens},
    signin::SignedIn,
};

pub(super) fn user(user: &User) -> pb::User {
    let (account_type, official_tier) = user.kind.stored();
    pb::User {
        id: user.id.to_string(),
        username: user.username.clone(),
        account_type: account_type.into(),
        official_tier: official_tier.into(),
        is_verified: user.is_verified,
        identifiers: user.identifiers.iter().map(identifier).collect(),
        create_time: stamp(user.created_at),
        update_time: stamp(user.updated_at),
        version: user.version,
        lock_time: user.locked_at.and_then(stamp),
        etag: user.etag(),
    }
}

fn identifier(claim: &Claim) -> pb::Identifier {
    let value = match &claim.identifier {
        Identifier::Email(address) => pb::identifier::Value::Email(address.clone()),
        Identifier::Phone(number) => pb::identifier::Value::PhoneNumber(number.clone()),
    };
    pb::Identifier { value: Some(value), is_verified: claim.is_verified }
}

pub(super) fn provisioning(all: &[Provisioning]) -> Vec<pb::Provisioning> {
    all.iter().map(one_provisioning).collect()
}

pub(super) fn one_provisioning(one: &Provisioning) -> pb::Provisioning {
    let target = match one.target {
        Target::Social => pb::Target::Social,
        Target::Blog => pb::Target::Blog,
    };
    let base = pb::Provisioning { target: target.into(), ..Default::default() };
    match &one.state {
        ProvisioningState::Done => pb::Provisioning { state: pb::ProvisioningState::Done.into(), ..base },
        ProvisioningState::Pending { attempts, due_at, last_error } => pb::Provisioning {
            state: pb::ProvisioningState::Pending.into(),
            attempts: *attempts,
            next_attempt_time: stamp(*due_at),
            last_error: last_error.clone(),
            ..base
        },
        ProvisioningState::Parked { attempts, last_error } => pb::Provisioning {
            state: pb::ProvisioningState::Parked.into(),
            attempts: *attempts,
            last_error: last_error.clone(),
            ..base
        },
    }
}

pub(super) fn verification(pending: Pending) -> pb::Verification {
    let delivery = match &pending.sent {
        None => CodeDelivery::NotSent,
        Some(sent) if sent.delivered => CodeDelivery::Sent,
        Some(_) => CodeDelivery::Failed,
    };
    let (reference, code_expires_at) =
        pending.sent.map(|sent| (sent.reference, sent.code_expires_at)).unwrap_or_default();
    pb::Verification {
        verification_id: pending.id.to_string(),
        masked_destination: pending.masked_destination,
        delivery: delivery.into(),
        reference,
        code_expire_time: code_expires_at.and_then(stamp),
        resend_after: stamp(pending.resend_after),
        guesses_left: pending.guesses_left,
    }
}

pub(super) fn checked(checked: Result<(User, Tokens), Verdict>) -> pb::VerifyOtpResponse {
    use pb::verify_otp_response::Outcome;
    let outcome = match checked {
        Ok((verified, given)) => {
            Outcome::Success(pb::VerifyOtpSuccess { user: Some(user(&verified)), tokens: Some(tokens(given)) })
        }
        Err(verdict) => Outcome::Failure(failure(verdict)),
    };
    pb::VerifyOtpResponse { outcome: Some(outcome) }
}

pub(super) fn reset(set: Result<(), Verdict>) -> pb::CompletePasswordResetResponse {
    use pb::complete_password_reset_response::Outcome;
    let outcome = match set {
        Ok(()) => Outcome::Success(pb::CompletePasswordResetSuccess {}),
        Err(verdict) => Outcome::Failure(failure(verdict)),
    };
    pb::CompletePasswordResetResponse { outcome: Some(outcome) }
}

pub(super) fn code_sign_in(signed_in: Result<Tokens, Verdict>) -> pb::CompleteCodeSignInResponse {
    use pb::complete_code_sign_in_response::Outcome;
    let outcome = match signed_in {
        Ok(given) => Outcome::Tokens(tokens(given)),
        Err(verdict) => Outcome::Failure(failure(verdict)),
    };
    pb::CompleteCodeSignInResponse { outcome: Some(outcome) }
}

pub(super) fn failure(verdict: Verdict) -> pb::VerifyOtpFailure {
    let (reason, guesses_left) = match verdict {
        Verdict::WrongCode { guesses_left } => (VerifyOtpFailureReason::WrongCode, guesses_left),
        Verdict::Expired { guesses_left } => (VerifyOtpFailureReason::CodeExpired, guesses_left),
        Verdict::Exhausted => (VerifyOtpFailureReason::GuessesExhausted, 0),
        Verdict::Used | Verdict::Approved => (VerifyOtpFailureReason::CodeUsed, 0),
    };
    pb::VerifyOtpFailure { reason: reason.into(), guesses_left }
}

pub(super) fn signed_in(signed_in: SignedIn) -> pb::SignInResponse {
    use pb::sign_in_response::Outcome;
    let outcome = match signed_in {
        SignedIn::Tokens(given) => Outcome::Tokens(tokens(given)),
        SignedIn::Unverified(pending) => Outcome::Verification(verification(pending)),
    };
    pb::SignInResponse { outcome: Some(outcome) }
}

pub(super) fn tokens(tokens: Tokens) -> pb::Tokens {
    pb::Tokens {
        access_token: tokens.access.text,
        access_expire_time: stamp(tokens.access.expires_at),
        refresh_token: tokens.refresh,
        refresh_expire_time: stamp(tokens.refresh_expires_at),
    }
}

pub(super) fn session(session: Session, expires_at: SystemTime, current: Uuid) -> pb::Session {
    pb::Session {
        id: session.id.to_string(),
        device_label: session.device_label,
        network: session.network,
        create_time: stamp(session.created_at),
        refresh_time: stamp(session.refreshed_at),
        expire_time: stamp(expires_at),
        current: session.id == current,
    }
}

/// What came to one who watches. The cursor is a time, in microseconds since 1970.
pub(super) fn revocations(news: News) -> pb::WatchRevocationsResponse {
    let cursor = news.cursor.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros().to_string();
    let revocation = |one: Revocation| pb::Revocation {
        session_id: one.place.session_id.to_string(),
        expire_time: stamp(one.until),
    };
    pb::WatchRevocationsResponse { revocations: news.revocations.into_iter().map(revocation).collect(), cursor }
}

/// A token that holds.
pub(super) fn introspected(claims: &Claims) -> pb::IntrospectTokenResponse {
    pb::IntrospectTokenResponse {
        active: true,
        user_id: claims.subject.clone(),
        session_id: claims.session.map(|id| id.to_string()).unwrap_or_default(),
        issue_time: stamp(claims.issued_at),
        expire_time: stamp(claims.expires_at),
    }
}

pub(super) fn stamp(time: SystemTime) -> Option<prost_types::Timestamp> {
    Some(time.into())
}
