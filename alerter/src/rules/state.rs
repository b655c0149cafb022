//! What is pending and firing of one alerting rule.
//!
//! The steps are those of Prometheus's `AlertingRule.Eval`. Only the end differs: while the source says
//! that absence proves nothing (`may_end`), what has no result stays as it is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use promql::{Labels, Sample};
use serde::{Deserialize, Serialize};

use super::{
    Alerting, Externals, Rule,
    template::{Data, Template},
};

/// Why an evaluation changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The expression could not be evaluated.
    #[error("{0}")]
    Evaluation(String),
    /// Two elements of the result differ only in labels that the rule overwrites.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    Duplicate,
    /// More results than the group's limit.
    #[error("exceeded limit of {limit} with {count} alerts")]
    Limit {
        /// The group's limit.
        limit: usize,
        /// How many there were.
        count: usize,
    },
}

/// One alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instance {
    /// The labels of the sample, of which templates speak.
    pub(super) sample: Labels,
    pub(super) value: f64,
    /// Since when the expression has this result, in milliseconds.
    pub(super) active_at: i64,
    /// Since when it fires.
    pub(super) fired_at: Option<i64>,
    /// Since when it fires only because of `keep_firing_for`.
    pub(super) keeping_since: Option<i64>,
    /// The evaluation that saw it last.
    seen: u64,
}

/// What is kept of an alert in the store.
#[derive(Serialize, Deserialize)]
struct Row {
    /// The labels of the sample.
    labels: BTreeMap<String, String>,
    /// What the rule made of them: labels added or changed.
    alert: BTreeMap<String, String>,
    /// The bits of the value: JSON has no infinities.
    value: u64,
    active_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fired_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keeping_since: Option<i64>,
}

/// What one evaluation changed; all by the labels of the alert.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Began to fire, or fires with another value.
    pub(super) firing: Vec<Labels>,
    /// Fired and does not any more.
    pub(super) ended: Vec<(Labels, Instance)>,
    /// Whose row must be written or, if the alert is gone, deleted.
    pub(super) rows: Vec<Labels>,
}

/// The alerts of one rule.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    active: HashMap<Labels, Instance>,
    /// The labels of the alert by those of the sample: what is known need not be made again.
    made: HashMap<Labels, Labels>,
    evaluations: u64,
}

impl Alerts {
    /// Takes the result of one evaluation at `at` (milliseconds).
    pub(super) fn step(
        &mut self,
        making: &Making<'_>,
        limit: usize,
        result: Vec<Sample>,
        at: i64,
        may_end: bool,
    ) -> Result<Step, Failure> {
        let constant = making.fixed.is_some();
        let mut found = Vec::with_capacity(result.len());
        let mut distinct = HashSet::with_capacity(result.len());
        for sample in result {
            let labels = match self.made.get(&sample.labels) {
                Some(labels) if constant => labels.clone(),
                _ => making.labels(&sample),
            };
            if !distinct.insert(labels.clone()) {
                return Err(Failure::Duplicate);
            }
            found.push((labels, sample));
        }
        let gone = |labels: &Labels| !distinct.contains(labels);
        let kept = self.active.keys().filter(|labels| !may_end && gone(labels)).count();
        if limit > 0 && found.len() + kept > limit {
            return Err(Failure::Limit { limit, count: found.len() + kept });
        }

        self.evaluations += 1;
        let mut step = Step::default();
        let hold = i64::try_from(making.alerting.hold.as_millis()).unwrap_or(i64::MAX);
        let keep = i64::try_from(making.alerting.keep_firing.as_millis()).unwrap_or(i64::MAX);
        for (labels, sample) in found {
            let (seen, value) = (self.evaluations, sample.value);
            let mut changed = false;
            let instance = self.active.entry(labels.clone()).or_insert_with(|| {
                changed = true;
                let sample = Labels::empty();
                Instance { sample, value, active_at: at, fired_at: None, keeping_since: None, seen }
            });
            if instance.sample != sample.labels {
                if constant {
                    self.made.remove(&instance.sample);
                    self.made.insert(sample.labels.clone(), labels.clone());
                }
                instance.sample = sample.labels;
            }
            instance.seen = seen;
            let mut tell = false;
            if instance.value.to_bits() != value.to_bits() {
                instance.value = value;
                (changed, tell) = (true, instance.fired_at.is_some());
            }
            if instance.keeping_since.take().is_some() {
                changed = true;
            }
            if instance.fired_at.is_none() && at.saturating_sub(instance.active_at) >= hold {
                instance.fired_at = Some(at);
                (changed, tell) = (true, true);
            }
            if tell {
                step.firing.push(labels.clone());
            }
            if changed {
                step.rows.push(labels);
            }
        }
        if may_end {
            self.end(at, keep, &mut step);
        }
        Ok(step)
    }

    /// Ends what this evaluation did not see, but for what goes on firing a while.
    fn end(&mut self, at: i64, keep: i64, step: &mut Step) {
        let current = self.evaluations;
        let mut over = Vec::new();
        for (labels, instance) in self.active.iter_mut().filter(|(_, instance)| instance.seen != current) {
            if instance.fired_at.is_some() && keep > 0 {
                let since = *instance.keeping_since.get_or_insert_with(|| {
                    step.rows.push(labels.clone());
                    at
                });
                if at.saturating_sub(since) < keep {
                    continue;
                }
            }
            over.push(labels.clone());
        }
        for labels in over {
            let Some(instance) = self.active.remove(&labels) else { continue };
            self.made.remove(&instance.sample);
            step.rows.push(labels.clone());
            if instance.fired_at.is_some() {
                step.ended.push((labels, instance));
            }
        }
    }

