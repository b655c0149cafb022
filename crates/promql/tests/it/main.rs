//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bounds;
mod differences;
mod evaluation;
mod scripts;
mod window;
