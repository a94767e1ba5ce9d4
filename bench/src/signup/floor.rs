//! The commits of a sign-up alone.

use std::{error::Error, path::Path, time::Duration};

use ::mesh::{Clock, Random, uuid_v7};
use db::{At, Db, Lease, Migrations, Options, Work};
use tokio::time::Instant;
use uuid::Uuid;

use super::Outcome;

/// The commits of a sign-up, and nothing else of it.
pub(super) struct Floor {
    sso: Db,
    sms: Db,
    social: Db,
    blog: Db,
    random: Random,
}

/// A table like any other: what stands in it does not matter.
const ROWS: Work = Work::new("errands", "whose");
const MIGRATIONS: Migrations = Migrations {
    sqlite: diesel_migrations::embed_migrations!("../db/tests/migrations/sqlite"),
    postgres: diesel_migrations::embed_migrations!("../db/tests/migrations/postgres"),
};

impl Floor {
    pub(super) async fn open(folder: &Path) -> Outcome<Self> {
        let open = async |name| {
            let url = format!("sqlite:{}", folder.join(format!("floor/{name}.db")).display());
            Db::open(Options::new(url), MIGRATIONS).await
        };
        let (sso, sms) = (open("sso").await?, open("sms").await?);
        Ok(Self { sso, sms, social: open("social").await?, blog: open("blog").await?, random: Random::system() })
    }

    pub(super) async fn sign_up(&self) -> Outcome<Duration> {
        let began = Instant::now();
        // Request id, user, identifier, verification, and what is owed to two.
        let rows = self.commit(&self.sso, 6).await?;
        let target = async |target: &Db, row| {
            self.commit(target, 1).await?;
            self.sso.write("settle", move |c| Ok::<_, db::Error>(ROWS.finish(c, &row)?)).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        let message = async {
            // Destination, verification, send, delivery; then its outcome.
            let rows = self.commit(&self.sms, 4).await?;
            let row = rows[0];
            self.sms.write("note", move |c| Ok::<_, db::Error>(ROWS.finish(c, &row)?)).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        tokio::try_join!(target(&self.social, rows[0]), target(&self.blog, rows[1]), message)?;
        Ok(began.elapsed())
    }

    /// One commit of so many rows.
    async fn commit(&self, db: &Db, rows: usize) -> Outcome<Vec<Lease>> {
        let id = || uuid_v7(&Clock::system(), &self.random);
        let rows: Vec<Lease> = (0..rows).map(|_| Lease::held(id(), 1, Uuid::from_u128(1))).collect();
        let written = rows.clone();
        db.write("rows", move |c| {
            written
                .iter()
                .try_for_each(|row| ROWS.owe(c, row.subject, row, At(0), At(0)).map(drop))
                .map_err(db::Error::from)
        })
        .await?;
        Ok(rows)
    }
}
