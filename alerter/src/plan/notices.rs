//! Notices to operators: from rules about anything, and the planner's own (behaviour, section 8).

use std::{collections::BTreeMap, sync::Arc};

use daemon::Timestamp;
use promql::Labels;

use super::{
    Changes, Row,
    planner::{HOUR, Planner, after, digest, since},
};
use crate::{
    channels::Notice,
    demand::{Action, Demand, Numbers, Subject},
    store::{Effect, EffectState, Payload, Phase},
};

/// The `source` of what the planner itself reports.
const OWN: &str = "alerter";
/// Own notices of what merely happened: nothing else says that it is over.
const PASSING: [&str; 3] =
    ["BasiqAlerterDeadEffects", "BasiqAlerterLabelMismatch", "BasiqAlerterForgottenTickets"];

/// What the planner itself tells operators of.
pub(super) struct Own<'a> {
    /// What it is ended by.
    pub(super) key: &'a str,
    /// The `alertname`.
    pub(super) name: &'a str,
    /// What tells it from others of its name: Alertmanager knows alerts by their labels alone.
    pub(super) of: &'a [(&'a str, &'a str)],
    pub(super) summary: &'a str,
    pub(super) description: &'a str,
}

impl Planner {
    /// The notices that have not ended.
    pub fn lasting(&self) -> Vec<Notice> {
        self.notices.iter().map(|(id, demand)| notice(id, demand, None)).collect()
    }

    /// A demand for a notice fires: planned once, whatever re-fires.
    pub(super) fn notice_fires(&mut self, id: &str, demand: Demand, now: Timestamp, changes: &mut Changes) {
        if self.notices.get(id).is_some_and(|known| known.starts_at == demand.starts_at) {
            return;
        }
        changes.rows.push(Row {
            kind: "demand",
            key: id.to_owned(),
            body: serde_json::to_string(&demand).ok(),
        });
        self.plan_notice(id, &demand, None, now, changes);
        self.notices.insert(id.to_owned(), demand);
    }

    /// It ended on a successful evaluation without it, or by an explicit resolve.
    pub(super) fn notice_ended(&mut self, id: &str, now: Timestamp, changes: &mut Changes) {
        let Some(demand) = self.notices.remove(id) else { return };
        changes.rows.push(Row { kind: "demand", key: id.to_owned(), body: None });
        self.plan_notice(id, &demand, Some(now), now, changes);
    }

    /// A notice of the planner itself, unless it lasts already.
    pub(super) fn own_notice(&mut self, own: &Own<'_>, now: Timestamp, changes: &mut Changes) {
        let id = digest(&format!("{OWN}/{}", own.key));
        if self.notices.contains_key(&id) {
            return;
        }
        let texts = [("summary", own.summary), ("description", own.description)];
        let texts = texts.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = [("alertname", own.name), ("severity", "warning")];
        let demand = Demand {
            source: OWN.into(),
            rule: own.name.into(),
            action: Action::NotifyOperator,
            subject: Subject::Other,
            labels: Labels::new(labels.into_iter().chain(own.of.iter().copied())),
            annotations: BTreeMap::from(texts).into(),
            template: None,
            closing_template: None,
            numbers: Arc::new(Numbers::default()),
            definition: Arc::default(),
            starts_at: now,
            fingerprint: 0,
        };
        self.notice_fires(&id, demand, now, changes);
    }

    /// What an own notice tells of has happened (again): it ends a day after the last time.
    pub(super) fn happens(&mut self, key: &str, now: Timestamp) {
        self.happened.insert(digest(&format!("{OWN}/{key}")), now);
    }

    /// Ends own notices of what merely happened, once it has not happened again for a day.
    pub(super) fn end_quiet_notices(&mut self, now: Timestamp, changes: &mut Changes) {
        let quiet = self.settings.limits.notice_quiet;
        let over = |(id, notice): (&String, &Demand)| {
            let last = self.happened.get(id).copied().unwrap_or(notice.starts_at);
            let passing = *notice.source == *OWN && PASSING.contains(&&*notice.rule);
            (passing && since(now, last) >= quiet).then(|| id.clone())
        };
        let over: Vec<String> = self.notices.iter().filter_map(over).collect();
        for id in over {
            self.happened.remove(&id);
            self.notice_ended(&id, now, changes);
        }
    }

    /// An effect waits for a person: nobody knows whether it was taken, and nothing can find out.
    pub(super) fn held_for_a_person(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        let own = Own {
            key: &format!("held/{}", effect.channel),
            name: "BasiqAlerterHeldEffects",
            of: &[("channel", &effect.channel)],
            summary: &format!("What goes through {} waits for a person", effect.channel),
            description: &format!(
                "{}: {}. `basiq-alerter outbox list --state held` shows all of them.",
                effect.key, effect.reason
            ),
        };
        self.own_notice(&own, now, changes);
    }

