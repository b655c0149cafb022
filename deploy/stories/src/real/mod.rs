//! Real servers for tests: found, started on loopback and stopped, or their absence said loudly.

mod alertmanager;
mod browser;
mod exim;
mod prometheus;
mod rt;

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Command,
};

use anyhow::{Result, bail};

pub use alertmanager::Alertmanager;
pub use browser::{Browser, pictures};
pub use exim::{Exim, PASSWORD, USERNAME};
pub use prometheus::Prometheus;
pub use rt::RequestTracker;

/// The program of that name, from `PATH` and the places of daemons. Where it is absent the test is to be
/// skipped, which a line on standard error says.
///
/// # Panics
/// In CI (`CI=true`) where it is absent: no test may be skipped there.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is absent; install the Debian package {package}"));
    }
    found
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// In CI (`CI=true`): no test may be skipped there.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must not skip this test: {why}");
    eprintln!("SKIPPED: {why}");
}

/// A port of loopback that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Runs a program to its end.
///
/// # Errors
/// It could not be started, or did not succeed; with what it said.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
