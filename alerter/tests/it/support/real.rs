//! Real servers: found, or their absence said loudly.

use std::{path::PathBuf, process::Command};

/// The program of that name, from `PATH` and the places of daemons. Where it is absent the test is
/// skipped with a line that says so; in CI (`CI=true`) that is a failure.
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let missing = format!("{name} is absent (Debian package {package})");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}, and CI must not skip this test");
        eprintln!("SKIPPED: {missing}; install it to run this test");
    }
    found
}

/// Runs a program to its end and asserts that it succeeded.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
