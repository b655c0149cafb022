//! Trying again: when a refresh may be asked for (behaviour, section 6).

use std::{sync::Arc, time::Duration};

use daemon::Timestamp;

use super::{
    Changes,
    draft::Draft,
    planner::{Next, Planner, after},
};
use crate::{
    demand::Action,
    incidents::{Class, Incident},
    store::{Effect, EffectState, Payload, Phase},
};

/// The channel that refreshes go through.
pub const BASIQ: &str = "basiq";

/// What a refresh follows that no rule but the user's word asked for.
pub(super) const DONE: &str = "done";

/// How long the user's word waits for a refresh that could not be asked for.
pub(super) const WORD_KEPT: Duration = Duration::from_secs(24 * 3600);

impl Planner {
    /// Plans a refresh that is due, or says when it will be.
    pub(super) fn decide_refresh(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        next: &mut Next,
        changes: &mut Changes,
    ) {
        self.withdraw_unasked_refresh(incident, now, changes);
        if !incident.is_open() || incident.refresh.is_some() || incident.refresh_refused.is_some() {
            return;
        }
        if incident.outage.since.is_some() || self.platform().is_some() {
            return;
        }
        let (institution, method) = (incident.institution.as_str().into(), incident.method.as_str().into());
        if self.snapshot.as_of.is_some() && self.snapshot.major_outage(&institution, &method).is_none() {
            // The status of the bank is not known: it would only expire. The end of that looks at it again.
            return;
        }
        let (rule, due, lifetime) = match self.done_refresh(incident) {
            Some(due) => (DONE.into(), due, None),
            None => match self.retry(incident) {
                Some(due) => due,
                None => return,
            },
        };
        if self.withheld(Action::RefreshConnection, &rule, incident) {
            return;
        }
        let due = incident.refresh_after.map_or(due, |quiet| due.max(quiet));
        if due > now {
            return next.at(Some(due));
        }
        let effect = Effect {
            key: self.effect_key(incident, Action::RefreshConnection, Phase::Refresh),
            incidents: vec![incident.reference.clone()],
            action: Action::RefreshConnection,
            phase: Phase::Refresh,
            channel: BASIQ.to_owned(),
            state: EffectState::Planned,
            reason: format!("{rule}: attempt {} of the incident", incident.attempts.len() + 1),
            rule: rule.to_string(),
            due,
            next_attempt: now,
            expires: after(now, lifetime.unwrap_or(self.settings.limits.lifetime_refresh)),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            traceparent: None,
            payload: Payload::Refresh {
                user: incident.user.clone(),
                connection: incident.connection.clone(),
                class: incident.class,
            },
        };
        incident.planned += 1;
        incident.refresh = Some(effect.key.clone());
        self.add_effect(effect, now, changes);
    }

    /// Cancels a refresh that its rule no longer asks for and that is not on its way yet.
    fn withdraw_unasked_refresh(&mut self, incident: &mut Draft, now: Timestamp, changes: &mut Changes) {
        let Some(effect) = incident.refresh.as_ref().and_then(|key| self.effects.get(key)) else { return };
        let waits = matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Held);
        let demands = self.demands.get(incident.connection.as_str());
        let asked = demands.into_iter().flatten().any(|demand| demand.action == Action::RefreshConnection);
        if incident.is_open() && waits && effect.rule != DONE && !asked {
            let (key, reference) = (effect.key.clone(), incident.reference.clone());
            incident.refresh = None;
            self.withdraw(&key, &reference, "its rule no longer asks for it", now, changes);
        }
    }

    /// For a pop-up of the bank, one refresh follows the word that it is dealt with.
    fn done_refresh(&self, incident: &Incident) -> Option<Timestamp> {
        incident.done.filter(|_| incident.class == Class::BankAction)
    }

    /// The rule, time and lifetime of the next retry, if there is one: some minutes after the newest
    /// failure, as often as the rule allows, and never while the last one's job has not ended.
    fn retry(&self, incident: &Incident) -> Option<(Arc<str>, Timestamp, Option<Duration>)> {
        let limits = &self.settings.limits;
        let waits_for_basiq = matches!(incident.scenario.as_str(), "retry-queued" | "retry-expired");
        if !incident.class.refreshable() || waits_for_basiq {
            return None;
        }
        if limits.smart_cache && incident.outage.restart.is_some_and(|at| incident.last_failure < at) {
            return None;
        }
        let demand = self.demand(incident, Action::RefreshConnection)?;
        let max = demand.numbers.retry_max.unwrap_or(limits.retry_max) as usize;
        let spent = incident.attempts.len() + incident.dry_refreshes as usize;
        let running = incident
            .attempts
            .last()
            .is_some_and(|attempt| !attempt.over && incident.last_failure <= attempt.before);
        if spent >= max || running {
            return None;
        }
        let wait = demand.numbers.retry_after.unwrap_or(limits.retry_after);
        let from = incident.outage.restart.map_or(incident.last_failure, |at| at.max(incident.last_failure));
        Some((demand.rule.clone(), after(from, wait), demand.numbers.lifetime))
    }
}
