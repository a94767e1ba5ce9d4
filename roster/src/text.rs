//! Text that people and services hand in, parsed: past this line it is valid by type.

use unicode_normalization::UnicodeNormalization as _;

/// The longest username, in characters: more than SSO gives out, since a service must take whatever SSO took.
const MAX_USERNAME: usize = 128;

/// The longest look-up key, in bytes: what an index of either engine holds with ease. Only a name that is not NFKC, and so
/// not from SSO, grows this much.
const MAX_KEY: usize = 1024;

/// The longest display name, in characters.
const MAX_DISPLAY_NAME: usize = 100;

/// The longest text about oneself, in characters.
const MAX_ABOUT: usize = 1000;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// There is none.
    #[error("is required")]
    Missing,
    /// It is white space alone.
    #[error("shows nothing")]
    Blank,
    /// It has more characters than this.
    #[error("is longer than {0} characters")]
    Long(usize),
    /// It has characters that do not show.
    #[error("has control characters")]
    Control,
}

/// The public name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    text: String,
    key: String,
}

impl Username {
    /// Takes any name there is to show: SSO alone decides what a username may be.
    ///
    /// # Errors
    /// What [`TextError`] names.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = line(text, MAX_USERNAME)?;
        let key = key(text);
        if key.len() > MAX_KEY {
            return Err(TextError::Long(MAX_USERNAME));
        }
        Ok(Self { text: text.to_owned(), key })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What two spellings of one name have in common.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Compatibility forms and letter case folded away. Lower-casing may leave a text unnormalised, hence twice; done here
/// and not in SQL, where SQLite knows ASCII alone.
fn key(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// The name a person wants shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// 1 to 100 characters in any script, not all of them white space, none of them control characters.
    ///
    /// # Errors
    /// What [`TextError`] names.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, MAX_DISPLAY_NAME).map(|text| Self(text.to_owned()))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person says of themselves; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About(String);

impl About {
    /// At most 1000 characters in any script, no control characters but line breaks.
    ///
    /// # Errors
    /// What [`TextError`] names.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        bounded(text, MAX_ABOUT, |c| c.is_control() && c != '\n').map(|text| Self(text.to_owned()))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line that shows something.
fn line(text: &str, max: usize) -> Result<&str, TextError> {
    match bounded(text, max, char::is_control)? {
        "" => Err(TextError::Missing),
        text if text.trim().is_empty() => Err(TextError::Blank),
        text => Ok(text),
    }
}

/// The text, if it has at most `max` characters and none that is refused.
fn bounded(text: &str, max: usize, refused: impl Fn(char) -> bool) -> Result<&str, TextError> {
    if text.chars().count() > max {
        Err(TextError::Long(max))
    } else if text.chars().any(refused) {
        Err(TextError::Control)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_share_a_key() {
        for (one, other) in
            [("Anna", "aNNA"), ("Nguyễn", "NGUYE\u{302}\u{303}N"), ("ｐｌａｚａ", "Plaza"), ("Ωmega", "ωMEGA")]
        {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        assert_ne!(key("anna"), key("ánna"));
    }

    #[test]
    fn a_key_is_its_own_key() {
        for text in ["İstanbul", "ſtraße", "ﷺ", "Å", "ǅ"] {
            assert_eq!(key(&key(text)), key(text), "{text}");
        }
    }

    #[test]
    fn a_name_shows_something_on_one_line() {
        assert_eq!(DisplayName::parse(""), Err(TextError::Missing));
        assert_eq!(DisplayName::parse(" \u{3000}"), Err(TextError::Blank));
        assert_eq!(DisplayName::parse("a\nb"), Err(TextError::Control));
        assert_eq!(DisplayName::parse("a\u{85}b"), Err(TextError::Control));
        assert!(DisplayName::parse(&"ế".repeat(100)).is_ok());
        assert_eq!(DisplayName::parse(&"ế".repeat(101)), Err(TextError::Long(100)));
    }

    #[test]
    fn about_may_be_empty_and_have_lines() {
        assert!(About::parse("").is_ok());
        assert!(About::parse("một\nhai\n").is_ok());
        assert_eq!(About::parse("a\0b"), Err(TextError::Control));
        assert_eq!(About::parse("a\tb"), Err(TextError::Control));
        assert_eq!(About::parse(&"字".repeat(1001)), Err(TextError::Long(1000)));
    }

    #[test]
    fn a_username_fits_an_index() {
        assert!(Username::parse(&"ế".repeat(128)).is_ok());
        assert_eq!(Username::parse(&"ﷺ".repeat(128)), Err(TextError::Long(128)));
        assert_eq!(Username::parse("a\0"), Err(TextError::Control));
    }
}
