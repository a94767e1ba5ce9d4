//! `sms.v1.MessageService` on the wire: parse, call, render.

use std::sync::Arc;

use mesh::{Failure, Fields};
use proto::sms::v1::{
    self as pb, message_service_server::MessageService, send_message_request::Destination as PbDestination,
};
use tonic::{Request, Response, Status};

use crate::{
    core::Core,
    destination::Destination,
    notice::{self, Notice, Telling},
};

/// Serves the calls.
pub(crate) struct Notices(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl MessageService for Notices {
    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Result<Response<pb::SendMessageResponse>, Status> {
        let telling = telling(request.into_inner())?;
        notice::take(&self.0, telling).await.map_err(Failure::from)?;
        Ok(Response::new(pb::SendMessageResponse {}))
    }
}

fn telling(request: pb::SendMessageRequest) -> Result<Telling, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(&request.request_id);
    let notice = match pb::Notice::try_from(request.notice) {
        Ok(pb::Notice::PasswordChanged) => Some(Notice::PasswordChanged),
        Ok(pb::Notice::PasswordReset) => Some(Notice::PasswordReset),
        Ok(pb::Notice::IdentifierChanged) => Some(Notice::IdentifierChanged),
        Ok(pb::Notice::IdentifierAdded) => Some(Notice::IdentifierAdded),
        Ok(pb::Notice::IdentifierRemoved) => Some(Notice::IdentifierRemoved),
        Ok(pb::Notice::Unspecified) => fields.refuse("notice", "is required"),
        Err(_) => fields.refuse("notice", "is not known here"),
    };
    let destination = match request.destination {
        Some(PbDestination::Email(text)) => fields.take("email", Destination::email(&text)),
        Some(PbDestination::PhoneNumber(text)) => fields.take("phone_number", Destination::phone(&text)),
        None => fields.refuse("destination", "is required"),
    };
    fields.finish((|| Some(Telling { request_id: request_id?, notice: notice?, destination: destination? }))())
}
