//! How a world begins, stops and goes on.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use onebox::{Config, Edge, Onebox, Part};
use sms::CarrierConfig;

use super::{World, post::Post, second::Second};
use crate::{
    storage::{Backup, Storage},
    trace::Trace,
};

/// When every world begins.
const START: Duration = Duration::from_secs(1_900_000_000);

/// What a world's settings are made of the usual ones by.
pub(super) type Settings = fn(&mut Config);

/// Persons may sign in by a code.
pub(crate) fn by_code(config: &mut Config) {
    config.sso.sign_in.by_code = true;
}

impl World {
    /// A world where nobody has signed up.
    pub(crate) async fn start() -> Self {
        Self::start_at(edge(1)).await
    }

    /// A world where nobody has signed up, in these surroundings.
    pub(crate) async fn start_at(edge: Edge) -> Self {
        Self::start_with(|_| {}, edge).await
    }

    /// The same, with settings other than the usual.
    pub(crate) async fn start_with(settings: Settings, edge: Edge) -> Self {
        let (storage, trace) = (Storage::new(), Trace::begin());
        let plaza = Onebox::start(config(&storage, settings), edge).await.expect("plaza starts");
        let second = Second::default();
        Self { plaza: Some(plaza), second, settings, post: None, storage, trace }
    }

    /// A world where nobody has signed up, with settings other than the usual.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::start_with(settings, edge(1)).await
    }

    /// A world where persons may sign in by a code.
    pub(crate) async fn by_code() -> Self {
        Self::with(by_code).await
    }

    /// A world where nobody has signed up, every flow is switched on, and things go wrong as asked.
    pub(crate) async fn with_faults(faults: onebox::Faults) -> Self {
        Self::start_with(by_code, Edge { faults, ..edge(1) }).await
    }

    /// The same, where messages go by a carrier that is there while SMS is not.
    pub(crate) async fn with_faults_and_post(faults: onebox::Faults) -> Self {
        let by_post = |config: &mut Config| {
            by_code(config);
            config.sms.carrier = CarrierConfig::Embedded;
        };
        let post = Post::default();
        let edge = Edge { faults, carrier: Some(Arc::new(post.clone())), ..edge(1) };
        Self { post: Some(post), ..Self::start_with(by_post, edge).await }
    }

    /// A world on real time and real threads, where calls at once are at once: for races.
    pub(crate) async fn threaded() -> Self {
        Self::start_at(Edge::system()).await
    }

    /// Stops all four services and starts them again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(self.settings).await;
    }

    /// The same, with other settings.
    pub(crate) async fn restart_with(&mut self, settings: Settings) {
        self.settings = settings;
        // The clock goes on where it was.
        let edge = self.plaza().edge().clone();
        self.plaza.take().expect("it runs").stop().await;
        self.plaza = Some(Onebox::start(config(&self.storage, self.settings), edge).await.expect("plaza starts again"));
    }

    /// What a part's database holds now.
    pub(crate) async fn back_up(&mut self, part: Part) -> Backup {
        self.stop_part(part).await;
        let backup = self.storage.back_up(part);
        self.start_part(part).await;
        backup
    }

    /// Puts a backup in place of what a part's database holds; none is the loss of everything.
    pub(crate) async fn restore(&mut self, part: Part, backup: Option<&Backup>) {
        self.stop_part(part).await;
        self.storage.restore(part, backup);
        self.start_part(part).await;
    }

    /// Stops all four services.
    pub(crate) async fn stop(mut self) {
        self.stop_part(Part::Sso).await;
        self.plaza.take().expect("it runs").stop().await;
    }
}

fn config(storage: &Storage, settings: Settings) -> Config {
    let mut config = storage.config();
    // What is shown here does not depend on the cost, and 12 takes a quarter of a second each.
    config.sso.passwords.cost = 4;
    config.sms.carrier = CarrierConfig::Development { console: false };
    settings(&mut config);
    config
}

fn edge(seed: u64) -> Edge {
    Edge::simulated(SystemTime::UNIX_EPOCH + START, seed)
}
