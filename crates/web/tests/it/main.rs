//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod limits;
mod routes;
mod server;
