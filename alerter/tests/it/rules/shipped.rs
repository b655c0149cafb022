//! `rules/`: what is shipped can be loaded, passes its tests, and has its pages.

use std::{collections::BTreeSet, path::PathBuf};

use basiq_alerter::{
    channels::message::TEMPLATES,
    demand::Action,
    rules::{Kind, RuleSet, tool},
};

use super::repository;

/// Rules about what the alerter tells operators of by itself, and at once: they ask for nothing, lest it be told twice.
const TOLD_BY_THE_ALERTER: [&str; 3] = ["BasiqMessagesHeld", "BasiqEffectsDead", "BasiqChannelCircuitOpen"];

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
    let notes: Vec<_> = said.lines().filter(|line| line.contains("note:")).collect();
    assert!(notes.is_empty(), "{notes:?}");
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
            let found = alerting.annotations.templates.iter().find(|(known, _)| known == name);
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
        let Some(ask) = alerting.ask.as_ref() else {
            assert!(TOLD_BY_THE_ALERTER.contains(&&*alerting.name), "{place} asks for nothing");
            continue;
        };
        if group.file.ends_with("connections.yml") {
            let begin = "max without (instance, job, pod) (";
            assert!(rule.expr.text().starts_with(begin), "{place} does not begin with {begin}");
            assert!(alerting.hold.is_zero(), "{place}: durations come from timestamps");
            assert_ne!(ask.action, Action::NotifyOperator, "{place} would tell operators of each connection");
        } else {
            assert_eq!(ask.action, Action::NotifyOperator, "{place} knows no connection");
        }
    }
    let there: BTreeSet<_> = std::fs::read_dir(repository("rules/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, pages, "a page for each rule, and a rule for each page");
}

/// What the unit tests of rules expect of one query or alert.
struct Expectation {
    /// The query, or the alert's name.
    about: String,
    /// As text; none for "nothing fires".
    expected: Option<String>,
}

fn expectations() -> Vec<Expectation> {
    let mut found = Vec::new();
    for file in yaml("rules/tests") {
        let text = std::fs::read_to_string(&file).unwrap();
        let document: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        for test in document["tests"].as_array().unwrap() {
            for (list, about, expected) in
                [("promql_expr_test", "expr", "exp_samples"), ("alert_rule_test", "alertname", "exp_alerts")]
            {
                for one in test[list].as_array().into_iter().flatten() {
                    let none = one[expected].as_array().is_none_or(Vec::is_empty);
                    let text = format!("{} {}", one[about].as_str().unwrap(), one[expected]);
                    found.push(Expectation {
                        about: one[about].as_str().unwrap().to_owned(),
                        expected: (!none).then_some(text),
                    });
                }
            }
        }
    }
    found
}

#[test]
fn each_rule_has_a_test_in_which_it_must_fire_and_one_in_which_it_must_not() {
    let set = RuleSet::load(&yaml("rules"), Some(&TEMPLATES)).unwrap();
    let expectations = expectations();
    // A word of its own: BasiqDown is not BasiqExporterDown.
    let names = |text: &str, name: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == name);
    for (_, rule) in set.rules() {
        let Kind::Alerting(alerting) = &rule.kind else { continue };
        let name: &str = &alerting.name;
        assert!(
            expectations.iter().any(|one| one.expected.as_ref().is_some_and(|text| names(text, name))),
            "{name} need never fire"
        );
        let quiet = expectations.iter().any(|one| match &one.expected {
            None => one.about == "ALERTS" || names(&one.about, name),
            // All that fires is named: whatever is not there must not.
            Some(text) => one.about.contains("(ALERTS)") && !names(text, name),
        });
        assert!(quiet || name == "BasiqWatchdog", "{name} may always fire");
    }
}

/// "Where Prometheus runs, it evaluates the operator rules, the alerter the connection rules" (behaviour, section 8):
/// so say the files that we ship for both, and each kind of rule is in the file of its evaluator.
#[test]
fn prometheus_is_given_the_rules_for_operators_and_the_alerter_those_of_connections() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let line = |path: &str, key: &str| {
        let text = read(path);
        let found = text.lines().find(|line| !line.trim_start().starts_with('#') && line.contains(key));
        found.unwrap_or_else(|| panic!("{path} has no {key}")).to_owned()
    };
    for place in ["samples", "compose"] {
        let prometheus = line(&format!("deploy/{place}/prometheus.yml"), "rule_files:");
        assert!(
            prometheus.contains("operators.yml") && !prometheus.contains("connections.yml"),
            "{prometheus}"
        );
        let alerter = line(&format!("deploy/{place}/alerter.yml"), "rules: [");
        assert!(alerter.contains("connections.yml") && !alerter.contains("operators.yml"), "{alerter}");
    }
    assert!(!read("rules/operators.yml").contains("connection_id"), "an aggregate has no connection");
    assert!(
        !read("rules/connections.yml").contains("notify-operator"),
        "what is of a connection is not for operators"
    );
}
