//! One test binary for the crate: a module per topic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test whose stage cannot be set ends there, and a skipped one says so"
)]

mod admin;
mod basics;
mod binary;
mod client;
mod faults;
mod openapi;
mod population;
mod queue;
mod stories;
mod support;
mod webhooks;
