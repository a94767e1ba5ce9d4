//! `sms.v1.OtpService` on the wire: parse, call, render.

use std::{sync::Arc, time::SystemTime};

use mesh::{Failure, Fields};
use proto::sms::v1::{self as pb, otp_service_server::OtpService, send_otp_request::Destination as PbDestination};
use tonic::{Request, Response, Status};

use crate::{
    acknowledge,
    code::Code,
    core::Core,
    delivery::Receipt,
    destination::Destination,
    send::{self, Another, Opening, Purpose},
    verify::{self, Guess, Verdict},
};

/// Serves the calls.
pub(crate) struct Otp(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl OtpService for Otp {
    async fn send_otp(&self, request: Request<pb::SendOtpRequest>) -> Result<Response<pb::SendOtpResponse>, Status> {
        let opening = opening(request.into_inner())?;
        let receipt = send::first(&self.0, opening).await.map_err(Failure::from)?;
        Ok(Response::new(pb::SendOtpResponse { otp: Some(otp(receipt)) }))
    }

    async fn resend_otp(
        &self,
        request: Request<pb::ResendOtpRequest>,
    ) -> Result<Response<pb::ResendOtpResponse>, Status> {
        let another = another(&request.into_inner())?;
        let receipt = send::another(&self.0, another).await.map_err(Failure::from)?;
        Ok(Response::new(pb::ResendOtpResponse { otp: Some(otp(receipt)) }))
    }

    async fn verify_otp(
        &self,
        request: Request<pb::VerifyOtpRequest>,
    ) -> Result<Response<pb::VerifyOtpResponse>, Status> {
        let guess = guess(&request.into_inner())?;
        let answer = verify::verify(&self.0, guess).await.map_err(Failure::from)?;
        let guesses_left = i32::from(answer.guesses_left);
        Ok(Response::new(pb::VerifyOtpResponse { verdict: verdict(answer.verdict).into(), guesses_left }))
    }

    async fn acknowledge_otp(
        &self,
        request: Request<pb::AcknowledgeOtpRequest>,
    ) -> Result<Response<pb::AcknowledgeOtpResponse>, Status> {
        let mut fields = Fields::default();
        let id = fields.id("verification_id", &request.into_inner().verification_id);
        acknowledge::acknowledge(&self.0, fields.finish(id)?).await.map_err(Failure::from)?;
        Ok(Response::new(pb::AcknowledgeOtpResponse {}))
    }
}

fn opening(request: pb::SendOtpRequest) -> Result<Opening, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(&request.request_id);
    let verification_id = fields.id("verification_id", &request.verification_id);
    let user_id = fields.id("user_id", &request.user_id);
    let purpose = purpose(&mut fields, request.purpose);
    let destination = match request.destination {
        Some(PbDestination::Email(text)) => fields.take("email", Destination::email(&text)),
        Some(PbDestination::PhoneNumber(text)) => fields.take("phone_number", Destination::phone(&text)),
        None => fields.refuse("destination", "is required"),
    };
    let decoy = request.decoy;
    fields.finish((|| {
        Some(Opening {
            request_id: request_id?,
            verification_id: verification_id?,
            user_id: user_id?,
            purpose: purpose?,
            destination: destination?,
            decoy,
        })
    })())
}

fn another(request: &pb::ResendOtpRequest) -> Result<Another, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(&request.request_id);
    let verification_id = fields.id("verification_id", &request.verification_id);
    let decoy = request.decoy;
    fields.finish((|| Some(Another { request_id: request_id?, verification_id: verification_id?, decoy }))())
}

fn guess(request: &pb::VerifyOtpRequest) -> Result<Guess, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(&request.request_id);
    let verification_id = fields.id("verification_id", &request.verification_id);
    let user_id = fields.id("user_id", &request.user_id);
    let purpose = purpose(&mut fields, request.purpose);
    let code = fields.take("code", Code::parse(&request.code));
    fields.finish((|| {
        Some(Guess {
            request_id: request_id?,
            verification_id: verification_id?,
            user_id: user_id?,
            purpose: purpose?,
            code: code?,
        })
    })())
}

fn purpose(fields: &mut Fields, number: i32) -> Option<Purpose> {
    match pb::Purpose::try_from(number) {
        Ok(pb::Purpose::VerifyIdentifier) => Some(Purpose::VerifyIdentifier),
        Ok(pb::Purpose::ResetPassword) => Some(Purpose::ResetPassword),
        Ok(pb::Purpose::SignIn) => Some(Purpose::SignIn),
        Ok(pb::Purpose::ChangeIdentifier) => Some(Purpose::ChangeIdentifier),
        Ok(pb::Purpose::Unspecified) => fields.refuse("purpose", "is required"),
        Err(_) => fields.refuse("purpose", "is not known here"),
    }
}

fn otp(receipt: Receipt) -> pb::Otp {
    let delivery = if receipt.sent { pb::Delivery::Sent } else { pb::Delivery::Failed };
    pb::Otp {
        verification_id: receipt.verification_id.to_string(),
        masked_destination: receipt.destination.masked(),
        delivery: delivery.into(),
        reference: receipt.reference.as_str().to_owned(),
        code_expire_time: Some(SystemTime::from(receipt.code_expires_at).into()),
        resend_after: Some(SystemTime::from(receipt.resend_after).into()),
        guesses_left: receipt.guesses_left.into(),
    }
}

fn verdict(verdict: Verdict) -> pb::Verdict {
    match verdict {
        Verdict::Approved => pb::Verdict::Approved,
        Verdict::WrongCode => pb::Verdict::WrongCode,
        Verdict::CodeExpired => pb::Verdict::CodeExpired,
        Verdict::GuessesExhausted => pb::Verdict::GuessesExhausted,
        Verdict::CodeUsed => pb::Verdict::CodeUsed,
    }
}
