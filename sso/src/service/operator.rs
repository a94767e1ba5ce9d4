//! What operators ask about users and debts, parsed and rendered; and a person's own deletion, which takes the same road.

use mesh::{
    Failure, Fields,
    access::{self, Caller},
    page,
};
use proto::sso::v1::{
    self as pb, DeleteAccountRequest, DeleteUserRequest, DifferenceKind, ListProvisioningRequest,
    ListProvisioningResponse, OwedProvisioning, ProvisioningDifference, ProvisioningState,
    ReconcileProvisioningRequest, ReconcileProvisioningResponse, RetryProvisioningRequest, retry_provisioning_request,
};
use tonic::Request;
use uuid::Uuid;

use super::render;
use crate::{
    model::{Difference, Owed, Target},
    owed::Scope,
    password::Password,
    reconcile::{self, Ask},
    store::owed::Filter,
};

/// The operator who calls; empty for anybody else, whom the policy keeps out.
pub(super) fn name<T>(request: &Request<T>) -> String {
    match access::caller(request) {
        Caller::Operator(name) => name.clone(),
        _ => String::new(),
    }
}

/// A user to delete.
pub(super) struct Delete {
    pub(super) request_id: Uuid,
    pub(super) user_id: Uuid,
}

/// An account to delete.
pub(super) struct DeleteOwn {
    pub(super) request_id: Uuid,
    pub(super) password: Password,
}

/// Debts to list.
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) after: Uuid,
    pub(super) limit: usize,
}

impl TryFrom<DeleteUserRequest> for Delete {
    type Error = Failure;

    fn try_from(request: DeleteUserRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let user_id = fields.id("user_id", &request.user_id);
        let parsed = (|| Some(Self { request_id: request_id?, user_id: user_id? }))();
        fields.finish(parsed)
    }
}

impl TryFrom<DeleteAccountRequest> for DeleteOwn {
    type Error = Failure;

    fn try_from(request: DeleteAccountRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let request_id = fields.request_id(&request.request_id);
        let password = fields.take("password", Password::given(&request.password));
        let parsed = (|| Some(Self { request_id: request_id?, password: password? }))();
        fields.finish(parsed)
    }
}

impl TryFrom<RetryProvisioningRequest> for Scope {
    type Error = Failure;

    fn try_from(request: RetryProvisioningRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let scope = match request.scope {
            Some(retry_provisioning_request::Scope::UserId(id)) => fields.id("user_id", &id).map(Self::User),
            Some(retry_provisioning_request::Scope::ParkedOf(number)) => {
                target(&mut fields, "parked_of", number).map(Self::ParkedOf)
            }
            None => fields.refuse("scope", "is required: user_id or parked_of"),
        };
        fields.finish(scope)
    }
}

impl TryFrom<ListProvisioningRequest> for List {
    type Error = Failure;

    fn try_from(request: ListProvisioningRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let of = match request.target {
            0 => Some(None),
            number => target(&mut fields, "target", number).map(Some),
        };
        let parked = match ProvisioningState::try_from(request.state) {
            Ok(ProvisioningState::Unspecified) => Some(None),
            Ok(ProvisioningState::Pending) => Some(Some(false)),
            Ok(ProvisioningState::Parked) => Some(Some(true)),
            _ => fields.refuse("state", "is PENDING, PARKED or unspecified"),
        };
        let limit = fields.take("page_size", page::size(request.page_size, 100, 500));
        let filter = of.zip(parked).map(|(target, parked)| Filter { target, parked });
        let after =
            filter.and_then(|filter| fields.take("page_token", page::after(&request.page_token, &listing(filter))));
        let parsed = (|| Some(Self { filter: filter?, after: after?, limit: limit? }))();
        fields.finish(parsed)
    }
}

impl TryFrom<ReconcileProvisioningRequest> for Ask {
    type Error = Failure;

    fn try_from(request: ReconcileProvisioningRequest) -> Result<Self, Failure> {
        let ReconcileProvisioningRequest { dry_run, delete_unknown, .. } = request;
        let mut fields = Fields::default();
        let target = target(&mut fields, "target", request.target);
        let size = fields.take("page_size", page::size(request.page_size, 100, 500));
        let size = size.and_then(|size| i32::try_from(size).ok());
        let after =
            target.and_then(|target| fields.take("page_token", page::after(&request.page_token, &comparison(target))));
        let parsed = (|| {
            Some(Self { target: target?, dry_run, delete_unknown, after: after?, size: size?, operator: String::new() })
        })();
        fields.finish(parsed)
    }
}

/// What one page of a comparison came to.
pub(super) fn compared(target: Target, done: &reconcile::Page) -> ReconcileProvisioningResponse {
    let difference = |(id, how): &(Uuid, Difference)| {
        let kind = match how {
            Difference::Behind => DifferenceKind::Behind,
            Difference::Ahead(_) => DifferenceKind::Ahead,
            Difference::Deleted(_) => DifferenceKind::Deleted,
            Difference::Unknown(_) => DifferenceKind::Unknown,
        };
        ProvisioningDifference { user_id: id.to_string(), kind: kind.into() }
    };
    ReconcileProvisioningResponse {
        differences: done.differences.iter().map(difference).collect(),
        compared: i32::try_from(done.compared).unwrap_or(i32::MAX),
        next_page_token: done.next.map(|next| page::token(next, &comparison(target))).unwrap_or_default(),
    }
}

fn comparison(target: Target) -> String {
    format!("sso/reconcile/{target}")
}

/// One page, and the way to the next.
pub(super) fn page(filter: Filter, owed: &[Owed], more: bool) -> ListProvisioningResponse {
    let last = owed.last().filter(|_| more);
    let next_page_token = last.map(|last| page::token(last.id, &listing(filter))).unwrap_or_default();
    let entry = |owed: &Owed| OwedProvisioning {
        user_id: owed.user_id.to_string(),
        provisioning: Some(render::one_provisioning(&owed.provisioning)),
        owed_since: render::stamp(owed.since),
    };
    ListProvisioningResponse { owed: owed.iter().map(entry).collect(), next_page_token }
}

/// What a page token is good for.
fn listing(filter: Filter) -> String {
    format!("sso/provisioning/{:?}/{:?}", filter.target, filter.parked)
}

fn target(fields: &mut Fields, field: &str, number: i32) -> Option<Target> {
    match pb::Target::try_from(number) {
        Ok(pb::Target::Social) => Some(Target::Social),
        Ok(pb::Target::Blog) => Some(Target::Blog),
        _ => fields.refuse(field, "is unknown"),
    }
}

/// Who is to be locked or unlocked.
pub(super) fn locking(request_id: &str, user_id: &str) -> Result<(Uuid, Uuid), Failure> {
    let mut fields = Fields::default();
    let request_id = fields.request_id(request_id);
    let user_id = fields.id("user_id", user_id);
    fields.finish(request_id.zip(user_id))
}