    /// The notice ends with the last effect of its channel that was held.
    pub(super) fn none_held(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        if self.notices.is_empty() {
            return;
        }
        let key = format!("held/{}", effect.channel);
        if !self.notices.contains_key(&digest(&format!("{OWN}/{key}"))) {
            return;
        }
        let held = |other: &Effect| other.channel == effect.channel && other.state == EffectState::Held;
        if !self.effects.values().any(held) {
            self.own_notice_ended(&key, now, changes);
        }
    }

    /// The end of a notice of the planner itself.
    pub(super) fn own_notice_ended(&mut self, key: &str, now: Timestamp, changes: &mut Changes) {
        self.notice_ended(&digest(&format!("{OWN}/{key}")), now, changes);
    }

    /// The evidence knows the connection under another user than the alert says: nothing is done for it,
    /// and operators hear.
    pub(super) fn mismatch(
        &mut self,
        connection: &Arc<str>,
        rule: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        // One for a rule: whose labels are wrong may have them wrong for all connections.
        let key = format!("mismatch/{rule}");
        self.happens(&key, now);
        let own = Own {
            key: &key,
            name: "BasiqAlerterLabelMismatch",
            of: &[("rule", rule)],
            summary: "An alert names another user than the exporter knows for its connection",
            description: &format!(
                "Rule {rule}, first seen with connection {connection}: the alert's user_id is not the one of the \
                 evidence. Nothing is done for such a connection; look at where the alert comes from."
            ),
        };
        self.own_notice(&own, now, changes);
    }

    /// A relay says that an address does not exist: it is suppressed, unless so many are that the relay is
    /// more likely at fault than the addresses.
    pub(super) fn suppress(&mut self, person: String, code: String, now: Timestamp, changes: &mut Changes) {
        while self.suppressions.front().is_some_and(|at| since(now, *at) >= HOUR) {
            self.suppressions.pop_front();
        }
        let (limits, hour) = (&self.settings.limits, self.suppressions.len());
        let share = (self.openings.len() as f64 * limits.suppress_share).max(1.0);
        if hour >= limits.suppress_hour as usize || hour as f64 >= share {
            let own = Own {
                key: "suppression-stopped",
                name: "BasiqAlerterSuppressionStopped",
                of: &[],
                summary: "So many addresses were refused that no more are suppressed",
                description: &format!(
                    "{hour} within an hour; the last was refused with {code}. Look at the relay before anything else."
                ),
            };
            return self.own_notice(&own, now, changes);
        }
        self.own_notice_ended("suppression-stopped", now, changes);
        self.suppressions.push_back(now);
        changes.suppressed.push((person, code));
    }

    /// A channel is at fault, or works again.
    pub(super) fn circuit(
        &mut self,
        channel: &str,
        open: Option<String>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let key = format!("circuit/{channel}");
        let Some(why) = open else { return self.own_notice_ended(&key, now, changes) };
        let own = Own {
            key: &key,
            name: "BasiqAlerterChannelFails",
            of: &[("channel", channel)],
            summary: &format!("The channel {channel} is at fault; what goes through it waits"),
            description: &format!(
                "{why}. No attempt is spent meanwhile; it is probed every 1 to 15 minutes."
            ),
        };
        self.own_notice(&own, now, changes);
    }

    fn plan_notice(
        &mut self,
        id: &str,
        demand: &Demand,
        ended: Option<Timestamp>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let notice = notice(id, demand, ended);
        for channel in self.settings.routes.operators.clone() {
            let key = format!(
                "{}/{}/{}/{}/{}/{channel}",
                self.settings.environment,
                &notice.key[..16],
                Action::NotifyOperator.as_str(),
                Phase::Notice.as_str(),
                u8::from(ended.is_some()),
            );
            let effect = Effect {
                key,
                incidents: Vec::new(),
                action: Action::NotifyOperator,
                phase: Phase::Notice,
                channel,
                state: EffectState::Planned,
                reason: if ended.is_some() {
                    format!("{} has ended", demand.rule)
                } else {
                    format!("{} fires", demand.rule)
                },
                rule: demand.rule.to_string(),
                due: now,
                next_attempt: now,
                expires: after(now, demand.numbers.lifetime.unwrap_or(self.settings.limits.lifetime_notice)),
                attempts: 0,
                marks: 0,
                unknowns: 0,
                created: now,
                changed: now,
                remote: None,
                traceparent: None,
                payload: Payload::Notice(notice.clone()),
            };
            self.add_effect(effect, now, changes);
        }
    }
}

fn notice(id: &str, demand: &Demand, ended: Option<Timestamp>) -> Notice {
    let annotations = demand.annotations.rendered();
    let text = |name: &str| annotations.get(name).cloned().unwrap_or_default();
    Notice {
        // The same notice again after its end is another one.
        key: digest(&format!("{id}/{}", demand.starts_at.as_millisecond())),
        summary: if text("summary").is_empty() { demand.rule.to_string() } else { text("summary") },
        description: text("description"),
        labels: demand.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        since: demand.starts_at,
        ended,
    }
}
