//! The settings: onebox's own, and those of each service, which are layered here. `default.toml`, embedded, is their manual.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use config::{Map, Source, Value};
use mesh::{AdminConfig, Limits, TelemetryConfig, TlsConfig, WebConfig, log::LogConfig};
use serde::{Deserialize, de::DeserializeOwned};

use crate::Part;

/// The defaults, and what each setting means.
pub const DEFAULT: &str = include_str!("../default.toml");

/// What onebox settles for every service. A section that says it otherwise is refused.
const SETTLED: [&str; 7] = ["keys", "peers", "admin", "web", "log", "telemetry", "server"];

/// All settings of onebox, ready for use.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where databases and keys are kept.
    pub data: PathBuf,
    /// Where whoever runs it looks.
    pub admin: AdminConfig,
    /// The port for browsers.
    pub web: WebConfig,
    /// How to log.
    pub log: LogConfig,
    /// Where spans go.
    pub telemetry: TelemetryConfig,
    /// SSO's settings. Its `tokens` hold for all.
    pub sso: sso::Config,
    /// SMS's settings.
    pub sms: sms::Config,
    /// Social's settings.
    pub social: roster::Config,
    /// Blog's settings.
    pub blog: roster::Config,
}

/// A configuration that does not hold. The text names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The settings as they stand in files and in the environment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: PathBuf,
    server: Limits,
    admin: AdminConfig,
    web: WebConfig,
    log: LogConfig,
    telemetry: TelemetryConfig,
    sso: Map<String, Value>,
    sms: Map<String, Value>,
    social: Map<String, Value>,
    blog: Map<String, Value>,
}

impl Config {
    /// The defaults, overridden by `file`, overridden by the environment, with the data folder `data` if one is named.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type or out of its bounds, a file that cannot be read.
    pub fn load(file: Option<&Path>, data: Option<&Path>) -> Result<Self, ConfigError> {
        let raw: Raw = mesh::config::load("onebox", DEFAULT, file).map_err(refusal)?;
        Self::resolve(raw, data, environment)
    }

    /// The defaults alone, whatever the environment says, with the data folder `data`: for tests.
    ///
    /// # Errors
    /// If `data` is not Unicode.
    pub fn embedded(data: &Path) -> Result<Self, ConfigError> {
        let raw = mesh::config::defaults(DEFAULT).and_then(config::Config::try_deserialize).map_err(refusal)?;
        Self::resolve(raw, Some(data), |_| Ok(Map::new()))
    }

    fn resolve(
        raw: Raw,
        data: Option<&Path>,
        environment: impl Fn(Part) -> Result<Map<String, Value>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let data = data.unwrap_or(&raw.data).to_path_buf();
        let layers = |part, section| Layers::of(part, &data, section, environment(part)?);
        let mut sso: sso::Config = layers(Part::Sso, raw.sso)?.read()?;
        let tokens = [
            ("tokens.deployment", sso.tokens.deployment.as_str()),
            ("tokens.issuer", &sso.tokens.issuer),
            ("tokens.audience", &sso.tokens.audience),
        ];
        // No person calls SMS: it has no more to say of tokens than where they are from.
        let mut sms: sms::Config = layers(Part::Sms, raw.sms)?.agree(&tokens[..1])?.read()?;
        let mut social: roster::Config = layers(Part::Social, raw.social)?.agree(&tokens)?.read()?;
        let mut blog: roster::Config = layers(Part::Blog, raw.blog)?.agree(&tokens)?.read()?;
        let Raw { server, admin, web, log, telemetry, .. } = raw;
        [sso.server, sms.server, social.server, blog.server] = [server; 4];
        Ok(Self { data, admin, web, log, telemetry, sso, sms, social, blog })
    }

    /// How a service proves itself at its port. In this process its calls to the others need no proof.
    pub fn tls(&self, part: Part) -> &TlsConfig {
        match part {
            Part::Sso => &self.sso.tls,
            Part::Sms => &self.sms.tls,
            Part::Social => &self.social.tls,
            Part::Blog => &self.blog.tls,
        }
    }

    /// Where a service listens.
    pub fn listen(&self, part: Part) -> SocketAddr {
        match part {
            Part::Sso => self.sso.listen,
            Part::Sms => self.sms.listen,
            Part::Social => self.social.listen,
            Part::Blog => self.blog.listen,
        }
    }
}

/// The settings of one service, in the order in which one overrides another.
struct Layers {
    part: Part,
    /// The service's own defaults.
    default: &'static str,
    /// What follows from there being one process.
    onebox: Layer,
    /// Its section in onebox's files.
    section: Layer,
    /// The environment under its own name.
    environment: Layer,
}

