//! Configuration in three layers: the embedded, commented default.toml of the service over mesh's own, then a file, then the environment.

mod bounds;
mod secret;
#[cfg(test)]
mod tests;

use std::{env, path::Path};

use config::{Config, File, FileFormat, Source as _, builder::DefaultState};
use serde::de::DeserializeOwned;

pub use self::{
    bounds::{Bounds, Connections},
    secret::Secret,
};

type Builder = config::ConfigBuilder<DefaultState>;

/// What is the same for all services.
const COMMON: &str = include_str!("../default.toml");

/// A configuration that does not hold. The text names the key, and the file or variable it stands in where that is known, and shows no value.
#[derive(Debug, thiserror::Error)]
#[error("configuration of {service}: {reason}")]
pub struct ConfigError {
    service: String,
    reason: String,
}

/// Reads the configuration of `service`: its [`defaults`], overridden by `file`, overridden by environment variables
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
    let mut builder = Config::builder().add_source(defaults(default).map_err(|error| refuse(reason(&error)))?);
    if let Some(path) = file {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    let before = builder.clone();
    for (name, value) in variables {
        builder = variable(builder, service, &name, &value).map_err(|e| refuse(format!("{name}: {}", reason(&e))))?;
    }
    let read = |layers: Builder| layers.build().and_then(Config::try_deserialize::<T>).map_err(|error| reason(&error));
    read(builder).map_err(|reason| match file {
        // Without the environment it is the same: it stands in the file.
        Some(path) if read(before).err().as_ref() == Some(&reason) => refuse(format!("{}: {reason}", path.display())),
        _ => refuse(reason),
    })
}

/// What a service is set to when nobody says anything: its own `default` (TOML), over those sections of mesh's default.toml that it names, be it by a bare
/// `[server]`. So a service without a port for browsers goes on refusing `[web]`.
///
/// # Errors
/// If it is no TOML.
pub fn defaults(default: &str) -> Result<Config, config::ConfigError> {
    let own = File::from_str(default, FileFormat::Toml);
    let named = own.collect()?;
    let mut builder = Config::builder().add_source(own);
    for (section, value) in File::from_str(COMMON, FileFormat::Toml).collect()? {
        if named.contains_key(&section) {
            builder = builder.set_default(section, value)?;
        }
    }
    builder.build()
}

/// A section as mesh's default.toml has it.
pub(crate) fn section<T: DeserializeOwned>(name: &str) -> T {
    let common = Config::builder().add_source(File::from_str(COMMON, FileFormat::Toml)).build();
    common.and_then(|common| common.get(name)).expect("it is embedded, and every test reads it")
}

/// What is wrong with a configuration, and where, without the value that is wrong: it may be a secret. TOML's errors show the whole line,
/// serde's the value that they did not expect. Of a few words to choose from, the one that was chosen is told.
pub fn reason(error: &config::ConfigError) -> String {
    let text = error.to_string();
    if matches!(error, config::ConfigError::FileParse { .. }) {
        // `7 | key = value`, between lines that say where and why.
        let shown = |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
        return text.lines().filter(|line| !shown(line)).map(str::trim).collect::<Vec<_>>().join(", ");
    }
    match (text.find(['"', '`']), text.rfind(", expected ")) {
        (Some(value), Some(expected)) if value < expected && text.starts_with("invalid ") => {
            format!("{}{}", text[..value].trim_end(), &text[expected..])
        }
        _ => text,
    }
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
