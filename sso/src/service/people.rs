//! What operators ask of users, parsed and rendered.

use mesh::{Failure, Fields, page};
use prost_types::FieldMask;
use proto::sso::v1::{AccountType, ListUsersRequest, ListUsersResponse, UpdateUserRequest, UserState};
use uuid::Uuid;

use super::{events, parse, render};
use crate::{change::Change, model::User, store::listing::Filter, username::Username};

/// Users that one call may ask for.
const BATCH: usize = 100;

impl TryFrom<UpdateUserRequest> for Change {
    type Error = Failure;

    fn try_from(request: UpdateUserRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let user_id = fields.id("user_id", &request.user_id);
        let mask = Mask::read(&mut fields, &request);
        let kind = match mask {
            Some(Mask { kind: true, .. }) => {
                parse::create::account_kind(&mut fields, request.account_type, request.official_tier).map(Some)
            }
            _ => Some(None),
        };
        let username = match mask {
            Some(Mask { username: true, .. }) => fields.take("username", Username::parse(&request.username)).map(Some),
            _ => Some(None),
        };
        let etag = (!request.etag.is_empty()).then_some(request.etag);
        let parsed =
            (|| Some(Self { request_id: request_id?, user_id: user_id?, kind: kind?, username: username?, etag }))();
        fields.finish(parsed)
    }
}

/// What an update is to change.
struct Mask {
    kind: bool,
    username: bool,
}

impl Mask {
    /// What the request names; if it names nothing, what it has (AIP-134).
    fn read(fields: &mut Fields, request: &UpdateUserRequest) -> Option<Self> {
        let mut mask = Self { kind: false, username: false };
        match &request.update_mask {
            Some(FieldMask { paths }) if !paths.is_empty() => {
                for path in paths {
                    match path.as_str() {
                        "account_type" => mask.kind = true,
                        "username" => mask.username = true,
                        "*" => mask = Self { kind: true, username: true },
                        _ => return fields.refuse("update_mask", "names what cannot be changed"),
                    }
                }
            }
            _ => {
                mask.kind = request.account_type != 0 || request.official_tier != 0;
                mask.username = !request.username.is_empty();
            }
        }
        if mask.kind || mask.username {
            return Some(mask);
        }
        fields.refuse("update_mask", "is required if nothing else is set")
    }
}

/// Users to list.
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) after: Uuid,
    pub(super) limit: usize,
}

impl TryFrom<ListUsersRequest> for List {
    type Error = Failure;

    fn try_from(request: ListUsersRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let is_locked = match UserState::try_from(request.state) {
            Ok(UserState::Unspecified) => Some(None),
            Ok(state) => Some(Some(state == UserState::Locked)),
            Err(_) => fields.refuse("state", "is unknown"),
        };
        let account_type = match AccountType::try_from(request.account_type) {
            Ok(AccountType::Unspecified) => Some(None),
            Ok(known) => Some(i16::try_from(i32::from(known)).ok()),
            Err(_) => fields.refuse("account_type", "is unknown"),
        };
        let from = events::time(&mut fields, "start_time", request.start_time);
        let until = events::time(&mut fields, "end_time", request.end_time);
        let limit = fields.take("page_size", page::size(request.page_size, 100, 500));
        let filter = (|| {
            let (is_locked, account_type) = (is_locked?, account_type?);
            Some(Filter { is_locked, account_type, is_verified: request.is_verified, from: from?, until: until? })
        })();
        let after =
            filter.and_then(|filter| fields.take("page_token", page::after(&request.page_token, &listing(filter))));
        let parsed = (|| Some(Self { filter: filter?, after: after?, limit: limit? }))();
        fields.finish(parsed)
    }
}

/// One page of users, and the way to the next.
pub(super) fn page(filter: Filter, users: &[User], more: bool) -> ListUsersResponse {
    let last = users.last().filter(|_| more);
    let next_page_token = last.map(|last| page::token(last.id, &listing(filter))).unwrap_or_default();
    ListUsersResponse { users: users.iter().map(render::user).collect(), next_page_token }
}

/// What a page token is good for.
fn listing(filter: Filter) -> String {
    format!("sso/users/{filter:?}")
}

/// The ids of a batch.
pub(super) fn ids(texts: &[String]) -> Result<Vec<Uuid>, Failure> {
    if texts.is_empty() || texts.len() > BATCH {
        return Err(Failure::invalid_field("user_ids", "are not 1 to 100"));
    }
    let mut fields = Fields::default();
    let ids: Vec<_> = texts.iter().map(|text| fields.id("user_ids", text)).collect();
    fields.finish(ids.into_iter().collect())
}
