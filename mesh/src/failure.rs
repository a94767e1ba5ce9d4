//! Typed errors and how they travel: one `google.rpc.Status` with ErrorInfo (AIP-193), BadRequest and RetryInfo.

use std::{collections::HashMap, error::Error, time::Duration};

use proto::mesh::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// ErrorInfo.domain of the reasons in `mesh.v1.ErrorReason`.
pub const DOMAIN: &str = "mesh.plaza";

/// The longest status message that leaves, in bytes. A status travels in headers, and a peer that finds them too large
/// reports an HTTP/2 error in their place.
pub(crate) const MAX_MESSAGE: usize = 1024;

/// The most bytes of field names and descriptions that leave in one answer, for the same reason: grpc-java takes no more than
/// 8 KiB of headers in all.
const MAX_VIOLATIONS: usize = 2560;

/// The longest name or description of one violation, and the longest value of ErrorInfo.metadata, in bytes.
const MAX_TEXT: usize = 160;

/// One bad field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The path of the field in the request, as in the contract: `identifier.email`.
    pub(crate) field: String,
    /// What is wrong with it, for the developer. Never repeats a secret.
    pub(crate) description: String,
}

/// An error on its way to the caller. Becomes a [`Status`] by `From`, or by `?` in a handler.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    domain: &'static str,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure for a reason that a contract lists. `reason` is `ErrorReason::X.as_str_name()`; the prefix `ERROR_REASON_`
    /// is stripped. The message is for the developer who reads it, and is cut at 1024 bytes.
    pub fn new(code: Code, domain: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            domain,
            reason: reason.strip_prefix("ERROR_REASON_").unwrap_or(reason),
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// Adds to ErrorInfo.metadata what a program may want to know of the failure. Values are cut at 160 bytes.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.0.metadata.insert(key.to_owned(), cut(value.to_string(), MAX_TEXT));
        self
    }

    /// Says when to come back, as RetryInfo: in whole milliseconds, rounded up.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        let millis = delay.as_nanos().div_ceil(1_000_000);
        self.0.retry_after = Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)));
        self
    }

    /// INVALID_ARGUMENT `INVALID_FIELDS`: every bad field at once, in a BadRequest, up to 2.5 KiB of text.
    pub(crate) fn invalid(violations: Vec<Violation>) -> Self {
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let message = format!("bad fields: {}", fields.join(", "));
        let mut failure = Self::mesh(Code::InvalidArgument, ErrorReason::InvalidFields, message);
        failure.0.violations = violations;
        failure
    }

    /// INVALID_ARGUMENT `INVALID_FIELDS` for one field, where no other can be bad.
    pub fn invalid_field(field: &str, description: &str) -> Self {
        Self::invalid(vec![Violation { field: field.to_owned(), description: description.to_owned() }])
    }

    /// INTERNAL without text, for this [cause](Self::because).
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::mesh(Code::Internal, ErrorReason::Internal, "").because(cause)
    }

    /// Adds a cause that never leaves: it is logged, once, when this becomes a [`Status`].
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Box::new(cause));
        self
    }

    /// RESOURCE_EXHAUSTED `OVERLOADED`: more work is waiting than can be done in time.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::mesh(Code::ResourceExhausted, ErrorReason::Overloaded, "too much is waiting").retry_after(retry_after)
    }

    /// DEADLINE_EXCEEDED: the time of the call ran out.
    pub fn late() -> Self {
        Self::mesh(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the deadline of the call has passed")
    }

    /// UNAVAILABLE `UNREACHABLE`: the service (named in `message`) could not be reached, or is stopping.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::mesh(Code::Unavailable, ErrorReason::Unreachable, message)
    }

    /// UNAUTHENTICATED `TOKEN_INVALID`: a token is wanted and none came, or one that does not hold.
    pub fn token_invalid(message: impl Into<String>) -> Self {
        Self::mesh(Code::Unauthenticated, ErrorReason::TokenInvalid, message)
    }

    /// PERMISSION_DENIED `ACCESS_DENIED`: the policy of the method does not name this caller.
    pub fn access_denied() -> Self {
        Self::mesh(Code::PermissionDenied, ErrorReason::AccessDenied, "the caller may not call this method")
    }

    pub(crate) fn mesh(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self::new(code, DOMAIN, reason.as_str_name(), message)
    }

    /// The gRPC code this will leave with.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// ErrorInfo.reason, without prefix.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }
}

