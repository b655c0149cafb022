//! Prometheus exporter for Basiq jobs, connections and connectors.
//!
//! `discovery` finds users, `poll` says when whom to ask, `ledger` (pure) what is known and counted, `store` keeps
//! it, `metrics` shows it; [`run`] wires them together.

mod api;
mod app;
pub mod config;
mod core;
pub mod discovery;
pub mod ledger;
pub mod metrics;
pub mod poll;
pub mod store;

pub use api::{HINTS, Hint, USERS};
pub use app::{DEFAULT_ADDRESS, Exporter, forget, run, subscribe};
pub use config::Config;
