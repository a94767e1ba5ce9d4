//! Social: the profiles of Plaza's users. SSO tells it who they are; anyone may look, and persons change their own.

mod service;

use db::Migrations;
use diesel_migrations::embed_migrations;
use proto::social::v1::{profile_service_server::ProfileServiceServer, user_service_server::UserServiceServer};
use roster::{Config, Deps, Service, StartError};

use crate::service::{Profiles, Users};

/// The name of this service in the mesh.
pub const NAME: &str = "social";

/// The defaults of [`Config`], and what each setting means.
pub const DEFAULT: &str = include_str!("../default.toml");

const MIGRATIONS: Migrations =
    Migrations { sqlite: embed_migrations!("migrations/sqlite"), postgres: embed_migrations!("migrations/postgres") };

/// Starts Social.
///
/// # Errors
/// As [`roster::start`].
pub async fn build(config: Config, deps: Deps) -> Result<Service, StartError> {
    let contract = |server: mesh::Server, roster: roster::Roster| {
        server.add(UserServiceServer::new(Users(roster.clone()))).add(ProfileServiceServer::new(Profiles(roster)))
    };
    roster::start(NAME, MIGRATIONS, config, deps, contract).await
}
