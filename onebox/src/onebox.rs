//! The whole: its parts, started and stopped together or one by one.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::SystemTime};

use mesh::{Admin, Channel, ClientMetrics, Clock, Local, Random, Router, Telemetry, token::Kind};

use crate::{
    Config, Part,
    data::{Data, DataError},
    operator::{OperatorError, mint},
    running::{Running, Site},
};

/// What the surroundings hand in.
#[derive(Clone)]
pub struct Edge {
    /// Tells the time.
    pub clock: Clock,
    /// Makes random values.
    pub random: Random,
    /// Whether databases and hashing run on the calling thread, as paused time and simulations want it.
    pub inline: bool,
    /// What takes messages to people where `sms.carrier.kind` is "embedded".
    pub carrier: Option<Arc<dyn sms::carrier::Carrier>>,
    /// What is to go wrong, in tests of faults. Nothing by default.
    pub faults: Faults,
    /// Where spans go. Nowhere by default.
    pub telemetry: Telemetry,
}

/// What is to go wrong.
#[derive(Clone, Default)]
pub struct Faults {
    /// Between the parts.
    pub calls: mesh::channel::Faults,
    /// In the databases.
    pub databases: BTreeMap<Part, sso::StoreFaults>,
}

impl Edge {
    /// The real world.
    pub fn system() -> Self {
        Self {
            clock: Clock::system(),
            random: Random::system(),
            inline: false,
            carrier: None,
            faults: Faults::default(),
            telemetry: Telemetry::off(),
        }
    }

    /// A world that begins at `start`, moves with tokio's time, and has one history for each seed.
    pub fn simulated(start: SystemTime, seed: u64) -> Self {
        Self {
            clock: Clock::simulated(start),
            random: Random::seeded(seed),
            inline: true,
            carrier: None,
            faults: Faults::default(),
            telemetry: Telemetry::off(),
        }
    }
}