    pub(super) fn get(&self, labels: &Labels) -> Option<&Instance> {
        self.active.get(labels)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Labels, &Instance)> {
        self.active.iter()
    }

    /// The row of an alert.
    pub(super) fn row(&self, rule: &Rule, labels: &Labels) -> AlertRow {
        AlertRow {
            rule: rule.identity.clone(),
            labels: labels.clone(),
            instance: self.active.get(labels).cloned(),
        }
    }

    /// The rows of all alerts.
    pub(super) fn rows(&self, rule: &Rule) -> impl Iterator<Item = AlertRow> {
        self.active.iter().map(|(labels, instance)| AlertRow {
            rule: rule.identity.clone(),
            labels: labels.clone(),
            instance: Some(instance.clone()),
        })
    }

    /// Puts back what the body of an [`AlertRow`] says; `false` if that cannot be read.
    pub(super) fn restore(&mut self, body: &[u8]) -> bool {
        let Some((labels, instance)) = read_row(body) else { return false };
        self.active.insert(labels, instance);
        true
    }

    /// Forgets what is pending; its labels.
    pub(super) fn forget_pending(&mut self) -> Vec<Labels> {
        let pending: Vec<_> =
            self.active.iter().filter(|(_, i)| i.fired_at.is_none()).map(|(l, _)| l.clone()).collect();
        for labels in &pending {
            if let Some(instance) = self.active.remove(labels) {
                self.made.remove(&instance.sample);
            }
        }
        pending
    }

    pub(super) fn clear(&mut self) {
        self.active.clear();
        self.made.clear();
    }
}

/// The row of an alert.
#[derive(Clone)]
pub(crate) struct AlertRow {
    /// The identity of the rule.
    pub(super) rule: Arc<str>,
    /// The labels of the alert.
    pub(super) labels: Labels,
    /// `None` if there is no such alert any more.
    pub(super) instance: Option<Instance>,
}

impl AlertRow {
    /// The key is unique among those of all rules.
    pub(crate) fn key(&self) -> String {
        format!("{}/{:016x}", self.rule, fingerprint(self.labels.iter()))
    }

    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let instance = self.instance.as_ref()?;
        let (labels, sample) = (self.labels.iter(), &instance.sample);
        let row = Row {
            labels: to_map(sample),
            alert: labels.filter(|(name, value)| sample.get(name) != Some(value)).map(owned).collect(),
            value: instance.value.to_bits(),
            active_at: instance.active_at,
            fired_at: instance.fired_at,
            keeping_since: instance.keeping_since,
        };
        serde_json::to_vec(&row).ok()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.instance.is_none()
    }
}

/// The labels of an alert and the alert, from its row.
pub(super) fn read_row(body: &[u8]) -> Option<(Labels, Instance)> {
    let row = serde_json::from_slice::<Row>(body).ok()?;
    let labels = Labels::new(row.labels.iter().chain(&row.alert)).without_metric_name();
    let sample = Labels::new(row.labels.iter());
    let Row { active_at, fired_at, keeping_since, .. } = row;
    Some((
        labels,
        Instance { sample, value: f64::from_bits(row.value), active_at, fired_at, keeping_since, seen: 0 },
    ))
}

/// What alerts are made with.
pub(super) struct Making<'a> {
    pub(super) rule: &'a Rule,
    pub(super) alerting: &'a Alerting,
    pub(super) externals: &'a Externals,
    /// What the rule adds, if that is the same for all its alerts: they share its memory.
    fixed: Option<Labels>,
}

impl<'a> Making<'a> {
    pub(super) fn new(rule: &'a Rule, alerting: &'a Alerting, externals: &'a Externals) -> Self {
        // An empty text removes a label.
        let plain = |(name, template): &'a (String, Template)| {
            Some((name.as_str(), template.plain().filter(|text| !text.is_empty())?))
        };
        let fixed: Option<Vec<_>> = rule.labels.iter().map(plain).collect();
        let fixed = fixed.map(|fixed| Labels::new(fixed).with("alertname", &alerting.name));
        Self { rule, alerting, externals, fixed }
    }

    /// The labels of an alert: those of the sample without the metric's name, those of the rule, and its name.
    fn labels(&self, sample: &Sample) -> Labels {
        let mut labels = sample.labels.without_metric_name();
        if let Some(fixed) = &self.fixed {
            return labels.with_all(fixed);
        }
        let mut map = None;
        for (name, template) in &self.rule.labels {
            match template.plain() {
                Some(text) => labels = labels.with(name, text),
                None => {
                    let map = map.get_or_insert_with(|| to_map(&sample.labels));
                    labels = labels.with(name, &template.expand(&data(map, self.externals, sample.value)));
                }
            }
        }
        labels.with("alertname", &self.alerting.name)
    }
}

pub(super) fn to_map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(owned).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What a template may speak of.
pub(super) fn data<'a>(
    labels: &'a BTreeMap<String, String>,
    externals: &'a Externals,
    value: f64,
) -> Data<'a> {
    Data { labels, external_labels: &externals.labels, external_url: &externals.url, value }
}

/// Prometheus's fingerprint of a label set: FNV-1a of 64 bits over names and values in order, each
/// followed by a byte 255.
pub fn fingerprint<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in labels {
        for text in [name, value] {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    hash
}
