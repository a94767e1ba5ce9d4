//! What must not be said in full.

use std::fmt;

/// A value that prints as its mask, for fields of log events and Debug of types that hold personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked(String);

impl Masked {
    /// See [`mask_phone`].
    pub fn phone(number: &str) -> Self {
        Self(mask_phone(number))
    }

    /// See [`mask_email`].
    pub fn email(address: &str) -> Self {
        Self(mask_email(address))
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone number in E.164 with its first three and last three characters: `+84912345678` is `+84•••••678`. The mask has one
/// length, so that it does not tell the number's. Short texts are masked whole.
pub fn mask_phone(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    match characters.as_slice() {
        [a, b, c, middle @ .., x, y, z] if middle.len() >= 3 => format!("{a}{b}{c}•••••{x}{y}{z}"),
        _ => "•••••".to_owned(),
    }
}

/// An e-mail address with the first character of its local part: `anna@example.com` is `a•••@example.com`. A text without `@`
/// is masked whole.
pub fn mask_email(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}•••@{domain}", local.chars().next().map(String::from).unwrap_or_default()),
        None => "•••".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_masked() {
        assert_eq!(mask_phone("+84912345678"), "+84•••••678");
        assert_eq!(mask_phone("+8491234"), "•••••");
        assert_eq!(mask_phone(""), "•••••");
        assert_eq!(mask_email("anna@example.com"), "a•••@example.com");
        assert_eq!(mask_email("@example.com"), "•••@example.com");
        assert_eq!(mask_email("anna"), "•••");
        assert_eq!(format!("{:?} {}", Masked::phone("+84912345678"), Masked::email("ä@b.c")), "+84•••••678 ä•••@b.c");
    }
}
