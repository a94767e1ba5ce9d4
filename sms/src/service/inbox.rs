//! `sms.v1.InboxService` on the wire, over the inbox of the development carrier.

use mesh::{Failure, Fields, page};
use proto::sms::v1::{self as pb, inbox_service_server::InboxService};
use tonic::{Request, Response, Status};

use crate::development::{Entry, Inbox};

/// How many messages a page has if the caller does not say.
const PAGE: usize = 20;
/// The most messages of a page.
const MAX_PAGE: usize = 100;

/// Serves the calls.
pub(crate) struct Messages(pub(crate) Inbox);

#[tonic::async_trait]
impl InboxService for Messages {
    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        let page = Page::parse(request.into_inner())?;
        // One more than asked for tells whether there is another page.
        let mut entries = self.0.list(page.destination.as_deref(), page.before, page.size + 1);
        let more = entries.len() > page.size;
        entries.truncate(page.size);
        let next = entries.last().filter(|_| more).map(|entry| token(entry.number));
        let messages = entries.into_iter().map(message).collect();
        Ok(Response::new(pb::ListMessagesResponse { messages, next_page_token: next.unwrap_or_default() }))
    }
}

struct Page {
    destination: Option<String>,
    before: u64,
    size: usize,
}

impl Page {
    fn parse(request: pb::ListMessagesRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(request.page_size, PAGE, MAX_PAGE));
        let before = fields.take("page_token", before(&request.page_token));
        let destination = (!request.destination.is_empty()).then_some(request.destination);
        fields.finish((|| Some(Self { destination, before: before?, size: size? }))())
    }
}

/// A page token is the number of the last message that was shown, in hexadecimal digits.
fn token(number: u64) -> String {
    format!("{number:016x}")
}

fn before(token: &str) -> Result<u64, &'static str> {
    match token {
        "" => Ok(u64::MAX),
        _ if token.len() == 16 => u64::from_str_radix(token, 16).map_err(|_| "is not a token of this method"),
        _ => Err("is not a token of this method"),
    }
}

fn message(entry: Entry) -> pb::Message {
    let (code, reference) = match &entry.message.code {
        Some((code, reference)) => (code.expose().to_owned(), reference.as_str().to_owned()),
        None => Default::default(),
    };
    pb::Message {
        destination: entry.message.destination.expose().to_owned(),
        text: entry.message.text,
        code,
        reference,
        send_time: Some(entry.at.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_go_and_come_back() {
        assert_eq!(before(""), Ok(u64::MAX));
        assert_eq!(before(&token(7)), Ok(7));
        for bad in ["7", "000000000000000g", "+00000000000000a0"] {
            assert!(before(bad).is_err(), "{bad}");
        }
    }
}
