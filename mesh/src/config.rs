//! Configuration in three layers: the service's embedded, commented default.toml, then a file, then the environment.

use std::{env, fmt, path::Path};

use config::{Config, File, FileFormat, builder::DefaultState};
use serde::{Deserialize, de::DeserializeOwned};

type Builder = config::ConfigBuilder<DefaultState>;

/// A configuration that does not hold. The text names the key, and the file or variable it stands in where that is known.
#[derive(Debug, thiserror::Error)]
#[error("configuration of {service}: {reason}")]
pub struct ConfigError {
    service: String,
    reason: String,
}

/// Reads the configuration of `service`: `default` (TOML), overridden by `file`, overridden by environment variables
/// named `PLAZA_<SERVICE>__SECTION__KEY`. A variable's value is taken as it stands, unless it begins with `[`, which makes it
/// a TOML array. `T` should carry `#[serde(deny_unknown_fields)]`, so that a misspelt key is refused by name.
///
/// # Errors
/// A file that cannot be read or parsed, a key nobody knows, a value of the wrong type, a value missing from all layers.
pub fn load<T: DeserializeOwned>(service: &str, default: &'static str, file: Option<&Path>) -> Result<T, ConfigError> {
    layered(service, default, file, environment(service))
}

fn layered<T: DeserializeOwned>(
    service: &str,
    default: &str,
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let refuse = |reason: String| ConfigError { service: service.to_owned(), reason };
    let mut builder = Config::builder().add_source(File::from_str(default, FileFormat::Toml));
    if let Some(path) = file {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    for (name, value) in variables {
        builder = variable(builder, service, &name, &value).map_err(|e| refuse(format!("{name}: {e}")))?;
    }
    let built = builder.build().map_err(|error| refuse(error.to_string()))?;
    built.try_deserialize().map_err(|error| refuse(error.to_string()))
}

/// The variables of this service, sorted, so that an error does not depend on the order of the environment.
fn environment(service: &str) -> Vec<(String, String)> {
    let prefix = prefix(service);
    #[allow(clippy::disallowed_methods, reason = "the edge where the environment is read")]
    let all = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut own: Vec<_> = all.filter(|(name, _)| name.starts_with(&prefix)).collect();
    own.sort();
    own
}

fn prefix(service: &str) -> String {
    format!("PLAZA_{}__", service.to_uppercase())
}

/// Puts one variable over everything else. Strings stay strings (a secret of digits keeps its leading zero); the type asked
/// for turns them into numbers and booleans.
fn variable(builder: Builder, service: &str, name: &str, value: &str) -> Result<Builder, config::ConfigError> {
    let key = name.strip_prefix(&prefix(service)).unwrap_or(name).to_lowercase().replace("__", ".");
    if value.starts_with('[') {
        let list = Config::builder().add_source(File::from_str(&format!("value = {value}"), FileFormat::Toml));
        return builder.set_override(key, list.build()?.get::<config::Value>("value")?);
    }
    builder.set_override(key, value)
}

/// A configured secret. Prints masked.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret from elsewhere than a configuration.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}
