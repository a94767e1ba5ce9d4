//! What must hold for a service to be ready.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One thing that a service must have to be ready.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    run: Arc<dyn Fn() -> Outcome + Send + Sync>,
}

impl Check {
    pub(crate) fn new<F, R, E>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let run = move || -> Outcome {
            let answer = run();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        };
        Self { name, run: Arc::new(run) }
    }

    pub(crate) fn run(&self) -> impl Future<Output = Result<(), String>> + Send + use<> {
        (self.run)()
    }
}
