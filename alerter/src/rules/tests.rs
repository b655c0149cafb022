//! What a book says about results over time; the expressions themselves are `promql`'s.

use std::sync::Arc;

use promql::{Labels, Sample};

use super::*;
use crate::demand::{Action, Demand, Subject};

const TEMPLATES: [&str; 2] = ["locked", "ready"];

fn book(rule: &str) -> Book {
    let text = format!("groups:\n  - name: g\n    limit: 3\n    rules:\n{rule}");
    let set = RuleSet::parse("test.yml", &text, Some(&TEMPLATES)).unwrap();
    Book::new("embedded".into(), Arc::new(set))
}

const HELD: &str = r#"
      - alert: Locked
        expr: failing
        for: 1m
        keep_firing_for: 2m
        labels: { action: notify-user, severity: info }
        annotations: { template: locked, summary: "{{ $labels.connection_id }} since {{ $value }}" }
"#;

fn failing(connection: &str, value: f64) -> Sample {
    let labels = [("__name__", "failing"), ("connection_id", connection), ("user_id", "u1")];
    Sample { labels: Labels::new(labels), value }
}

fn step(book: &mut Book, second: i64, result: &[Sample], may_end: bool) -> Changes {
    let mut changes = Changes::default();
    let set = book.set().clone();
    let (group, rule) = set.rules().next().unwrap();
    book.apply(rule, group.limit, result.to_vec(), second * 1000, may_end, &mut changes).unwrap();
    changes
}

fn names(demands: &[Demand]) -> Vec<&str> {
    demands.iter().filter_map(|demand| demand.labels.get("connection_id")).collect()
}

#[test]
fn an_alert_is_held_fires_once_is_kept_and_ends() {
    let mut book = book(HELD);
    let c1 = [failing("c1", 5.0)];
    assert!(step(&mut book, 0, &c1, true).firing.is_empty());
    assert!(step(&mut book, 45, &c1, true).firing.is_empty());
    let fired = step(&mut book, 60, &c1, true).firing;
    let [demand] = &*fired else { panic!("{fired:?}") };
    assert_eq!((demand.action, demand.template.as_deref()), (Action::NotifyUser, Some("locked")));
    assert_eq!(demand.subject, Subject::Connection { connection: "c1".into(), user: "u1".into() });
    assert_eq!(demand.annotations.rendered()["summary"], "c1 since 5");
    assert_eq!(demand.starts_at.as_second(), 60);
    assert!(demand.labels.metric_name().is_none());
    assert!(step(&mut book, 75, &c1, true).firing.is_empty(), "it is told once");
    assert_eq!(
        names(&step(&mut book, 90, &[failing("c1", 6.0)], true).firing),
        ["c1"],
        "and again with another text"
    );
    assert!(step(&mut book, 105, &[], true).ended.is_empty());
    assert!(step(&mut book, 224, &[], true).ended.is_empty());
    assert_eq!(names(&step(&mut book, 225, &[], true).ended), ["c1"]);
    assert_eq!(book.counts(), (0, 0));
}

#[test]
fn what_is_pending_begins_anew_after_one_absence() {
    let mut book = book(HELD);
    step(&mut book, 0, &[failing("c1", 5.0)], true);
    step(&mut book, 15, &[], true);
    assert!(step(&mut book, 60, &[failing("c1", 5.0)], true).firing.is_empty());
}

#[test]
fn nothing_ends_while_absence_proves_nothing() {
    let mut book = book(HELD);
    for second in [0, 60] {
        step(&mut book, second, &[failing("c1", 5.0)], true);
    }
    for second in [75, 1000, 100_000] {
        let changes = step(&mut book, second, &[], false);
        assert!(changes.ended.is_empty() && changes.state.is_empty());
    }
    // Holding on begins with the first absence that counts.
    assert!(step(&mut book, 100_015, &[], true).ended.is_empty());
    assert_eq!(names(&step(&mut book, 100_135, &[], true).ended), ["c1"]);
}

