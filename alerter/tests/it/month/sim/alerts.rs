//! The demands that the shipped connection rules would make.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use basiq_alerter::demand::{Action, Annotations, Demand, Numbers, Subject};
use promql::Labels;

use super::Sim;

/// What one rule asks for in one scenario.
#[derive(Clone)]
pub(super) struct Proto {
    rule: Arc<str>,
    action: Action,
    template: Option<Arc<str>>,
    numbers: Arc<Numbers>,
    labels: Labels,
}

/// By scenario; and what was changed about rules.
pub(super) struct Protos {
    of: BTreeMap<&'static str, Vec<Proto>>,
    /// How often each rule was changed.
    versions: BTreeMap<Arc<str>, Arc<str>>,
    removed: Option<Arc<str>>,
}

impl Protos {
    pub(super) fn new() -> Self {
        use Action::{FileTicket, NotifyUser, RefreshConnection};
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        let mail =
            |settle| Numbers { settle: minutes(settle), cooldown: minutes(1440), ..Numbers::default() };
        let ticket = |hours: u64| Numbers {
            settle: minutes(15),
            escalate_after: minutes(60 * hours),
            retry_max: Some(2),
            ..Numbers::default()
        };
        let retry = || Numbers { retry_after: minutes(10), retry_max: Some(2), ..Numbers::default() };
        let rules: [(&str, &str, Action, &str, Numbers); 15] = [
            ("invalid-credentials", "Credentials", NotifyUser, "credentials", mail(15)),
            ("account-locked", "Locked", NotifyUser, "locked", mail(15)),
            ("mfa-required", "Mfa", NotifyUser, "mfa", mail(15)),
            ("user-action-required", "UserAction", NotifyUser, "bank-action", mail(15)),
            ("user-action-required", "UserActionRetry", RefreshConnection, "", retry()),
            ("reauthorisation-required", "Consent", NotifyUser, "renew-consent", mail(15)),
            ("service-unavailable", "Unavailable", NotifyUser, "delayed", mail(120)),
            ("service-unavailable", "UnavailableRetry", RefreshConnection, "", retry()),
            ("service-unavailable", "UnavailableTicket", FileTicket, "", ticket(6)),
            ("retry-queued", "Queued", NotifyUser, "delayed", mail(120)),
            ("retry-expired", "Expired", NotifyUser, "gave-up", mail(0)),
            ("retry-expired", "ExpiredTicket", FileTicket, "", ticket(0)),
            ("unsupported", "Unsupported", NotifyUser, "unsupported", mail(120)),
            ("unsupported", "UnsupportedTicket", FileTicket, "", ticket(0)),
            ("unknown", "UnknownTicket", FileTicket, "", ticket(6)),
        ];
        let mut of: BTreeMap<&'static str, Vec<Proto>> = BTreeMap::new();
        for (scenario, rule, action, template, numbers) in rules {
            let labels = [("alertname", rule), ("scenario", scenario)];
            of.entry(scenario).or_default().push(Proto {
                rule: rule.into(),
                action,
                template: (!template.is_empty()).then(|| template.into()),
                numbers: Arc::new(numbers),
                labels: Labels::new(labels),
            });
        }
        Self { of, versions: BTreeMap::new(), removed: None }
    }
}

impl Sim {
    /// Evaluates the rules for one connection: what fires anew, and what ended.
    pub(super) fn say(&mut self, place: usize) {
        let connection = &self.connections[place];
        let scenario = connection.failing.as_ref().map(|failing| failing.scenario);
        let mut old = self.firing.remove(&place).unwrap_or_default();
        let mut now = Vec::new();
        for proto in scenario.and_then(|scenario| self.protos.of.get(scenario)).into_iter().flatten() {
            if self.protos.removed.as_ref() == Some(&proto.rule) {
                continue;
            }
            let definition = self.protos.versions.get(&proto.rule).cloned().unwrap_or_default();
            let same = |demand: &Demand| {
                demand.rule == proto.rule && demand.definition == definition && demand.labels == proto.labels
            };
            if let Some(at) = old.iter().position(same) {
                now.push(old.swap_remove(at));
                continue;
            }
            let demand = Demand {
                source: "embedded".into(),
                rule: proto.rule.clone(),
                definition,
                action: proto.action,
                subject: Subject::Connection {
                    connection: connection.id.clone(),
                    user: connection.user.clone(),
                },
                labels: proto.labels.clone(),
                annotations: Annotations::default(),
                template: proto.template.clone(),
                closing_template: proto.template.is_some().then(|| "ready".into()),
                numbers: proto.numbers.clone(),
                starts_at: self.now,
                fingerprint: place as u64 * 32 + scenario.map_or(0, str::len) as u64,
            };
            self.said.firing.push(demand.clone());
            now.push(demand);
        }
        self.said.ended.extend(old);
        if !now.is_empty() {
            self.firing.insert(place, now);
        }
    }

    fn say_all(&mut self) {
        let mut all: Vec<usize> = self.firing.keys().copied().collect();
        all.extend((0..self.connections.len()).filter(|place| self.connections[*place].failing.is_some()));
        all.sort_unstable();
        all.dedup();
        for place in all {
            // What the exporter has not seen yet is said when it has.
            if !self.dirty.contains(&place) {
                self.say(place);
            }
        }
    }

    fn some_rule(&mut self) -> Option<Arc<str>> {
        let rules: Vec<Arc<str>> =
            self.protos.of.values().flatten().map(|proto| proto.rule.clone()).collect();
        let place = self.between(0, rules.len());
        rules.get(place).cloned()
    }

    /// Somebody edits a rule.
    pub(super) fn rule_changes(&mut self) {
        if let Some(rule) = self.some_rule() {
            self.protos.versions.insert(rule, format!("edited at step {}", self.step).into());
            self.say_all();
        }
    }

    /// Somebody removes a rule.
    pub(super) fn rule_goes(&mut self) {
        self.protos.removed = self.some_rule();
        self.say_all();
    }

    /// … and puts it back.
    pub(super) fn rule_returns(&mut self) {
        self.protos.removed = None;
        self.say_all();
    }
}
