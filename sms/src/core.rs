//! What every flow works with.

use std::{sync::Arc, time::Duration};

use db::{At, Conn, Db, work::Tally};
use mesh::{Clock, Random};

use crate::{carrier::Carrier, code::Keys, error::Error, limits::Limits};

/// How long a verification lives, and a request can be repeated.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3600);

/// The inputs of the flows.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) db: Db,
    pub(crate) keys: Keys,
    pub(crate) limits: Arc<Limits>,
    pub(crate) code_digits: u32,
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) carrier_timeout: Duration,
    pub(crate) tally: Tally,
}

impl Core {
    /// [`Db::write`], told the time as the job is handed in: jobs may not ask for it. Once more if a unique index refused
    /// it: then the same request, or one for the same verification, came first meanwhile, and the second run finds what it
    /// left.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        run: impl FnMut(&mut Conn, At) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        match self.once(name, run.clone()).await {
            Err(Error::Db(db::Error::Unique { .. })) => self.once(name, run).await,
            done => done,
        }
    }

    async fn once<T: Send + 'static>(
        &self,
        name: &'static str,
        mut run: impl FnMut(&mut Conn, At) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.clock.now().into();
        self.db.write(name, move |c| run(c, now)).await
    }
}