#[test]
fn state_rows_bring_everything_back() {
    let mut before = book(HELD);
    let mut rows = std::collections::BTreeMap::new();
    let c = [failing("c1", 5.0), failing("c2", f64::NAN)];
    for (second, result) in [(0, &c[..1]), (60, &c[..])] {
        for row in step(&mut before, second, result, true).state {
            rows.insert(row.key().into_owned(), row.body().unwrap().into_owned());
        }
    }
    let mut after = book(HELD);
    let changes = after.restore(rows.iter().map(|(key, body)| (&**key, &**body)));
    assert!(changes.ended.is_empty() && changes.state.is_empty());
    assert_eq!(after.counts(), (1, 1));
    assert_eq!(after.firing(), before.firing());
    assert_eq!(names(&step(&mut after, 120, &c, true).firing), ["c2"], "the minute of c2 counts from before");
    for row in
        step(&mut after, 300, &[], true).state.into_iter().chain(step(&mut after, 500, &[], true).state)
    {
        match row.body() {
            Some(body) => rows.insert(row.key().into_owned(), body.into_owned()),
            None => rows.remove(&*row.key()),
        };
    }
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn rows_of_a_rule_that_is_gone_end_what_they_held() {
    let mut before = book(HELD);
    let mut rows = Vec::new();
    for second in [0, 60] {
        rows = step(&mut before, second, &[failing("c1", 5.0)], true).state;
    }
    let other = HELD.replace("for: 1m", "for: 2m");
    let mut after = book(&other);
    let rows: Vec<_> = rows.iter().map(|row| (row.key(), row.body().unwrap())).collect();
    let changes = after.restore(rows.iter().map(|(key, body)| (&**key, &**body)));
    assert_eq!(names(&changes.ended), ["c1"]);
    assert_eq!(changes.ended[0].action, Action::NotifyUser);
    assert_eq!(changes.ended[0].fingerprint, before.firing()[0].fingerprint);
    assert_eq!(changes.state, [crate::demand::StateRow::new(&*rows[0].0, None)]);
}

#[test]
fn reload_keeps_the_state_of_rules_whose_meaning_is_the_same() {
    let mut book = book(HELD);
    for second in [0, 60] {
        step(&mut book, second, &[failing("c1", 5.0)], true);
    }
    let reworded = HELD.replace("since", "from");
    let changes = book.replace(self::book(&reworded).set().clone());
    assert!(changes.ended.is_empty());
    assert_eq!(book.firing()[0].annotations.rendered()["summary"], "c1 from 5");
    let changes =
        book.replace(self::book(&reworded.replace("expr: failing", "expr: failing > 1")).set().clone());
    assert_eq!(names(&changes.ended), ["c1"]);
    assert_eq!(book.counts(), (0, 0));
}

#[test]
fn a_result_that_alerts_cannot_be_made_of_changes_nothing() {
    let mut book = book(HELD);
    step(&mut book, 0, &[failing("c1", 5.0)], true);
    let set = book.set().clone();
    let (group, rule) = set.rules().next().unwrap();
    let many: Vec<_> = (0..4).map(|n| failing(&format!("c{n}"), 1.0)).collect();
    let mut changes = Changes::default();
    let failure = book.apply(rule, group.limit, many, 60_000, true, &mut changes).unwrap_err();
    assert_eq!(failure, Failure::Limit { limit: 3, count: 4 });
    let mut twin = failing("c1", 1.0);
    twin.labels = twin.labels.with("severity", "other");
    let failure =
        book.apply(rule, 0, vec![failing("c1", 5.0), twin], 60_000, true, &mut changes).unwrap_err();
    assert_eq!(failure, Failure::Duplicate);
    assert!(changes.firing.is_empty() && changes.state.is_empty());
    assert_eq!(book.counts(), (1, 0));
}

#[test]
fn after_a_long_outage_what_was_pending_begins_anew() {
    let mut book = book(HELD);
    let mut changes = Changes::default();
    step(&mut book, 0, &[failing("c1", 5.0)], true);
    book.evaluated(0, &mut changes);
    book.resume(3_600_000, &mut changes);
    assert_eq!(book.counts(), (1, 0));
    book.resume(3_600_001, &mut changes);
    assert_eq!(book.counts(), (0, 0));
}

#[test]
fn the_fingerprint_is_prometheuss() {
    // From a real Alertmanager's webhook.
    let labels = Labels::new([
        ("alertname", "AlwaysFiring"),
        ("cluster", "loop"),
        ("connection_id", "c-0001"),
        ("institution_id", "AU00000"),
        ("severity", "critical"),
    ]);
    assert_eq!(format!("{:016x}", fingerprint(labels.iter())), "98f03e7c2aebc413");
}

#[test]
fn all_errors_at_once_with_line_group_and_rule() {
    let text = r#"
groups:
  - name: a
    intervall: 1m
    rules:
      - alert: One
        expr: up ==
        labels: { action: notify-users }
      - alert: Two
        expr: up
        for: 5 min
        labels: { action: notify-user }
        annotations:
          template: lokced
          summary: "{{ $nope }}"
      - record: x
        expr: up
        for: 1m
  - name: a
    rules:
      - { alert: Three, record: y, expr: "up[5m]" }
"#;
    let errors = RuleSet::parse("f.yml", text, Some(&TEMPLATES)).unwrap_err();
    let found: Vec<_> =
        errors.0.iter().map(|e| (e.line, e.rule.as_deref().unwrap_or("-"), e.message.as_str())).collect();
    let expected = [
        (4, "-", "unknown key \"intervall\""),
        (7, "One", "expr: "),
        (8, "One", "action: there is no such action"),
        (11, "Two", "for: "),
        (14, "Two", "template: there is no message template \"lokced\""),
        (15, "Two", "the template of annotation \"summary\": undefined variable"),
        (16, "x", "a recording rule cannot have `for`"),
        (21, "y", "not both"),
        (19, "-", "used twice"),
    ];
    for (line, rule, message) in expected {
        assert!(
            found.iter().any(|(l, r, m)| *l == line && *r == rule && m.contains(message)),
            "{line} {rule} {message}: {found:#?}"
        );
    }
    assert!(errors.to_string().contains("f.yml:14: group \"a\", rule \"Two\": template: "), "{errors}");
}

#[test]
fn what_prometheus_accepts_without_demands_is_accepted() {
    let text =
        "groups: [{name: g, labels: {team: x}, rules: [{alert: A, expr: up, labels: {severity: 1.0}}]}]";
    let set = RuleSet::parse("f.yml", text, None).unwrap();
    let (_, rule) = set.rules().next().unwrap();
    let labels: Vec<_> = rule.labels.iter().map(|(name, t)| (name.as_str(), t.plain().unwrap())).collect();
    assert_eq!(labels, [("severity", "1.0"), ("team", "x")]);
    for empty in ["", "groups:\n", "# nothing\n"] {
        assert!(RuleSet::parse("f.yml", empty, None).unwrap().groups.is_empty());
    }
    let set = RuleSet::parse("f.yml", text, Some(&TEMPLATES)).unwrap();
    let warning = "f.yml:1: rule \"A\" has no label `action`, so it asks for nothing (`action: none` says that this is meant)";
    assert_eq!(set.warnings, [warning]);
    let meant = text.replace("severity: 1.0", "action: none");
    let set = RuleSet::parse("f.yml", &meant, Some(&TEMPLATES)).unwrap();
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let (_, rule) = set.rules().next().unwrap();
    assert!(matches!(&rule.kind, Kind::Alerting(alerting) if alerting.ask.is_none()));
}

#[test]
fn files_are_found_or_it_is_said_which_are_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yml"), "groups: []").unwrap();
    let found = files(dir.path(), &["*.yml".to_owned(), "a.yml".to_owned()]).unwrap();
    assert_eq!(found, [dir.path().join("a.yml")]);
    let error = files(dir.path(), &["none/*.yml".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("none/*.yml: no rule file"), "{error}");
    std::fs::create_dir(dir.path().join("none")).unwrap();
    let error = files(dir.path(), &["none/*.yml".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("no rule file has this name"), "{error}");
}
