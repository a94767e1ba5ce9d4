//! SSO's users, as another service keeps them: by version, in whichever order and however often it is told; and the little that each may say
//! of themselves there. Social and Blog are built on it, and started by it; a service that has more to keep refers to the user's id.
//!
//! One table, `users`, holds users and tombstones, so that one guarded statement settles every race between a create and a delete. Each service
//! brings the migration that makes it, under its own name for it.

mod config;
mod error;
mod metrics;
mod roster;
mod schema;
mod service;
mod store;
mod text;
mod told;

pub use crate::{
    config::{Config, Keys, Peers, Tokens},
    error::Error,
    roster::{Change, Key, Range, Roster, User},
    service::{Deps, Service, StartError, serve, start},
    text::{About, DisplayName, TextError, Username},
    told::{Account, Tier, Told},
};
