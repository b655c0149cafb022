//! The exporter as a whole against a Basiq on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test whose stage cannot be set ends there, and a skipped one says so"
)]

mod discovery;
mod forget;
mod polling;
mod restart;
mod start;
mod traces;
mod truth;
mod webhooks;
mod world;
