//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests, and a skipped one says so")]

mod gzip;
mod parse;
mod promtool;
mod round_trip;
mod sheet;
mod stream;

use std::{path::PathBuf, process::Command};

/// A program that a test needs. Says so loudly where it is absent, and fails in CI.
fn tool(name: &str, variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
    if Command::new(&path).arg("--version").output().is_ok() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} is absent, and CI must have it");
    eprintln!("SKIPPED: {name} is not installed (or name it with {variable}); this test did not run");
    None
}
