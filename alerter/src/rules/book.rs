//! What all rules of a source have pending and firing, and what changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use daemon::Timestamp;
use promql::{Labels, Sample};

use super::{
    Alerting, Externals, Failure, Kind, Rule, RuleSet,
    state::{AlertRow, Alerts, Instance, Making, fingerprint, read_row, to_map},
};
use crate::demand::{Action, Annotations, Demand, Describe as _, Numbers, StateRow, Subject};

/// The key of the row that says when rules were last evaluated.
const LAST: &str = "last";
/// What was pending longer ago than this begins anew, as in Prometheus (`--rules.alert.for-outage-tolerance`).
const OUTAGE_TOLERANCE_MS: i64 = 3_600_000;

/// The alerts of a rule set. Pure: time and results come in, changes go out.
#[derive(Debug)]
pub struct Book {
    source: Arc<str>,
    set: Arc<RuleSet>,
    externals: Externals,
    /// By identity of the rule.
    alerts: HashMap<Arc<str>, Alerts>,
    /// When any rule was last evaluated, in milliseconds; restored from the store.
    last: Option<i64>,
}

/// What happened since the changes were last taken.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Began to fire, or fires with another text.
    pub firing: Vec<Demand>,
    /// Fired and does not any more.
    pub ended: Vec<Demand>,
    /// State rows to keep.
    pub state: Vec<StateRow>,
}

impl Changes {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.ended.is_empty() && self.state.is_empty()
    }

    /// Adds what happened later. Of each state row the last body counts, and what fires again has not ended.
    pub fn then(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        let again: HashSet<_> =
            later.firing.iter().map(|demand| (&demand.rule, demand.fingerprint)).collect();
        self.ended.retain(|demand| !again.contains(&(&demand.rule, demand.fingerprint)));
        let over: HashSet<_> = later.ended.iter().map(|demand| (&demand.rule, demand.fingerprint)).collect();
        self.firing.retain(|demand| {
            !over.contains(&(&demand.rule, demand.fingerprint))
                && !again.contains(&(&demand.rule, demand.fingerprint))
        });
        if !self.state.is_empty() {
            let rows: HashSet<_> = later.state.iter().map(StateRow::key).collect();
            self.state.retain(|row| !rows.contains(&row.key()));
        }
        self.firing.extend(later.firing);
        self.ended.extend(later.ended);
        self.state.extend(later.state);
    }
}

impl Book {
    /// An empty book of `source`.
    pub fn new(source: Arc<str>, set: Arc<RuleSet>) -> Self {
        Self { source, set, externals: Externals::default(), alerts: HashMap::new(), last: None }
    }

    /// The same with what templates can say of the installation.
    #[must_use]
    pub fn externals(mut self, externals: Externals) -> Self {
        self.set = self.set.with_externals(&externals);
        self.externals = externals;
        self
    }

    /// The rules.
    pub fn set(&self) -> &Arc<RuleSet> {
        &self.set
    }

