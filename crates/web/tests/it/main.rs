//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests, and a skipped one says so")]

mod limits;
mod routes;
mod server;
mod tls;
