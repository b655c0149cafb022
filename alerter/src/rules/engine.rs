//! Evaluates the rules of a set over a window of samples.

use std::sync::Arc;

use promql::{Labels, METRIC_NAME, Query, Sample, Value, Window};

use super::{Book, Changes, Failure, Group, Kind, Rule, RuleSet, Schedule};

/// The series that Prometheus writes of alerts.
const ALERTS: &str = "ALERTS";
/// The series that says since when an alert is active.
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// What a look at the targets is worth as evidence of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Every target was read and says that it has seen everything: what is absent is gone.
    Clear,
    /// Something could not be read, or is not warm: absence proves nothing.
    Blind,
}

/// How one rule's evaluation went.
#[derive(Debug)]
pub struct Evaluated {
    /// Rules that were evaluated.
    pub rules: usize,
    /// What failed, with the rule's name.
    pub failures: Vec<(String, Failure)>,
}

/// A rule set at work on a window.
pub struct Engine {
    book: Book,
    window: Window,
    /// Whether some rule reads the series of alerts, which cost much where there are many.
    alerts_are_read: bool,
    schedule: Schedule,
}

impl Engine {
    /// An engine for the rules of `book`.
    pub fn new(book: Book) -> Self {
        let set = book.set().clone();
        let schedule = Schedule::new(set.groups.len());
        Self { window: window(&set), alerts_are_read: reads_alerts(&set), book, schedule }
    }

    /// An engine that keeps every sample, for tests of rules.
    pub fn unbounded(book: Book) -> Self {
        Self { window: Window::unbounded(), alerts_are_read: true, ..Self::new(book) }
    }

    /// What is pending and firing.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What is pending and firing, to restore it.
    pub fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// The samples.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The samples, to append to them.
    pub fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Goes over to another rule set; samples that both read are kept.
    pub fn replace(&mut self, set: Arc<RuleSet>) -> Changes {
        let mut next = window(&set);
        next.take_over(&self.window);
        self.window = next;
        self.alerts_are_read = reads_alerts(&set);
        self.schedule.replace(set.groups.len(), set.looks_farther_than(self.book.set()));
        self.book.replace(set)
    }

    /// Evaluates the groups that are due at `at` (milliseconds), after the samples of that time were appended.
    /// `interval` is that of groups which name none.
    pub fn evaluate(&mut self, at: i64, interval: i64, sight: Sight, changes: &mut Changes) -> Evaluated {
        self.schedule.look(at, interval, sight);
        self.book.resume(at, changes);
        let mut evaluated = Evaluated { rules: 0, failures: Vec::new() };
        let set = self.book.set().clone();
        for (n, group) in set.groups.iter().enumerate() {
            if !self.schedule.due(n, group, at, interval) {
                continue;
            }
            for rule in &group.rules {
                evaluated.rules += 1;
                let may_end = self.schedule.may_end(at, rule.range_ms());
                if let Err(failure) = self.rule(group, rule, at, may_end, changes) {
                    evaluated.failures.push((rule.name().to_owned(), failure));
                }
            }
        }
        if evaluated.rules > 0 {
            self.book.evaluated(at, changes);
        }
        evaluated
    }

    /// Evaluates one rule; where it fails nothing changed.
    pub(super) fn rule(
        &mut self,
        group: &Group,
        rule: &Rule,
        at: i64,
        may_end: bool,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        let offset = i64::try_from(group.query_offset.as_millis()).unwrap_or(0);
        let when = at.saturating_sub(offset);
        let result = match rule.expr.query(&self.window, &Query::at(when)) {
            Ok(Value::Vector(samples)) => samples,
            Ok(Value::Scalar(value)) => vec![Sample { labels: Labels::empty(), value }],
            Ok(_) => return Err(Failure::Evaluation("rule result is not a vector or scalar".to_owned())),
            Err(error) => return Err(Failure::Evaluation(error.to_string())),
        };
        match &rule.kind {
            Kind::Recording(name) => self.record(name, group, rule, result, when),
            Kind::Alerting(_) => {
                self.book.apply(rule, group.limit, result, at, may_end, changes)?;
                if self.alerts_are_read {
                    self.write_alerts(rule, when);
                }
                Ok(())
            }
        }
    }

    /// Evaluates all groups at `at` as promtool's unit tests do: at every step, with an end for whatever is absent.
    pub(super) fn evaluate_all(&mut self, at: i64) -> Vec<(String, Failure)> {
        let (mut failures, mut changes) = (Vec::new(), Changes::default());
        let set = self.book.set().clone();
        for group in &set.groups {
            for rule in &group.rules {
                if let Err(failure) = self.rule(group, rule, at, true, &mut changes) {
                    if matches!(failure, Failure::Limit { .. }) {
                        self.book.clear(rule);
                    }
                    failures.push((rule.name().to_owned(), failure));
                }
            }
        }
        failures
    }

    fn record(
        &mut self,
        name: &str,
        group: &Group,
        rule: &Rule,
        result: Vec<Sample>,
        at: i64,
    ) -> Result<(), Failure> {
        let mut series = std::collections::HashMap::with_capacity(result.len());
        for sample in result {
            let mut labels = sample.labels.with(METRIC_NAME, name);
            for (label, template) in &rule.labels {
                labels = labels.with(label, template.plain().unwrap_or_default());
            }
            if series.insert(labels, sample.value).is_some() {
                return Err(Failure::Duplicate);
            }
        }
        if group.limit > 0 && series.len() > group.limit {
            return Err(Failure::Limit { limit: group.limit, count: series.len() });
        }
        self.window.append(&target(rule), at, series);
        Ok(())
    }

    /// Writes what Prometheus writes of alerts.
    pub(super) fn write_alerts(&mut self, rule: &Rule, at: i64) {
        let mut samples = Vec::new();
        for (labels, instance) in self.book.alerts(rule) {
            let state = if instance.fired_at.is_some() { "firing" } else { "pending" };
            samples.push((labels.with("alertstate", state).with(METRIC_NAME, ALERTS), 1.0));
            let since = instance.active_at.div_euclid(1000) as f64;
            samples.push((labels.with(METRIC_NAME, ALERTS_FOR_STATE), since));
        }
        self.window.append(&target(rule), at, samples);
    }
}

/// The name under which a rule's own series stand in the window.
fn target(rule: &Rule) -> String {
    format!("rule {}", rule.identity)
}

fn window(set: &RuleSet) -> Window {
    let slack = set.groups.iter().map(|group| group.query_offset.as_millis()).max().unwrap_or(0);
    Window::new(set.selectors()).slack(i64::try_from(slack).unwrap_or(0))
}

fn reads_alerts(set: &RuleSet) -> bool {
    set.selectors().any(|selector| selector.metric_name().is_none_or(|name| name.starts_with(ALERTS)))
}