    /// Puts back the rows of the store. Rows of rules that are not there any more end what they held.
    pub fn restore<'a>(&mut self, rows: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Changes {
        let set = self.set.clone();
        let rules: HashSet<&str> = set.rules().map(|(_, rule)| &*rule.identity).collect();
        let mut changes = Changes::default();
        for (key, body) in rows {
            if key == LAST {
                self.last = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
                continue;
            }
            let identity = key.split_once('/').map_or(key, |(identity, _)| identity);
            if !rules.contains(identity) {
                changes.ended.extend(self.orphan(body));
                changes.state.push(StateRow::new(key, None));
            } else if !self.alerts.entry(identity.into()).or_default().restore(body) {
                tracing::warn!(key, "a state row of a rule cannot be read and is dropped");
                changes.state.push(StateRow::new(key, None));
            }
        }
        changes
    }

    /// Goes over to another rule set. Rules that did not change keep their state; what the others had
    /// firing has ended.
    pub fn replace(&mut self, set: Arc<RuleSet>) -> Changes {
        let mut changes = Changes::default();
        let set = if self.externals.is_empty() { set } else { set.with_externals(&self.externals) };
        let old = std::mem::replace(&mut self.set, set.clone());
        let stays: HashSet<&str> = set.rules().map(|(_, rule)| &*rule.identity).collect();
        for (_, rule) in old.rules().filter(|(_, rule)| !stays.contains(&*rule.identity)) {
            let Kind::Alerting(alerting) = &rule.kind else { continue };
            let Some(alerts) = self.alerts.remove(&rule.identity) else { continue };
            for (labels, instance) in alerts.iter() {
                changes.state.push(gone(&rule.identity, labels));
                if instance.fired_at.is_some() {
                    changes.ended.extend(self.demand(rule, alerting, labels, instance));
                }
            }
        }
        changes
    }

    /// Takes the result of a rule's expression at `at` (milliseconds).
    ///
    /// With `may_end` false nothing ends that has no result.
    ///
    /// # Errors
    /// The result is none that alerts can be made of; nothing changed.
    pub fn apply(
        &mut self,
        rule: &Rule,
        limit: usize,
        result: Vec<Sample>,
        at: i64,
        may_end: bool,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        let Kind::Alerting(alerting) = &rule.kind else { return Ok(()) };
        let alerts = self.alerts.entry(rule.identity.clone()).or_default();
        let making = Making::new(rule, alerting, &self.externals);
        let step = alerts.step(&making, limit, result, at, may_end)?;
        for labels in &step.rows {
            changes.state.push(StateRow::alert(alerts.row(rule, labels)));
        }
        let Some(alerts) = self.alerts.get(&rule.identity) else { return Ok(()) };
        for labels in &step.firing {
            if let Some(instance) = alerts.get(labels) {
                changes.firing.extend(self.demand(rule, alerting, labels, instance));
            }
        }
        for (labels, instance) in &step.ended {
            changes.ended.extend(self.demand(rule, alerting, labels, instance));
        }
        Ok(())
    }

    /// To be called before an evaluation at `at`: after a long outage nobody knows whether what was pending
    /// has been so all the time, so it begins anew.
    pub fn resume(&mut self, at: i64, changes: &mut Changes) {
        if self.last.is_none_or(|last| at - last <= OUTAGE_TOLERANCE_MS) {
            return;
        }
        for (identity, alerts) in &mut self.alerts {
            changes.state.extend(alerts.forget_pending().iter().map(|labels| gone(identity, labels)));
        }
    }

    /// Notes that an evaluation of the set was made.
    pub fn evaluated(&mut self, at: i64, changes: &mut Changes) {
        self.last = Some(at);
        changes.state.push(StateRow::new(LAST, Some(at.to_string().into_bytes())));
    }

    /// Everything that fires.
    pub fn firing(&self) -> Vec<Demand> {
        let mut firing = Vec::new();
        for (_, rule) in self.set.rules() {
            let (Kind::Alerting(alerting), Some(alerts)) = (&rule.kind, self.alerts.get(&rule.identity))
            else {
                continue;
            };
            for (labels, instance) in alerts.iter().filter(|(_, instance)| instance.fired_at.is_some()) {
                firing.extend(self.demand(rule, alerting, labels, instance));
            }
        }
        firing
    }

    /// The rows of everything that is pending or fires.
    pub fn rows(&self) -> Vec<StateRow> {
        let mut rows = Vec::new();
        for (_, rule) in self.set.rules() {
            let alerts = self.alerts.get(&rule.identity).into_iter().flat_map(|alerts| alerts.rows(rule));
            rows.extend(alerts.map(StateRow::alert));
        }
        rows
    }

    /// How many alerts are pending and how many fire.
    pub fn counts(&self) -> (usize, usize) {
        let all = self.alerts.values().flat_map(Alerts::iter);
        all.fold((0, 0), |(pending, firing), (_, instance)| match instance.fired_at {
            None => (pending + 1, firing),
            Some(_) => (pending, firing + 1),
        })
    }

    /// The alerts of a rule as the series that Prometheus writes of them: labels, whether it fires, since when.
    pub(super) fn alerts(&self, rule: &Rule) -> impl Iterator<Item = (&Labels, &Instance)> {
        self.alerts.get(&rule.identity).into_iter().flat_map(Alerts::iter)
    }

    /// Forgets the alerts of a rule, as Prometheus does when a limit is exceeded.
    pub(super) fn clear(&mut self, rule: &Rule) {
        if let Some(alerts) = self.alerts.get_mut(&rule.identity) {
            alerts.clear();
        }
    }

    fn demand(
        &self,
        rule: &Rule,
        alerting: &Alerting,
        labels: &Labels,
        instance: &Instance,
    ) -> Option<Demand> {
        let ask = alerting.ask.as_ref()?;
        let at = instance.fired_at.unwrap_or(instance.active_at);
        Some(Demand {
            source: self.source.clone(),
            rule: alerting.name.clone(),
            definition: rule.identity.clone(),
            action: ask.action,
            subject: subject(labels),
            labels: labels.clone(),
            annotations: Annotations::due(
                alerting.annotations.clone(),
                instance.sample.clone(),
                instance.value,
            ),
            template: ask.template.clone(),
            closing_template: ask.closing_template.clone(),
            numbers: ask.numbers.clone(),
            starts_at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
            fingerprint: fingerprint(labels.iter()),
        })
    }

    /// Labels and annotations of all alerts called `name` that fire, whatever they ask for.
    pub(super) fn firing_named(
        &self,
        name: &str,
    ) -> Vec<(BTreeMap<String, String>, BTreeMap<String, String>)> {
        let mut firing = Vec::new();
        for (_, rule) in self.set.rules() {
            let Kind::Alerting(alerting) = &rule.kind else { continue };
            if &*alerting.name == name {
                let alerts = self.alerts(rule).filter(|(_, instance)| instance.fired_at.is_some());
                let texts = &alerting.annotations;
                firing.extend(alerts.map(|(labels, i)| (to_map(labels), texts.describe(&i.sample, i.value))));
            }
        }
        firing
    }

    /// What the row of a rule that is gone says had been firing: enough to end it.
    fn orphan(&self, body: &[u8]) -> Option<Demand> {
        let (labels, instance) = read_row(body)?;
        let at = instance.fired_at?;
        Some(Demand {
            source: self.source.clone(),
            rule: labels.get("alertname")?.into(),
            definition: Arc::default(),
            action: Action::parse(labels.get("action")?)?,
            subject: subject(&labels),
            labels: labels.clone(),
            annotations: Annotations::default(),
            template: None,
            closing_template: None,
            numbers: Arc::new(Numbers::default()),
            starts_at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
            fingerprint: fingerprint(labels.iter()),
        })
    }
}

/// The row that deletes that of an alert.
fn gone(rule: &Arc<str>, labels: &Labels) -> StateRow {
    StateRow::alert(AlertRow { rule: rule.clone(), labels: labels.clone(), instance: None })
}

fn subject(labels: &Labels) -> Subject {
    match (labels.get_shared("connection_id"), labels.get_shared("user_id")) {
        (Some(connection), Some(user)) => {
            Subject::Connection { connection: connection.clone(), user: user.clone() }
        }
        _ => Subject::Other,
    }
}