/// Why onebox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// SSO.
    #[error("SSO does not start")]
    Sso(#[from] sso::StartError),
    /// SMS.
    #[error("SMS does not start")]
    Sms(#[from] sms::StartError),
    /// Social.
    #[error("Social does not start")]
    Social(#[source] roster::StartError),
    /// Blog.
    #[error("Blog does not start")]
    Blog(#[source] roster::StartError),
}

/// All of Plaza in this process. Each part runs or not, and is published to the others or not.
pub struct Onebox {
    config: Config,
    edge: Edge,
    data: Data,
    local: Local,
    metrics: BTreeMap<Part, ClientMetrics>,
    pub(crate) parts: BTreeMap<Part, Running>,
}

impl Onebox {
    /// Takes the data folder and starts all parts. Nothing listens: see [`Onebox::serve`].
    ///
    /// # Errors
    /// Whatever [`StartError`] names.
    pub async fn start(config: Config, edge: Edge) -> Result<Self, StartError> {
        let mut onebox = Self::prepare(config, edge)?;
        for part in Part::ALL {
            onebox.start_part(part).await?;
        }
        Ok(onebox)
    }

    /// Takes the data folder and starts nothing.
    ///
    /// # Errors
    /// If the folder cannot be used, or another process uses it.
    pub fn prepare(config: Config, edge: Edge) -> Result<Self, StartError> {
        let data = Data::take(&config.data, &config.sso.tokens.deployment, &edge.random)?;
        let local = Local::new().with_faults(edge.faults.calls.clone());
        let metrics = Part::ALL.into_iter().map(|part| (part, ClientMetrics::new())).collect();
        Ok(Self { config, edge, data, local, metrics, parts: BTreeMap::new() })
    }

    /// Builds a part on its data and publishes it. One that runs already is stopped first.
    ///
    /// # Errors
    /// Whatever [`StartError`] names.
    pub async fn start_part(&mut self, part: Part) -> Result<(), StartError> {
        self.stop_part(part).await;
        let Self { config, edge, data, local, metrics, .. } = self;
        let site = Site { config, edge, data, local, metrics };
        let running = site.build(part).await?;
        self.parts.insert(part, running);
        self.publish(part);
        Ok(())
    }

    /// Builds one more replica of a part, on the same data: its database has to be one that processes share. The other parts know nothing of it, and `faults` are its own.
    ///
    /// # Errors
    /// Whatever [`StartError`] names.
    pub async fn replica(&self, part: Part, faults: Faults) -> Result<Running, StartError> {
        let edge = Edge { faults, ..self.edge.clone() };
        let local = self.local.with_faults(edge.faults.calls.clone());
        let Self { config, data, metrics, .. } = self;
        Site { config, edge: &edge, data, local: &local, metrics }.build(part).await
    }

    /// Withdraws a part, ends its work in the background and closes its database. Its data stays. Calls under way may fail.
    pub async fn stop_part(&mut self, part: Part) {
        self.withdraw(part);
        if let Some(running) = self.parts.remove(&part) {
            running.close().await;
        }
    }

    /// Lets the others reach a part again. Does nothing if it does not run.
    pub fn publish(&self, part: Part) {
        if let Some(running) = self.parts.get(&part) {
            self.local.publish(part.name(), running.router());
        }
    }

    /// Cuts a part off from the others, whose calls to it are UNAVAILABLE from now on. It runs on, and [`Onebox::client`] reaches it.
    pub fn withdraw(&self, part: Part) {
        self.local.withdraw(part.name());
    }

    /// What serves a part's calls; `None` if it does not run.
    pub fn router(&self, part: Part) -> Option<Router> {
        self.parts.get(&part).map(Running::router)
    }

    /// A way to a part for somebody outside the mesh, good until the part stops; `None` if it does not run.
    pub fn client(&self, part: Part) -> Option<Channel> {
        Some(Channel::in_memory(self.router(part)?, None, self.edge.channel_options()))
    }

    /// A way to a part for another part, good until the callee stops; `None` if it does not run.
    pub fn peer(&self, callee: Part, caller: Part) -> Option<Channel> {
        Some(Channel::in_memory(self.router(callee)?, Some(caller.name()), self.edge.channel_options()))
    }

    /// A token for the operator `name`, good for `ttl`.
    ///
    /// # Errors
    /// If the name is none, or the time is out of bounds.
    pub fn operator_token(&self, name: &str, ttl: Duration) -> Result<String, OperatorError> {
        let audience = &self.config.sso.tokens.audience;
        mint(&self.data.mesh.signer(Kind::Operator), audience, name, ttl, &self.edge.clock, &self.edge.random)
    }

    /// Tells `admin` of all parts that run.
    pub fn describe(&self, admin: &Admin) {
        self.edge.telemetry.describe(admin);
        for (part, running) in &self.parts {
            admin.add(running.router());
            if let Some(metrics) = self.metrics.get(part) {
                admin.add_client(part.name(), metrics.clone());
            }
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Time and chance, as handed in.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Stops all parts, SSO first: its work under way may still want the others. Then sends the spans that wait.
    pub async fn stop(mut self) {
        for part in Part::ALL {
            self.stop_part(part).await;
        }
        self.edge.telemetry.flush().await;
    }
}

impl Drop for Onebox {
    fn drop(&mut self) {
        // The parts reach each other through `local`, and would keep each other alive, and their databases open.
        Part::ALL.into_iter().for_each(|part| self.withdraw(part));
    }
}

#[cfg(test)]
mod tests {
    use super::{Edge, Onebox};
    use crate::{Config, Part};

    #[tokio::test]
    async fn each_part_stops_and_starts_again_on_its_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::embedded(&folder.path().join("data")).expect("the defaults");
        config.sso.passwords.cost = 4;
        for inline in [true, false] {
            let edge = Edge { inline, ..Edge::system() };
            let mut plaza = Onebox::start(config.clone(), edge.clone()).await.expect("it starts");
            for part in Part::ALL {
                plaza.stop_part(part).await;
                assert!(plaza.router(part).is_none());
                plaza.start_part(part).await.expect("it starts again");
                // One that runs is stopped first.
                plaza.start_part(part).await.expect("and again");
            }
            plaza.stop().await;
        }
    }
}
