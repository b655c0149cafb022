//! `rules/`: what is shipped can be loaded, passes its tests, and has its pages.

use std::{collections::BTreeSet, path::PathBuf};

use basiq_alerter::{
    channels::message::TEMPLATES,
    demand::Action,
    rules::{Kind, RuleSet, tool},
};

use super::repository;

fn yaml(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

#[test]
fn all_rules_can_be_loaded() {
    let mut said = Vec::new();
    let passed = tool::check(&yaml("rules"), &TEMPLATES, &mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(passed, "{said}");
    assert!(!said.contains("note:"), "{said}");
}

#[test]
fn all_tests_of_rules_pass_here() {
    let mut said = Vec::new();
    let passed = tool::test(&yaml("rules/tests"), &mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(passed, "{said}");
}

#[test]
fn each_rule_says_what_it_asks_and_where_to_read_on() {
    let set = RuleSet::load(&yaml("rules"), Some(&TEMPLATES)).unwrap();
    let mut pages = BTreeSet::new();
    for (group, rule) in set.rules() {
        let Kind::Alerting(alerting) = &rule.kind else { continue };
        let place = format!("{} {}", group.file, alerting.name);
        let annotation = |name: &str| {
            let found = alerting.annotations.iter().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("{place} has no {name}")).1.clone()
        };
        annotation("summary");
        annotation("description");
        let page = annotation("runbook_url").plain().unwrap().to_owned();
        let text = std::fs::read_to_string(repository("rules").join(&page))
            .unwrap_or_else(|_| panic!("{place}: {page}"));
        for part in ["## What happened", "## How to check", "## What to do"] {
            assert!(text.contains(part), "{page} has no {part}");
        }
        pages.insert(page.trim_start_matches("runbooks/").to_owned());
        assert!(rule.labels.iter().any(|(name, _)| name == "severity"), "{place} has no severity");
        let ask = alerting.ask.as_ref().unwrap_or_else(|| panic!("{place} asks for nothing"));
        if group.file.ends_with("connections.yml") {
            let begin = "max without (instance, job, pod) (";
            assert!(rule.expr.text().starts_with(begin), "{place} does not begin with {begin}");
            assert!(alerting.hold.is_zero(), "{place}: durations come from timestamps");
            assert_ne!(ask.action, Action::NotifyOperator, "{place} would tell operators of each connection");
        }
    }
    let there: BTreeSet<_> = std::fs::read_dir(repository("rules/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, pages, "a page for each rule, and a rule for each page");
}
