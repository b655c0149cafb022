#![doc = include_str!("../README.md")]

mod admin;
mod app;
mod connectors;
mod draw;
mod errors;
pub mod faults;
mod filter;
mod http;
pub mod population;
mod requests;
mod routes;
mod sandbox;
pub mod scenario;
mod spoil;
pub mod switches;
pub mod truth;
mod webhooks;
mod world;

pub use admin::Change;
pub use requests::{RefreshSeen, RouteCount};
pub use sandbox::{DEFAULT_API_KEY, Handle, Sandbox, SandboxConfig, StartError};
pub use scenario::Scenario;
pub use switches::Switches;
pub use webhooks::Trick;
pub use world::{
    connection::{Refreshed, Status},
    job::Left,
};
