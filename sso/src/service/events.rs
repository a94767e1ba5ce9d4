//! What operators ask of the audit trail, parsed and rendered.

use std::time::SystemTime;

use mesh::{Failure, Fields, page};
use proto::sso::v1::{self as pb, ListAuditEventsRequest, ListAuditEventsResponse};
use uuid::Uuid;

use super::render;
use crate::audit::{Filter, Kind, Recorded};

/// Kinds that one listing may name.
const KINDS: usize = 32;

/// Events to list.
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) before: Option<Uuid>,
    pub(super) limit: usize,
}

impl TryFrom<ListAuditEventsRequest> for List {
    type Error = Failure;

    fn try_from(request: ListAuditEventsRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let user_id = match request.user_id.as_str() {
            "" => Some(None),
            id => fields.id("user_id", id).map(Some),
        };
        let kinds = kinds(&mut fields, &request.kinds);
        let from = time(&mut fields, "start_time", request.start_time);
        let until = time(&mut fields, "end_time", request.end_time);
        let limit = fields.take("page_size", page::size(request.page_size, 100, 500));
        let filter = (|| Some(Filter { user_id: user_id?, kinds: kinds?, from: from?, until: until? }))();
        let before = filter.as_ref().and_then(|filter| {
            let before = fields.take("page_token", page::after(&request.page_token, &listing(filter)))?;
            Some((!before.is_nil()).then_some(before))
        });
        let parsed = (|| Some(Self { filter: filter?, before: before?, limit: limit? }))();
        fields.finish(parsed)
    }
}

fn kinds(fields: &mut Fields, numbers: &[i32]) -> Option<Vec<Kind>> {
    if numbers.len() > KINDS {
        return fields.refuse("kinds", "names more than 32");
    }
    let known = |number: &i32| Kind::try_from(*number).ok().filter(|kind| *kind != Kind::Unspecified);
    let kinds: Option<Vec<_>> = numbers.iter().map(known).collect();
    kinds.or_else(|| fields.refuse("kinds", "names one that is unknown"))
}

/// A moment. The inner `None`: it was not set; the outer: it was none, which `fields` knows.
pub(super) fn time(
    fields: &mut Fields,
    field: &str,
    stamp: Option<prost_types::Timestamp>,
) -> Option<Option<SystemTime>> {
    match stamp.map(SystemTime::try_from) {
        None => Some(None),
        Some(Ok(time)) => Some(Some(time)),
        Some(Err(_)) => fields.refuse(field, "is no time"),
    }
}

/// One page, and the way to the next.
pub(super) fn page(filter: &Filter, events: &[Recorded], more: bool) -> ListAuditEventsResponse {
    let last = events.last().filter(|_| more);
    let next_page_token = last.map(|last| page::token(last.id, &listing(filter))).unwrap_or_default();
    ListAuditEventsResponse { events: events.iter().map(event).collect(), next_page_token }
}

/// What a page token is good for.
fn listing(filter: &Filter) -> String {
    format!("sso/audit/{filter:?}")
}

fn event(recorded: &Recorded) -> pb::AuditEvent {
    let (event, id) = (&recorded.event, |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default());
    pb::AuditEvent {
        id: recorded.id.to_string(),
        create_time: render::stamp(recorded.at),
        kind: event.kind.into(),
        reason: event.reason.into(),
        user_id: id(event.user_id),
        session_id: id(event.session_id),
        operator: event.operator.clone(),
        network: event.network.clone(),
        count: recorded.count,
    }
}
