//! Typed errors and how they travel: one `google.rpc.Status` with ErrorInfo (AIP-193), BadRequest and RetryInfo.

use std::{collections::HashMap, error::Error, time::Duration};

use proto::mesh::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::parse::Violation;

/// ErrorInfo.domain of the reasons in `mesh.v1.ErrorReason`.
pub const DOMAIN: &str = "mesh.plaza";

/// The longest status message that leaves, in bytes. A status travels in headers, and a peer that finds them too large
/// reports an HTTP/2 error in their place.
pub const MAX_MESSAGE: usize = 1024;

/// The most field violations that leave in one answer, for the same reason.
pub const MAX_VIOLATIONS: usize = 32;

/// The longest name or description of one violation, and the longest value of ErrorInfo.metadata, in bytes.
const MAX_TEXT: usize = 160;

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
    /// is stripped. The message is for the developer who reads it, and is cut at [`MAX_MESSAGE`].
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

    /// INVALID_ARGUMENT `INVALID_FIELDS`: every bad field at once, in a BadRequest. At most [`MAX_VIOLATIONS`] are sent.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let message = format!("bad fields: {}", fields.join(", "));
        let mut failure = Self::mesh(Code::InvalidArgument, ErrorReason::InvalidFields, message);
        failure.0.violations = violations;
        failure
    }

    /// INTERNAL without text. The cause is logged, once, when this becomes a [`Status`].
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let mut failure = Self::mesh(Code::Internal, ErrorReason::Internal, "");
        failure.0.cause = Some(Box::new(cause));
        failure
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
            let violations = self.violations.iter().take(MAX_VIOLATIONS);
            details.set_bad_request(violations.map(field_violation).collect::<Vec<_>>());
        }
        if let Some(delay) = self.retry_after {
            details.set_retry_info(Some(delay));
        }
        details
    }
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
