//! Rules that are new, or ask for something else than before (behaviour, sections 5 and 8).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Changes, Row,
    planner::{Planner, digest},
};
use crate::{
    config::Mode,
    demand::{Action, Demand, Numbers, Subject},
    incidents::{Incident, MessageState},
    store::EffectState,
};

/// Which rule: source, name and action.
pub(super) type RuleName = (Arc<str>, Arc<str>, Action);

/// So many versions of a rule are remembered: what is undone is no change, and rules are rarely changed more often.
const REMEMBERED: usize = 100;

/// What a rule asks for, and when it fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    source: Arc<str>,
    rule: Arc<str>,
    action: Action,
    definition: Arc<str>,
    template: Option<Arc<str>>,
    closing_template: Option<Arc<str>>,
    numbers: Arc<Numbers>,
}

impl Version {
    fn of(demand: &Demand) -> Self {
        Self {
            source: demand.source.clone(),
            rule: demand.rule.clone(),
            action: demand.action,
            definition: demand.definition.clone(),
            template: demand.template.clone(),
            closing_template: demand.closing_template.clone(),
            numbers: demand.numbers.clone(),
        }
    }

    fn is_of(&self, demand: &Demand) -> bool {
        self.definition == demand.definition
            && self.template == demand.template
            && self.closing_template == demand.closing_template
            && (Arc::ptr_eq(&self.numbers, &demand.numbers) || self.numbers == demand.numbers)
    }

    pub(super) fn name(&self) -> RuleName {
        (self.source.clone(), self.rule.clone(), self.action)
    }

    /// Its row in the store, or the one that deletes it.
    fn row(&self, kept: bool) -> Option<Row> {
        let body = serde_json::to_string(self).ok()?;
        Some(Row { kind: "rule", key: digest(&body), body: kept.then_some(body) })
    }
}

impl Planner {
    /// Whether this version of the demand's rule has fired before.
    fn knows(&self, demand: &Demand) -> bool {
        let name = (demand.source.clone(), demand.rule.clone(), demand.action);
        self.versions.get(&name).is_some_and(|known| known.iter().any(|version| version.is_of(demand)))
    }

    /// What fires at the start was known before.
    pub(super) fn knew(&mut self, demand: &Demand) {
        if !self.knows(demand) {
            let version = Version::of(demand);
            self.versions.entry(version.name()).or_default().push(version);
        }
    }

    /// Meets the rules of what a source says fires. What a changed one had planned is held, and what a new or
    /// changed one asks for in this first evaluation is looked at as one batch.
    pub(super) fn meet(&mut self, firing: &[Demand], now: Timestamp, changes: &mut Changes) {
        let mut first: BTreeMap<RuleName, (bool, BTreeSet<Arc<str>>)> = BTreeMap::new();
        for demand in firing.iter().filter(|demand| demand.action != Action::NotifyOperator) {
            let name = (demand.source.clone(), demand.rule.clone(), demand.action);
            let Subject::Connection { connection, .. } = &demand.subject else { continue };
            if let Some((_, batch)) = first.get_mut(&name) {
                batch.insert(connection.clone());
            }
            if self.knows(demand) {
                continue;
            }
            let changed = self.versions.contains_key(&name);
            let version = Version::of(demand);
            changes.rows.extend(version.row(true));
            let known = self.versions.entry(name.clone()).or_default();
            if known.len() >= REMEMBERED {
                changes.rows.extend(known.remove(0).row(false));
            }
            known.push(version);
            let (again, batch) = first.entry(name).or_default();
            *again |= changed;
            batch.insert(connection.clone());
        }
        for (name, (changed, batch)) in first {
            if changed {
                self.hold_undelivered(&name, now, changes);
            }
            if name.2 == Action::NotifyUser {
                self.firsts.insert(name.1.to_string(), batch);
            }
        }
    }

    /// Holds what a rule had planned and nobody has taken yet, because the rule was changed.
    fn hold_undelivered(&mut self, (_, rule, action): &RuleName, now: Timestamp, changes: &mut Changes) {
        let waits = |state| matches!(state, EffectState::Planned | EffectState::Deferred);
        let reason = format!("the rule {rule} was changed");
        let mut held = BTreeSet::new();
        for effect in self.effects.values_mut() {
            if effect.action == *action && *effect.rule == **rule && waits(effect.state) {
                effect.state = EffectState::Held;
                effect.reason.clone_from(&reason);
                effect.changed = now;
                changes.effect(effect.clone(), now);
                held.insert(effect.key.clone());
            }
        }
        if !held.is_empty() {
            self.open_hold(reason, BTreeSet::new(), held, now, changes);
        }
    }

    /// Holds the first evaluation of a new or changed rule whole if it would reach too many people. Called once
    /// the incidents of that evaluation are known.
    pub(super) fn hold_firsts(&mut self, now: Timestamp, changes: &mut Changes) {
        if self.firsts.is_empty() || self.snapshot.as_of.is_none() {
            return;
        }
        for (rule, batch) in std::mem::take(&mut self.firsts) {
            let reached: Vec<&Incident> = batch
                .iter()
                .filter_map(|connection| self.incident(self.current.get(connection)?))
                .filter(|incident| self.would_tell(incident, &rule))
                .collect();
            let people: BTreeSet<&str> = reached.iter().map(|incident| incident.user.as_str()).collect();
            let limit = self.settings.limits.new_rule_limit();
            if people.len() <= limit as usize {
                continue;
            }
            let reason = format!(
                "the rule {rule} is new or changed and would reach {} people, more than {limit}",
                people.len()
            );
            let incidents = reached.iter().map(|incident| incident.reference.clone()).collect();
            self.open_hold(reason, incidents, BTreeSet::new(), now, changes);
        }
    }

    fn would_tell(&self, incident: &Incident, rule: &str) -> bool {
        let told = |message: &crate::incidents::Message| {
            !message.earlier
                && message.class == incident.class
                && !matches!(message.state, MessageState::Closed { .. })
        };
        incident.is_open()
            && incident.hold.is_none()
            && !incident.released
            && self.demand(incident, Action::NotifyUser).is_some_and(|demand| *demand.rule == *rule)
            && self.settings.actions.mode(Action::NotifyUser) != Mode::Off
            && incident.baseline.is_none()
            && (self.settings.limits.tell_never_succeeded
                || !self.snapshot.never_succeeded(&incident.connection))
            && !incident.muted.contains(&Action::NotifyUser)
            && !incident.messages.iter().any(told)
    }
}
