//! The binary: what it says, and with which code it ends, when it cannot start.

use std::{net::TcpListener, process::Command};

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_basiq-sandbox")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_settings_end_with_2_and_one_line_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("story.yml");
    for (text, part) in [
        ("users:\n  - {nmae: a}\n", "nmae"),
        ("users: [{name: a}, {name: a}]\n", "given twice"),
        ("population: {users: 2000000}\n", "1000000"),
        ("users: [{name: a, connections: [{failures: [{until: soon}]}]}]\n", "soon"),
        ("users: [{name: a, connections: [{institution: Hooli}]}]\n", "AU00000"),
        ("faults: [{kind: {status: {code: 200}}}]\n", "between 400 and 599"),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, said) =
            run(&["--web.listen-address=127.0.0.1:0", "--scenario.file", path.to_str().unwrap()]);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.trim_end().lines().count() == 1 && said.contains("story.yml") && said.contains(part),
            "{said}"
        );
    }
    for arguments in [
        ["--scenario.file=/nowhere.yml"],
        ["--web.listen-address=0.0.0.0:0"],
        ["--config.file=x.yml"],
        ["--api-key.file=/nowhere"],
    ] {
        let (code, said) = run(&arguments);
        assert_eq!((code, said.trim_end().lines().count()), (Some(2), 1), "{said}");
    }
}

#[test]
fn a_port_in_use_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said) = run(&[&format!("--web.listen-address={}", taken.local_addr().unwrap())]);
    assert_eq!((code, said.trim_end().lines().count()), (Some(1), 1), "{said}");
}
