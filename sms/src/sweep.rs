//! Deleting what nobody needs any more. Nothing depends on it but the size of the database: rows that are over are treated
//! as gone wherever they are read.

use std::{sync::Arc, time::Duration};

use mesh::Shutdown;

use crate::{core::Core, error::Error, store};

/// How many rows of a table one job deletes: what waits behind it must not notice.
const PAGE: i64 = 500;

/// Sweeps every `every`, until the shutdown begins.
pub(crate) async fn run(core: Arc<Core>, every: Duration, shutdown: Shutdown) {
    // Not all replicas at once.
    let mut pause = core.random.between(Duration::ZERO..every);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = every;
        match all(&core, &shutdown).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "old rows deleted"),
            Err(error) => tracing::warn!(%error, "old rows were not deleted"),
        }
    }
}

async fn all(core: &Core, shutdown: &Shutdown) -> Result<usize, Error> {
    let mut gone = 0;
    while !shutdown.is_begun() {
        let now = core.clock.micros();
        let page = core.write("sweep", move |c| Ok(store::sweep(c, now, PAGE)?)).await?;
        gone += page;
        if page == 0 {
            break;
        }
    }
    Ok(gone)
}