/// Values by key; dots in a key lead into tables.
#[derive(Debug, Clone, Default)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layers {
    fn of(
        part: Part,
        data: &Path,
        section: Map<String, Value>,
        environment: Map<String, Value>,
    ) -> Result<Self, ConfigError> {
        if let Some(key) = SETTLED.iter().find(|key| section.contains_key(**key)) {
            return Err(ConfigError(format!("{part}.{key}: in one process this is not the service's to say")));
        }
        let data = data.to_str().ok_or_else(|| ConfigError(format!("{}: not Unicode", data.display())))?;
        let default = part.default_settings();
        let layers =
            Self { part, default, onebox: Layer::default(), section: Layer(section), environment: Layer(environment) };
        Ok(layers.say("database_url", format!("sqlite:{data}/{part}.db")))
    }

    fn say(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.onebox.0.insert(key.to_owned(), value.into());
        self
    }

    /// Takes what SSO says of tokens, and refuses to differ from it: every token would be refused there.
    fn agree(mut self, tokens: &[(&str, &str)]) -> Result<Self, ConfigError> {
        for (key, value) in tokens {
            self = self.say(key, *value);
        }
        let built = self.build()?;
        for (key, value) in tokens {
            if built.get_string(key).is_ok_and(|own| own != *value) {
                return Err(ConfigError(format!("{}.{key}: set sso.{key}, which holds for all", self.part)));
            }
        }
        Ok(self)
    }

    fn build(&self) -> Result<config::Config, ConfigError> {
        let builder = config::Config::builder()
            .add_source(mesh::config::defaults(self.default).map_err(|error| self.refusal(error))?)
            .add_source(self.onebox.clone())
            .add_source(self.section.clone())
            .add_source(self.environment.clone());
        builder.build().map_err(|error| self.refusal(error))
    }

    fn read<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        self.build()?.try_deserialize().map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: config::ConfigError) -> ConfigError {
        ConfigError(format!("{}: {}", self.part, mesh::config::reason(&error)))
    }
}

/// What the environment says to a service under its own name: `PLAZA_SSO__…`. What is settled here is left out rather than refused: it is
/// there for a process of the service's own.
fn environment(part: Part) -> Result<Map<String, Value>, ConfigError> {
    let mut said: Map<String, Value> = mesh::config::load(part.name(), "", None).map_err(refusal)?;
    said.retain(|key, _| !SETTLED.contains(&key.as_str()));
    Ok(said)
}

fn refusal(error: impl std::fmt::Display) -> ConfigError {
    ConfigError(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::Path};

    use super::Config;
    use crate::Part;

    fn with(lines: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(lines.as_bytes()).expect("written");
        Config::load(Some(file.path()), None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_one_deployment_in_one_folder() {
        let config = Config::embedded(Path::new("/somewhere")).expect("the defaults");
        assert_eq!(config.sso.database_url.expose(), "sqlite:/somewhere/sso.db");
        assert_eq!(config.blog.database_url.expose(), "sqlite:/somewhere/blog.db");
        assert_eq!(config.sms.tokens.deployment, config.sso.tokens.deployment);
        assert_eq!(config.listen(Part::Social).port(), 50053);
    }

    #[test]
    fn a_section_overrides_the_service() {
        let config = with("[server]\ndrain_seconds = 3\n[sso]\nlisten = \"127.0.0.1:1\"\n[sso.passwords]\ncost = 11")
            .expect("holds");
        assert_eq!((config.sso.passwords.cost, config.sso.passwords.queue), (11, 256));
        assert_eq!((config.listen(Part::Sso).port(), config.social.server.drain.as_secs()), (1, 3));
    }

    #[test]
    fn what_sso_says_of_tokens_holds_for_all() {
        let config = with("[sso.tokens]\nissuer = \"here\"").expect("holds");
        assert_eq!((config.social.tokens.issuer.as_str(), config.blog.tokens.issuer.as_str()), ("here", "here"));
        for (lines, named) in [
            ("[blog.tokens]\nissuer = \"there\"", "blog.tokens.issuer: set sso.tokens.issuer"),
            ("[sms.tokens]\ndeployment = \"there\"", "sms.tokens.deployment: set sso.tokens.deployment"),
        ] {
            let refused = with(lines).expect_err(lines);
            assert!(refused.contains(named), "{refused}");
        }
        assert_eq!(with("[sso.tokens]\ndeployment = \"here\"").expect("holds").sms.tokens.deployment, "here");
    }

    #[test]
    fn a_value_that_does_not_hold_is_not_shown() {
        let refused = with("[sso.passwords]\ncost = \"hunter2\"").expect_err("no number");
        assert!(refused.contains("passwords.cost") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_value_out_of_its_bounds_is_refused_with_them() {
        for (lines, named) in [
            ("[server]\ndrain_seconds = 301", "server.drain_seconds must be from 1 to 300, not 301"),
            ("[telemetry]\nqueue = 0", "telemetry.queue must be from 1 to 1000000, not 0"),
            ("[sso.sessions]\nidle_days = 91", "sso: sessions.idle_days must be from 1 to 90, not 91"),
            ("[sso.passwords]\nqueue = 0", "sso: passwords.queue must be from 1 to 4096, not 0"),
            ("[sms.limits]\nsends_per_day = 51", "sms: limits.sends_per_day must be from 1 to 50, not 51"),
            ("[blog.tokens]\nrefresh_seconds = 9", "blog: tokens.refresh_seconds must be from 10 to 900, not 9"),
        ] {
            let refused = with(lines).expect_err(lines);
            assert!(refused.contains(named), "{refused}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for (lines, named) in [
            ("colour = 1", "colour"),
            ("[sso]\ncolour = 1", "colour"),
            ("[tls]\nplain_text = \"allowed\"", "tls"),
            ("[sso.tls]\nplain = true", "plain"),
            ("[sms.carrier]\ninbox = true", "inbox"),
            ("[sms.server]\ndrain_seconds = 5", "sms.server"),
            ("[social.peers]\nsso = \"http://elsewhere\"", "social.peers"),
        ] {
            let refused = with(lines).expect_err(lines);
            assert!(refused.contains(named), "{refused}");
        }
    }
}