impl Inner {
    fn details(&self) -> ErrorDetails {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason, self.domain, self.metadata.clone());
        if !self.violations.is_empty() {
            details.set_bad_request(sent(&self.violations));
        }
        if let Some(delay) = self.retry_after {
            details.set_retry_info(Some(delay));
        }
        details
    }
}

/// The violations that fit, in order.
fn sent(violations: &[Violation]) -> Vec<FieldViolation> {
    let mut left = MAX_VIOLATIONS;
    let fits = |violation: &FieldViolation| {
        let bytes = violation.field.len() + violation.description.len();
        left.checked_sub(bytes).map(|rest| left = rest).is_some()
    };
    violations.iter().map(field_violation).take_while(fits).collect()
}

fn field_violation(violation: &Violation) -> FieldViolation {
    FieldViolation::new(cut(violation.field.clone(), MAX_TEXT), cut(violation.description.clone(), MAX_TEXT))
}

impl From<Failure> for Status {
    fn from(Failure(failure): Failure) -> Self {
        if let Some(cause) = &failure.cause {
            tracing::error!(cause = %chain(cause.as_ref()), "internal failure");
        }
        let details = failure.details();
        Status::with_error_details(failure.code, cut(failure.message, MAX_MESSAGE), details)
    }
}

/// ErrorInfo.reason of a status that a peer sent.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// RetryInfo.retry_delay of a status that a peer sent.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// An error with all its sources, outermost first, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// The longest prefix of at most `max` bytes that ends between characters.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_with_its_details() {
        let failure = Failure::new(Code::Aborted, "sso.plaza", "ERROR_REASON_REQUEST_ID_REUSED", "used before");
        let status = Status::from(failure.with("tries", 3).retry_after(Duration::from_micros(1_500_001)));
        assert_eq!((status.code(), status.message()), (Code::Aborted, "used before"));
        let info = status.get_details_error_info().expect("ErrorInfo");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("REQUEST_ID_REUSED", "sso.plaza"));
        assert_eq!(info.metadata.get("tries").map(String::as_str), Some("3"));
        assert_eq!(reason(&status).as_deref(), Some("REQUEST_ID_REUSED"));
        assert_eq!(retry_delay(&status), Some(Duration::from_millis(1501)), "rounded up");
    }

    #[test]
    fn a_cause_never_leaves() {
        let status = Status::from(Failure::internal(std::io::Error::other("password of db")));
        assert_eq!((status.code(), status.message()), (Code::Internal, ""));
        assert_eq!(reason(&status).as_deref(), Some("INTERNAL"));
        assert!(!String::from_utf8_lossy(status.details()).contains("password"));
    }

    #[test]
    fn all_bad_fields_leave_and_no_more_than_fit() {
        let violation = |n| Violation { field: format!("field_{n}"), description: "ä".repeat(500) };
        let status = Status::from(Failure::invalid((0..100).map(violation).collect()));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() <= MAX_MESSAGE && status.message().starts_with("bad fields: field_0, field_1"));
        let violations = status.get_details_bad_request().expect("BadRequest").field_violations;
        assert_eq!((violations.len(), violations[1].field.as_str()), (15, "field_1"));
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).expect("headers");
        let before = headers.len();
        crate::wire::bound(&mut headers);
        assert_eq!(headers.len(), before, "the details of the worst request fit");
    }
}
