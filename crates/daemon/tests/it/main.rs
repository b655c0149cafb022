//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod process;
mod traces;
