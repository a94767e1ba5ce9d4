//! The public name of a user.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A username: 3 to 64 letters, marks and digits of any script, with `.`, `_` and `-` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Username {
    text: String,
    folded: String,
}

impl Username {
    /// Reads a username, in NFKC.
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // Normalising can lengthen a text 18-fold, so what is far too long is refused before.
        let normal: String = if text.len() <= 1024 { text.nfkc().collect() } else { text.into() };
        if !(3..=64).contains(&normal.chars().count()) {
            return Err("must have 3 to 64 characters");
        }
        if !normal.chars().all(|c| c.is_alphanumeric() || is_combining_mark(c) || ".-_".contains(c)) {
            return Err("may have letters and digits, with '.', '_' and '-' between them");
        }
        if !normal.starts_with(char::is_alphanumeric) || normal.ends_with(['.', '-', '_']) {
            return Err("must begin and end with a letter or a digit");
        }
        let folded = normal.to_lowercase().nfkc().collect();
        Ok(Self { text: normal, folded })
    }

    /// As it is shown.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// As it is compared: usernames that fold to one text are the same.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }
}

#[cfg(test)]
mod tests {
    use super::Username;

    #[test]
    fn any_script_is_welcome() {
        for name in ["anna", "Nguyễn.Văn-A", "山田太郎", "мария_1", "हिन्दी"] {
            assert_eq!(Username::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn case_makes_no_other_name() {
        assert_eq!(Username::parse("ANNA").unwrap().folded(), Username::parse("anna").unwrap().folded());
    }

    #[test]
    fn malformed_is_refused() {
        let long = "a".repeat(65);
        for name in ["", "ab", "a b c", "-abc", "abc.", "a/b/c", "a\u{200b}bc", "abc\n", &long, &"x".repeat(5000)] {
            assert!(Username::parse(name).is_err(), "{name:?}");
        }
    }
}
