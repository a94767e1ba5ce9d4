//! How an attempt to tell a target of a user ends, and what its refusals mean.

use std::time::SystemTime;

use mesh::failure;
use tonic::{Code, Status};

use crate::{
    model::{Known, Truth},
    session::Ending,
    store::provisioning::Debts,
};

/// How an attempt ends.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The target knows the user.
    Finish,
    /// There was nobody to tell of.
    Forget { now: SystemTime },
    /// The target knows that the user is deleted.
    Bury,
    /// The target knows that the user was deleted, which SSO does not: from now on these are owed instead.
    Believe { debts: Debts, ending: Ending },
    /// The target knows the user otherwise, at a version that SSO has not come to: what SSO has is to go beyond it, and these are owed instead.
    Outdo { version: i64, debts: Debts, now: SystemTime },
    /// It is still owed: due at `due_at`, or parked.
    Postpone { due_at: Option<SystemTime>, error: String },
}

/// The version at which a target that was told the truth knows the user otherwise: it keeps the higher of two, and this one SSO has not come to, as after a backup was
/// restored.
pub(crate) fn ahead(truth: &Truth, theirs: Option<&Known>) -> Option<i64> {
    let (Truth::Alive(user), Some(theirs)) = (truth, theirs) else { return None };
    let ours = user.known();
    (theirs.version >= ours.version && *theirs != ours).then_some(theirs.version)
}

/// Whether the target refuses the user because it was deleted: it was, since only SSO deletes, and never takes it back.
pub(crate) fn is_tombstone(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition && failure::reason(status).as_deref() == Some("USER_DELETED")
}

/// What no repetition mends. Everything else may pass, UNIMPLEMENTED too: it does during a rolling deployment.
pub(crate) fn is_permanent(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::is_permanent;

    #[test]
    fn what_may_pass_is_never_parked() {
        for status in [Status::unavailable(""), Status::unimplemented(""), Status::internal(""), Status::unknown("")] {
            assert!(!is_permanent(&status), "{status:?}");
        }
        assert!(is_permanent(&Status::invalid_argument("")));
    }
}
