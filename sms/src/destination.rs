//! Where messages go.

use std::fmt;

/// The longest e-mail address that mail can carry, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL: usize = 254;
/// The longest part before the @, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// The longest label of a domain, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// An e-mail address, lower case, or a phone number in E.164. Prints masked.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// An e-mail address.
    Email(String),
    /// A phone number: `+`, then digits.
    Phone(String),
}

/// What is wrong with a destination. Does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not an address that mail could reach.
    #[error("is not an e-mail address")]
    Email,
    /// Longer than mail can carry.
    #[error("is longer than 254 bytes")]
    LongEmail,
    /// Not E.164.
    #[error("is not a phone number in E.164: a plus, then 7 to 15 digits, the first not 0")]
    Phone,
}

impl Destination {
    /// An e-mail address, trimmed and in lower case. Only what no address could hold is refused: the message proves the rest.
    ///
    /// # Errors
    /// Unless it reads as `local@domain`, the domain of two labels or more, within 254 bytes.
    pub fn email(text: &str) -> Result<Self, DestinationError> {
        let text = text.trim().to_lowercase();
        if text.len() > MAX_EMAIL {
            return Err(DestinationError::LongEmail);
        }
        match text.rsplit_once('@') {
            Some((local, domain)) if local_part(local) && domain_part(domain) => Ok(Self::Email(text)),
            _ => Err(DestinationError::Email),
        }
    }

    /// A phone number in E.164. Whether a number of that form exists was decided where it was typed in.
    ///
    /// # Errors
    /// Unless it is `+` and 7 to 15 digits, the first not 0.
    pub fn phone(text: &str) -> Result<Self, DestinationError> {
        let digits = text.strip_prefix('+').ok_or(DestinationError::Phone)?;
        let fits = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if fits { Ok(Self::Phone(text.to_owned())) } else { Err(DestinationError::Phone) }
    }

    /// A destination out of the database, where only valid ones are put: every address has an @, and no number has.
    pub(crate) fn stored(text: String) -> Self {
        if text.contains('@') { Self::Email(text) } else { Self::Phone(text) }
    }

    /// The whole address or number, for the carrier and the database alone.
    pub fn expose(&self) -> &str {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }

    /// With most of it hidden, for people who know it already.
    pub fn masked(&self) -> String {
        match self {
            Self::Email(text) => mesh::log::mask_email(text),
            Self::Phone(text) => mesh::log::mask_phone(text),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.masked())
    }
}

fn local_part(local: &str) -> bool {
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    (1..=MAX_LOCAL).contains(&local.len()) && !dots && !local.chars().any(never_in_local)
}

fn never_in_local(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(char, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '@' | '[' | ']' | '\\')
}

fn domain_part(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(domain_label)
}

fn domain_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|char| char.is_alphanumeric() || char == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_lower_case() {
        let email = Destination::email("  Anna.Tran+plaza@Example.COM ").expect("an address");
        assert_eq!(email.expose(), "anna.tran+plaza@example.com");
        assert_eq!(Destination::stored(email.expose().to_owned()), email);
    }

    #[test]
    fn what_no_address_could_be_is_refused() {
        for bad in [
            "",
            "anna",
            "@example.com",
            "anna@",
            "anna@localhost",
            "an na@example.com",
            "a@b@example.com",
            "anna@-example.com",
            "anna@example..com",
            ".anna@example.com",
            "anna@exa_mple.com",
            "a\n@example.com",
            "<a@example.com>",
        ] {
            assert_eq!(Destination::email(bad), Err(DestinationError::Email), "{bad:?}");
        }
        let long = |local: usize| {
            format!("{}@{}.com", "a".repeat(local), ["b".repeat(62), "c".repeat(62), "d".repeat(57)].join("."))
        };
        assert_eq!(long(64).len(), 252);
        assert!(Destination::email(&long(64)).is_ok());
        assert_eq!(Destination::email(&long(65)), Err(DestinationError::Email));
        assert_eq!(Destination::email(&long(67)), Err(DestinationError::LongEmail));
    }

    #[test]
    fn numbers_are_e164() {
        assert_eq!(Destination::phone("+84912345678").expect("a number").expose(), "+84912345678");
        for bad in
            ["", "+", "84912345678", "+0912345678", "+84 912345678", "+123456", "+1234567890123456", "+84９12345678"]
        {
            assert_eq!(Destination::phone(bad), Err(DestinationError::Phone), "{bad:?}");
        }
    }

    #[test]
    fn destinations_print_masked() {
        let phone = format!("{:?}", Destination::phone("+84912345678").expect("a number"));
        let email = format!("{:?}", Destination::email("anna@example.com").expect("an address"));
        assert!(!phone.contains("91234") && !email.contains("anna"), "{phone} {email}");
    }
}
