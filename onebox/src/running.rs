//! One part, built and running: what the four services have in common.

use std::{collections::BTreeMap, sync::Arc};

use mesh::{
    ChannelOptions, ClientMetrics, Local, Router, Shutdown, Stack, Tracer,
    token::{Expected, Keyring, Verifier},
};

use crate::{Config, Edge, Part, StartError, data::Data};

/// A service in its own type; Social and Blog share one.
enum Service {
    Sso(sso::Service),
    Sms(sms::Service),
    Roster(roster::Service),
}

/// A part that runs, published or not.
pub struct Running {
    service: Service,
    /// Ends its work in the background, and nobody else's.
    shutdown: Shutdown,
}

/// What a part is built from.
pub(crate) struct Site<'a> {
    pub(crate) config: &'a Config,
    pub(crate) edge: &'a Edge,
    pub(crate) data: &'a Data,
    pub(crate) local: &'a Local,
    pub(crate) metrics: &'a BTreeMap<Part, ClientMetrics>,
}

impl Site<'_> {
    /// Builds a part, and publishes nothing.
    pub(crate) async fn build(&self, part: Part) -> Result<Running, StartError> {
        let shutdown = Shutdown::manual();
        let service = match part {
            Part::Sso => Service::Sso(Box::pin(self.sso(shutdown.clone())).await?),
            Part::Sms => Service::Sms(Box::pin(self.sms(shutdown.clone())).await?),
            Part::Social => {
                let built = social::build(self.config.social.clone(), self.roster(part, shutdown.clone()));
                Service::Roster(Box::pin(built).await.map_err(StartError::Social)?)
            }
            Part::Blog => {
                let built = blog::build(self.config.blog.clone(), self.roster(part, shutdown.clone()));
                Service::Roster(Box::pin(built).await.map_err(StartError::Blog)?)
            }
        };
        Ok(Running { service, shutdown })
    }

    async fn sso(&self, shutdown: Shutdown) -> Result<sso::Service, sso::StartError> {
        let deps = sso::Deps {
            clock: self.edge.clock.clone(),
            random: self.edge.random.clone(),
            master_key: sso::MasterKey::new(self.data.master),
            keyring: self.keyring(),
            sms: self.channel(Part::Sms, Part::Sso),
            social: self.channel(Part::Social, Part::Sso),
            blog: self.channel(Part::Blog, Part::Sso),
            inline: self.edge.inline,
            faults: self.faults(Part::Sso),
            tracer: self.tracer(Part::Sso),
            shutdown,
        };
        sso::build(self.config.sso.clone(), deps).await
    }

    async fn sms(&self, shutdown: Shutdown) -> Result<sms::Service, sms::StartError> {
        let tokens = &self.config.sso.tokens;
        let clock = self.edge.clock.clone();
        let verifier = Verifier::new(
            self.keyring(),
            Expected { deployment: &tokens.deployment, audience: &tokens.audience, issuer: &tokens.issuer },
            clock.clone(),
        );
        let deps = sms::Deps {
            clock,
            random: self.edge.random.clone(),
            master_key: self.data.master,
            stack: Stack {
                verifier: Arc::new(verifier),
                limits: self.config.sms.server,
                tracer: self.tracer(Part::Sms),
                random: self.edge.random.clone(),
            },
            carrier: self.edge.carrier.clone(),
            inline: self.edge.inline,
            faults: self.faults(Part::Sms),
            shutdown,
        };
        sms::build(self.config.sms.clone(), deps).await
    }

    /// What Social and Blog are handed.
    fn roster(&self, part: Part, shutdown: Shutdown) -> roster::Deps {
        roster::Deps {
            clock: self.edge.clock.clone(),
            random: self.edge.random.clone(),
            keyring: self.keyring(),
            sso: self.channel(Part::Sso, part),
            inline: self.edge.inline,
            faults: self.faults(part),
            tracer: self.tracer(part),
            shutdown,
        }
    }

    /// Each part has a keyring of its own, as it would in a process of its own: SSO's keys reach the others by its contract alone.
    fn keyring(&self) -> Keyring {
        self.data.mesh.keyring()
    }

    fn faults(&self, part: Part) -> sso::StoreFaults {
        self.edge.faults.databases.get(&part).cloned().unwrap_or_default()
    }

    fn tracer(&self, part: Part) -> Tracer {
        self.edge.telemetry.tracer(part.name())
    }

    fn channel(&self, callee: Part, caller: Part) -> mesh::Channel {
        let mut options = ChannelOptions { tracer: self.tracer(caller), ..self.edge.channel_options() };
        if let Some(metrics) = self.metrics.get(&caller) {
            options.metrics = metrics.clone();
        }
        self.local.channel(callee.name(), caller.name(), options)
    }
}

impl Edge {
    pub(crate) fn channel_options(&self) -> ChannelOptions {
        ChannelOptions { random: self.random.clone(), ..ChannelOptions::default() }
    }
}

impl Running {
    /// What serves its calls.
    pub fn router(&self) -> Router {
        match &self.service {
            Service::Sso(service) => service.router(),
            Service::Sms(service) => service.router(),
            Service::Roster(service) => service.router(),
        }
    }

    /// What ends its work in the background.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Ends the work in the background, and closes the database.
    pub async fn close(self) {
        self.shutdown.begin();
        match self.service {
            Service::Sso(service) => service.close().await,
            Service::Sms(service) => service.close().await,
            Service::Roster(service) => service.close().await,
        }
    }
}
