//! What every flow works with.

use std::{sync::Arc, time::Duration};

use db::{Conn, Db};
use mesh::{Clock, Random};

use crate::{
    carrier::Carrier,
    code::{Code, Keys, Reference, Seal},
    error::Error,
    limits::Limits,
};

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
}

/// What is drawn before a send is decided on. A decoy draws the same as everybody.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) code: Code,
    pub(crate) reference: Reference,
    nothing: Seal,
}

impl Draft {
    pub(crate) fn seal(&self, keys: &Keys, verification_id: uuid::Uuid, decoy: bool) -> Seal {
        let seal = keys.code(verification_id, &self.code);
        if decoy { self.nothing } else { seal }
    }
}

impl Core {
    pub(crate) fn draft(&self) -> Draft {
        let code = Code::draw(&self.random, self.code_digits);
        Draft { code, reference: Reference::draw(&self.random), nothing: Seal::of_nothing(&self.random) }
    }

    /// [`Db::write`], told the time as the job is handed in: jobs may not ask for it. Once more if a unique index refused
    /// it: then the same request, or one for the same verification, came first meanwhile, and the second run finds what it
    /// left.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        run: impl FnMut(&mut Conn, i64) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        match self.once(name, run.clone()).await {
            Err(Error::Db(db::Error::Unique { .. })) => self.once(name, run).await,
            done => done,
        }
    }

    async fn once<T: Send + 'static>(
        &self,
        name: &'static str,
        mut run: impl FnMut(&mut Conn, i64) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.clock.micros();
        self.db.write(name, move |c| run(c, now)).await
    }
}
