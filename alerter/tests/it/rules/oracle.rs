//! promtool says what is right; ours must say the same.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use basiq_alerter::rules::{RuleSet, tool};

use super::repository;

/// promtool, newest first: `PROMTOOL`, then the one on the path. Loud if there is none, and a failure in CI.
fn promtool() -> Option<PathBuf> {
    let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let found = named.into_iter().chain([PathBuf::from("promtool")]).find(|tool| {
        Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("SKIPPED: promtool is not installed, so nothing was compared with it");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs promtool");
    }
    found
}

/// Whether promtool has the semantics of Prometheus 3, which ours are.
fn is_3(promtool: &Path) -> bool {
    let output = Command::new(promtool).arg("--version").output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.contains("version 3.")
}

fn verdict(promtool: &Path, command: &str, file: &Path) -> (bool, String) {
    let output = Command::new(promtool).args([command, "rules"]).arg(file).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rules").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| !file.to_string_lossy().ends_with(".rules.yml"));
    files.sort();
    assert!(files.len() > 5);
    files
}

fn good(file: &Path) -> bool {
    let name = file.to_string_lossy();
    assert!(name.ends_with(".good.yml") || name.ends_with(".bad.yml"), "{name}");
    name.ends_with(".good.yml")
}

#[test]
fn shipped_rules_pass_promtool_too() {
    let Some(promtool) = promtool() else { return };
    for (command, folder) in [("check", "rules"), ("test", "rules/tests")] {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yml") {
                let (passed, said) = verdict(&promtool, command, &path);
                assert!(passed, "{said}");
            }
        }
    }
}

#[test]
fn files_are_good_and_bad_as_promtool_says() {
    for file in cases("check") {
        let ours = RuleSet::load(std::slice::from_ref(&file), None);
        assert_eq!(ours.is_ok(), good(&file), "{}: {:?}", file.display(), ours.err().map(|e| e.to_string()));
    }
    let Some(promtool) = promtool() else { return };
    for file in cases("check") {
        // `strict` files hold what Prometheus accepts and cannot mean; `new` ones what only Prometheus 3 knows.
        let name = file.to_string_lossy();
        if name.contains(".strict.") || (name.contains(".new.") && !is_3(&promtool)) {
            continue;
        }
        let (passed, said) = verdict(&promtool, "check", &file);
        assert_eq!(passed, good(&file), "{said}");
    }
}

#[test]
fn unit_tests_pass_and_fail_as_with_promtool() {
    let promtool = promtool().filter(|promtool| is_3(promtool));
    if promtool.is_none() {
        eprintln!(
            "SKIPPED: no promtool of Prometheus 3 (set PROMTOOL); the verdicts were compared with the file names only"
        );
    }
    for file in cases("unit") {
        let mut said = Vec::new();
        let passed = tool::test(std::slice::from_ref(&file), &mut said).unwrap();
        assert_eq!(passed, good(&file), "{}", String::from_utf8_lossy(&said));
        if let Some(promtool) = &promtool {
            let (passed, said) = verdict(promtool, "test", &file);
            assert_eq!(passed, good(&file), "{} {said}", file.display());
        }
    }
}
