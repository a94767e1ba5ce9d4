//! Configuration in three layers: the embedded, commented default.toml of the service over mesh's own, then a file, then the environment.

use std::{env, fmt, ops::RangeInclusive, path::Path};

use config::{Config, File, FileFormat, Source as _, builder::DefaultState};
use serde::{Deserialize, de::DeserializeOwned};

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

/// Gathers the settings that are out of their bounds, so that all of them are named at once.
#[derive(Debug, Default)]
pub struct Bounds(Vec<String>);

impl Bounds {
    /// The setting `key`, as in `default.toml`, may be within `bounds`.
    pub fn hold(&mut self, key: &str, value: u64, bounds: RangeInclusive<u64>) {
        if !bounds.contains(&value) {
            self.refuse(format!("{key} must be from {} to {}, not {value}", bounds.start(), bounds.end()));
        }
    }

    /// A setting breaks another rule; the text names both.
    pub fn refuse(&mut self, reason: String) {
        self.0.push(reason);
    }

    /// The `value` that was made of the settings, if none is refused.
    ///
    /// # Errors
    /// All that was refused, as a text for [`ConfigError`].
    pub fn finish<T>(self, value: T) -> Result<T, String> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0.join("; ")) }
    }
}

/// How many connections a service keeps to its database where that is a server: 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Connections(usize);

impl Connections {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<u64> for Connections {
    type Error = String;

    fn try_from(connections: u64) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        bounds.hold("database_connections", connections, 1..=64);
        bounds.finish(Self(usize::try_from(connections).unwrap_or(64)))
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        listen: String,
        limits: Limits,
        #[serde(default)]
        key: Option<Secret>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        sends: u32,
        countries: Vec<String>,
        strict: bool,
    }

    const DEFAULT: &str = r#"
        listen = "127.0.0.1:50051"
        [limits]
        sends = 5
        countries = ["VN"]
        strict = true
    "#;

    fn with(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let mut written = tempfile::NamedTempFile::new().expect("a file");
        written.write_all(file.unwrap_or_default().as_bytes()).expect("written");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        layered("sms", DEFAULT, file.map(|_| written.path()), variables)
    }

    #[test]
    fn each_layer_is_over_the_one_before() {
        let settings = with(None, &[]).expect("the default");
        assert_eq!((settings.listen.as_str(), settings.limits.sends), ("127.0.0.1:50051", 5));
        let file = "[limits]\nsends = 6\nstrict = false";
        let variables = [
            ("PLAZA_SMS__LIMITS__SENDS", "7"),
            ("PLAZA_SMS__LIMITS__COUNTRIES", r#"["VN", "DE"]"#),
            ("PLAZA_SMS__KEY", "007"),
        ];
        let settings = with(Some(file), &variables).expect("all three");
        assert_eq!((settings.limits.sends, settings.limits.strict), (7, false));
        assert_eq!(settings.limits.countries, ["VN", "DE"]);
        let key = settings.key.expect("a key");
        assert_eq!((key.expose(), format!("{key:?} {key}")), ("007", "••• •••".to_owned()));
    }

    #[test]
    fn a_section_that_is_named_is_laid_over_the_common_one() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Service {
            server: std::collections::HashMap<String, u64>,
            admin: std::collections::HashMap<String, String>,
        }
        let default = "[server]\n[admin]\nlisten = \"own\"";
        let calls = ("PLAZA_SMS__SERVER__CALLS".to_owned(), "64".to_owned());
        let service: Service = layered("sms", default, None, [calls]).expect("two sections and no third");
        assert_eq!((service.server["calls"], service.server["streams"]), (64, 256));
        assert_eq!(service.admin["listen"], "own");
    }

    #[test]
    fn what_does_not_hold_is_not_shown() {
        let cases = [
            // A quote that is missing, a key that is there twice, a value without quotes.
            with(Some("listen = \"x\"\nkey = \"hunter2"), &[]).map_err(|error| (error, "line 2, column")),
            with(Some("key = \"hunter2\"\nkey = \"hunter2\""), &[]).map_err(|error| (error, "line 2, column")),
            with(Some("key = hunter2"), &[]).map_err(|error| (error, "line 1, column")),
            with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "[\"hunter2\"")]).map_err(|error| (error, "COUNTRIES")),
            // One where there should be several, and the other way round.
            with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "a, expected hunter2")])
                .map_err(|error| (error, "invalid type: string, expected a sequence")),
            with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "hunter2 \" hunter2")])
                .map_err(|error| (error, "expected a sequence for key `limits.countries`")),
            with(None, &[("PLAZA_SMS__LIMITS", "hunter2")]).map_err(|error| (error, "limits")),
            with(None, &[("PLAZA_SMS__LIMITS__SENDS", "hunter2")])
                .map_err(|error| (error, "expected an integer for key `limits.sends`")),
            with(None, &[("PLAZA_SMS__LIMITS__STRICT", "hunter2")]).map_err(|error| (error, "limits.strict")),
            with(Some("[limits]\ncountries = 4711"), &[]).map_err(|error| (error, "limits.countries")),
        ];
        for case in cases {
            let (error, name) = case.expect_err("refused");
            let text = format!("{error} {error:?}");
            assert!(text.contains(name), "{name}: {text}");
            assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
        }
    }

    #[test]
    fn what_does_not_hold_is_named() {
        let cases = [
            with(Some("[limits]\nsend = 6"), &[]).map_err(|error| (error, "unknown field `send`")),
            with(Some("lissten = 6"), &[]).map_err(|error| (error, "unknown field `lissten`")),
            with(None, &[("PLAZA_SMS__LIMITS__SEND", "1")]).map_err(|error| (error, "unknown field `send`")),
            with(None, &[("PLAZA_SMS__LIMITS__SENDS", "many")]).map_err(|error| (error, "limits.sends")),
            with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "[oops")])
                .map_err(|error| (error, "PLAZA_SMS__LIMITS__COUNTRIES")),
            with(None, &[("PLAZA_SMS____", "1")]).map_err(|error| (error, "PLAZA_SMS____")),
        ];
        for case in cases {
            let (error, name) = case.expect_err("refused");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("sms"), "{name}: {text}");
        }
    }

    #[test]
    fn a_file_is_named_for_what_stands_in_it() {
        let named = |error: ConfigError| error.to_string().contains(std::env::temp_dir().to_str().expect("Unicode"));
        let strict = ("PLAZA_SMS__LIMITS__STRICT", "false");
        assert!(named(with(Some("[limits]\nsend = 6"), &[]).expect_err("a key nobody knows")));
        assert!(named(with(Some("[limits]\nsend = 6"), &[strict]).expect_err("a key nobody knows")));
        assert!(!named(with(Some("[limits]\nsends = 6"), &[("PLAZA_SMS__LIMIT", "6")]).expect_err("a variable")));
        let mended = with(Some("[limits]\nsends = \"many\""), &[("PLAZA_SMS__LIMITS__SENDS", "6")]);
        assert_eq!(mended.expect("the environment is over the file").limits.sends, 6);
    }
}
