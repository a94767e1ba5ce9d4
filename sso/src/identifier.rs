//! What a person signs in with: an e-mail address or a phone number, in the one spelling that is stored and compared.

use std::{fmt, ops::RangeInclusive};

use mesh::log::{mask_email, mask_phone};
use unicode_normalization::UnicodeNormalization;

/// The longest address SMTP can carry, in bytes (RFC 5321, 4.5.3.1.3, less its angle brackets).
const EMAIL_MAX: usize = 254;
/// The longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;

/// The digits of a number that messages go to, the country's included: some services of networks have fewer, and none of them reads a message.
const DIGITS: RangeInclusive<usize> = 7..=15;

/// An e-mail address or a phone number in canonical form. Prints masked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// Trimmed, NFKC, lower case, as `local@domain`.
    Email(String),
    /// E.164, as `+84912345678`.
    Phone(String),
}

impl Identifier {
    /// Reads an e-mail address. It is checked for its shape alone: only a code shows that it works.
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn email(text: &str) -> Result<Self, &'static str> {
        let address: String = text.trim().nfkc().collect::<String>().to_lowercase();
        if address.len() > EMAIL_MAX {
            return Err("is longer than 254 bytes");
        }
        match address.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => Ok(Self::Email(address)),
            _ => Err("is not an e-mail address"),
        }
    }

    /// Reads a phone number that names its country, in any of the usual spellings.
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn phone(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() > 40 {
            return Err("is not a phone number");
        }
        if !text.starts_with('+') {
            return Err("has no country: write it as +84 912 345 678");
        }
        let number = phonenumber::parse(None, text).ok().filter(phonenumber::is_valid);
        let number = number.map(|number| number.format().mode(phonenumber::Mode::E164).to_string());
        let fits = |number: &String| DIGITS.contains(&(number.len() - "+".len()));
        number.filter(fits).map(Self::Phone).ok_or("is not a phone number")
    }

    /// Rebuilds an identifier from its stored form.
    pub(crate) fn stored(kind: i16, value: String) -> Self {
        if kind == 1 { Self::Email(value) } else { Self::Phone(value) }
    }

    /// 1 for e-mail, 2 for phone, as stored.
    pub(crate) fn kind(&self) -> i16 {
        match self {
            Self::Email(_) => 1,
            Self::Phone(_) => 2,
        }
    }

    /// The canonical text. No e-mail address equals a phone number, so the text alone is unique.
    pub(crate) fn value(&self) -> &str {
        match self {
            Self::Email(value) | Self::Phone(value) => value,
        }
    }

    /// What may be shown to whoever holds a verification: `a•••@example.com`, `+84•••••678`.
    pub(crate) fn masked(&self) -> String {
        match self {
            Self::Email(value) => mask_email(value),
            Self::Phone(value) => mask_phone(value),
        }
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

fn is_local(local: &str) -> bool {
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    let odd = |c: char| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c);
    !local.is_empty() && local.len() <= LOCAL_MAX && !dots && !local.contains(odd)
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::Identifier;

    #[test]
    fn one_address_has_one_spelling() {
        for text in ["Anna@Example.COM", "  anna@example.com ", "ａｎｎａ@example.com"] {
            assert_eq!(Identifier::email(text).unwrap().value(), "anna@example.com", "{text}");
        }
        for text in ["+84 912 345 678", "+84912345678", "+84 0912-345-678", "+84 (0)912 345 678"] {
            assert_eq!(Identifier::phone(text).unwrap().value(), "+84912345678", "{text}");
        }
    }

    #[test]
    fn malformed_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in
            ["", "anna", "anna@", "@example.com", "a b@example.com", "a@b", "a..b@example.com", "a@-x.com", &long]
        {
            assert!(Identifier::email(text).is_err(), "{text}");
        }
        for text in
            ["", "0912345678", "+", "+84", "+84 12", "+999 912345678", "phone", "+84 91234567890123", "+43 1113"]
        {
            assert!(Identifier::phone(text).is_err(), "{text}");
        }
        assert!(Identifier::phone("0912345678").unwrap_err().contains("country"));
    }

    #[test]
    fn prints_masked() {
        let printed = format!("{:?} {:?}", Identifier::email("anna@example.com"), Identifier::phone("+84912345678"));
        assert!(!printed.contains("anna") && !printed.contains("912345"), "{printed}");
    }
}
