//! Validation is parsing: a request becomes a value that is valid by type, or a list of *all* its bad fields.

use std::fmt::Display;

use uuid::Uuid;

use crate::failure::{Failure, Violation};

/// Gathers the bad fields of one request while it is parsed.
///
/// ```ignore
/// let mut fields = Fields::default();
/// let id = fields.request_id(&request.request_id);
/// let name = fields.take("username", Username::parse(&request.username));
/// let parsed = (|| Some(SignUp { id: id?, name: name? }))();
/// fields.finish(parsed)
/// ```
#[derive(Debug, Default)]
pub struct Fields {
    violations: Vec<Violation>,
}

impl Fields {
    /// The parsed value, or `None` after noting the error as a violation of `field`.
    pub fn take<T>(&mut self, field: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_or_else(|error| self.refuse(field, error), Some)
    }

    /// The field `request_id`, the idempotency key of a mutation (AIP-155): an id.
    pub fn request_id(&mut self, text: &str) -> Option<Uuid> {
        self.id("request_id", text)
    }

    /// An id: a UUID in its hyphenated form, required and not nil.
    pub fn id(&mut self, field: &str, text: &str) -> Option<Uuid> {
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 && !id.is_nil() => Some(id),
            _ if text.is_empty() => self.refuse(field, "is required"),
            _ => self.refuse(field, "is not a UUID"),
        }
    }

    /// Notes that `field` is bad: it has no value.
    pub fn refuse<T>(&mut self, field: &str, description: impl Display) -> Option<T> {
        self.violations.push(Violation { field: field.to_owned(), description: description.to_string() });
        None
    }

    /// The whole value.
    ///
    /// # Errors
    /// INVALID_ARGUMENT `INVALID_FIELDS` with all bad fields, if any was noted. A missing value without a violation is a mistake of the
    /// caller of this function, and leaves as INTERNAL.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ if !self.violations.is_empty() => Err(Failure::invalid(self.violations)),
            _ => Err(Failure::internal(Unexplained)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a request was refused without naming a field")]
struct Unexplained;

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn all_bad_fields_are_gathered() {
        let mut fields = Fields::default();
        let id = fields.request_id("");
        let user = fields.id("user_id", "00000000-0000-0000-0000-000000000001");
        let age = fields.take("age", "x".parse::<u8>());
        let refused = fields.finish((|| Some((id?, user?, age?)))()).expect_err("two bad fields");
        let status = tonic::Status::from(refused);
        assert_eq!(status.message(), "bad fields: request_id, age");
    }

    #[test]
    fn an_id_has_one_form() {
        let forms = [
            "00000000-0000-0000-0000-000000000000",
            "00000000000000000000000000000001",
            "{00000000-0000-0000-0000-000000000001}",
            "urn:uuid:00000000-0000-0000-0000-000000000001",
            " ",
        ];
        for form in forms {
            assert_eq!(Fields::default().id("id", form), None, "{form}");
        }
        assert!(
            Fields::default().id("id", "0198D4A0-0000-7000-8000-000000000001").is_some(),
            "upper case is the same id"
        );
    }

    #[test]
    fn a_whole_value_passes_and_an_unexplained_gap_is_our_mistake() {
        assert_eq!(Fields::default().finish(Some(1)).expect("whole"), 1);
        assert_eq!(Fields::default().finish(None::<()>).expect_err("a gap").code(), Code::Internal);
    }
}
