//! The life of a process: how it starts, is told, and ends. It is `examples/smallest.rs`.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

pub(crate) struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) log: String,
}

impl Process {
    pub(crate) fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        // Beside this test binary, which is in `deps`; built with it by `cargo test`.
        let mut path: PathBuf = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/smallest");
        let mut command = Command::new(path);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(args)
            .envs(variables.iter().copied())
            .env("RUST_BACKTRACE", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("examples/smallest is built by `cargo test`, without --test or --lib");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new() }
    }

    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let before = self.log.len();
            assert_ne!(
                self.stderr.read_line(&mut self.log).unwrap(),
                0,
                "ended without {text:?}: {}",
                self.log
            );
            if self.log[before..].contains(text) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        self.stderr.read_to_string(&mut self.log).unwrap();
        (self.child.wait().unwrap(), self.log.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(args: &[&str]) -> (i32, String) {
    let (status, log) = Process::start(args, &[]).end();
    (status.code().unwrap(), log)
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smallest.yml");
    std::fs::write(&path, text).unwrap();
    let flag = format!("--config.file={}", path.display());
    (dir, flag)
}

#[test]
fn signals_stop_and_reload() {
    for signal in ["-INT", "-TERM"] {
        let mut process = Process::start(&[], &[]);
        process.wait_for("ready");
        process.signal("-HUP");
        process.wait_for("configuration reloaded");
        process.signal(signal);
        let (status, log) = process.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopping"), "{log}");
    }
}

#[test]
fn wrong_settings_are_one_line_and_code_2() {
    let (_dir, flag) = config("end: never\n");
    let (code, log) = ended(&[&flag]);
    assert_eq!((code, log.lines().count()), (2, 1), "{log}");
    assert!(log.starts_with("smallest: ") && log.contains("smallest.yml:1:6: "), "{log}");
    let (code, log) = ended(&["--config.file=/nowhere/smallest.yml"]);
    assert_eq!((code, log.lines().count()), (2, 1), "{log}");
    assert!(log.ends_with("/nowhere/smallest.yml: no such file; create it or correct the path\n"), "{log}");
    assert_eq!(ended(&["--log.level=loud"]).0, 2);
}

#[test]
fn a_port_in_use_is_one_line_and_code_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--web.listen-address={}", listener.local_addr().unwrap());
    let (code, log) = ended(&[&flag]);
    assert_eq!((code, log.lines().count()), (1, 1), "{log}");
    assert!(log.contains("address in use; choose another with --web.listen-address"), "{log}");
}

#[test]
fn a_panic_is_logged_with_its_place_and_without_a_backtrace() {
    for end in ["panic", "panic-of-a-task"] {
        let (_dir, flag) = config(&format!("end: {end}\n"));
        let (code, log) = ended(&[&flag]);
        assert_eq!(code, 1, "{log}");
        assert!(log.contains("as it was told") && log.contains("smallest.rs:"), "{log}");
        assert!(!log.to_lowercase().contains("backtrace"), "{log}");
        assert_eq!(log.lines().count(), 3, "ready, the panic, the end: {log}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    // Stopped between the two, so that the first cannot have ended it.
    let mut process = Process::start(&["--log.format=json"], &[]);
    process.wait_for("\"message\":\"ready\"");
    process.signal("-TERM");
    let (status, _) = process.end();
    assert_eq!(status.code(), Some(0));
}
