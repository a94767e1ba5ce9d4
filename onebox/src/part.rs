//! The parts of the whole.

use std::fmt;

/// One of the four services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Accounts, passwords, tokens.
    Sso,
    /// Codes and their delivery.
    Sms,
    /// Profiles.
    Social,
    /// Authors.
    Blog,
}

impl Part {
    /// All four, in the order in which they start: SSO first, for the others ask it for its keys.
    pub const ALL: [Self; 4] = [Self::Sso, Self::Sms, Self::Social, Self::Blog];

    /// Its name in the mesh.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sso => "sso",
            Self::Sms => "sms",
            Self::Social => "social",
            Self::Blog => "blog",
        }
    }

    /// Its own `default.toml`.
    pub(crate) const fn default_settings(self) -> &'static str {
        match self {
            Self::Sso => sso::DEFAULT,
            Self::Sms => sms::config::DEFAULT,
            Self::Social => social::DEFAULT,
            Self::Blog => blog::DEFAULT,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
