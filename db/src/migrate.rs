//! Bringing a database up to date. The lock around it is the engine's.

use crate::{Migrations, OpenError};
use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

/// Refuses migrations that do not bear the same names on both engines.
pub(crate) fn same_names(migrations: &Migrations) -> Result<(), OpenError> {
    let mut sqlite = names::<Sqlite>(&migrations.sqlite)?;
    let mut postgres = names::<Pg>(&migrations.postgres)?;
    let both: Vec<String> = sqlite.iter().filter(|name| postgres.contains(name)).cloned().collect();
    sqlite.retain(|name| !both.contains(name));
    postgres.retain(|name| !both.contains(name));
    if sqlite.is_empty() && postgres.is_empty() { Ok(()) } else { Err(OpenError::Differ { sqlite, postgres }) }
}

fn names<DB: Backend>(migrations: &EmbeddedMigrations) -> Result<Vec<String>, OpenError> {
    Ok(all::<DB>(migrations)?.iter().map(|migration| migration.name().to_string()).collect())
}

fn all<DB: Backend>(migrations: &EmbeddedMigrations) -> Result<Vec<Box<dyn Migration<DB>>>, OpenError> {
    MigrationSource::<DB>::migrations(migrations).map_err(|error| OpenError::Migrate(error.to_string()))
}

/// Runs what the database does not have yet, and returns how many that were; refuses a database that has more than the
/// program knows: an older program must not write into a newer schema it was not made for.
pub(crate) fn run<DB: Backend>(
    harness: &mut impl MigrationHarness<DB>,
    migrations: &EmbeddedMigrations,
) -> Result<usize, OpenError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    let applied = harness.applied_migrations().map_err(failed)?;
    let mut pending = all::<DB>(migrations)?;
    let known: Vec<String> = pending.iter().map(|migration| migration.name().version().to_string()).collect();
    let mut versions: Vec<String> = applied.iter().map(ToString::to_string).collect();
    pending.retain(|migration| !versions.contains(&migration.name().version().to_string()));
    versions.retain(|version| !known.contains(version));
    if !versions.is_empty() {
        versions.sort();
        return Err(OpenError::Newer { versions });
    }
    pending.sort_by_key(|migration| migration.name().version().to_string());
    for migration in &pending {
        harness.run_migration(migration.as_ref()).map_err(failed)?;
    }
    Ok(pending.len())
}
