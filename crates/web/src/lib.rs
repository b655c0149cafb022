//! Listener, TLS, web configuration file, authentication, limits, health and `/metrics`, once for both
//! daemons.
//!
//! A daemon builds an axum router, merges [`standard_routes`] into it, loads a [`WebConfig`], asks it
//! with [`WebConfig::require_authentication`] whether its private routes may be open on that address,
//! and hands everything to [`serve`].

mod auth;
mod config;
mod landing;
mod routes;
mod scrape;
mod serve;
mod stall;

pub use config::{WebConfig, is_loopback};
pub use landing::Link;
pub use routes::{Ready, StandardPages, page_route, standard_routes};
pub use serve::{Limits, serve, serve_with};
