//! From evidence and demands to incidents: opening, changing, ending, continuing (behaviour, section 3).

use std::sync::Arc;

use daemon::Timestamp;

use super::{
    Changes,
    draft::Draft,
    planner::{Planner, since},
};
use crate::{
    evidence::{Facts, Snapshot, State},
    incidents::{Class, Incident, MessageState, Status},
};

impl Planner {
    /// Takes a newer look and finds the connections that it bears on. Gives whether it is another one.
    pub(super) fn look(&mut self, snapshot: Arc<Snapshot>) -> bool {
        if Arc::ptr_eq(&snapshot, &self.snapshot) {
            return false;
        }
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        for (connection, _) in self.snapshot.connections.news(&before.connections) {
            if self.current.contains_key(connection) || self.demands.contains_key(connection) {
                self.touched.insert(connection.clone());
            }
        }
        let shown = |connection: &&Arc<str>| self.snapshot.connections.contains_key(connection);
        self.touched.extend(self.unsettled.iter().filter(shown).cloned());
        if self.snapshot.connectors != before.connectors {
            for connection in self.current.keys() {
                let facts = self.snapshot.connections.get(connection);
                if facts.is_some_and(|facts| bank_changed(&before, &self.snapshot, facts)) {
                    self.touched.insert(connection.clone());
                }
            }
        }
        true
    }

    /// Notes whether the evidence says something else of a connection than its incident, or its demands where it has
    /// none: then each newer look is held against them again, also if it says the same.
    pub(super) fn settle(&mut self, connection: &Arc<str>) {
        let incident = self.current.get(connection).and_then(|reference| self.incident(reference));
        let settled = match (incident, self.snapshot.connections.get(connection)) {
            (Some(incident), Some(facts)) => says_nothing_new(incident, facts),
            (Some(_), None) => true,
            (None, _) => !self.demands.contains_key(connection),
        };
        if settled {
            self.unsettled.remove(connection);
        } else {
            self.unsettled.insert(connection.clone());
        }
    }

    /// Brings the incident of one connection to what the evidence says.
    pub(super) fn observe(&mut self, connection: &Arc<str>, now: Timestamp, changes: &mut Changes) {
        let Some(facts) = self.snapshot.connections.get(connection).cloned() else { return };
        let current = self.current.get(connection).cloned();
        let current = current.and_then(|reference| self.take_out(&reference));
        match (current, &facts.state) {
            (None, State::Ended { .. }) => {}
            (None, _) => self.open_if_asked(connection, &facts, now, changes),
            (Some(mut incident), State::Ended { reason, at }) => {
                if incident.is_open() && *at >= incident.failing_since {
                    self.end(&mut incident, reason, *at, now, changes);
                } else if ended_before(&incident, *at) {
                    // It failed and ended again while nobody looked: health is counted from the newer end.
                    changes.tell(&incident.reference, now, "ended", format!("{reason} at {at}, once more"));
                    incident.status = Status::Ended { reason: reason.to_string(), at: *at };
                    for closing in self.take_closings(&mut incident) {
                        self.withdraw(&closing, &incident.reference, "it has ended anew", now, changes);
                    }
                }
                self.put_back(incident, now, changes);
            }
            (Some(mut incident), State::Failing { .. } | State::Stale { .. }) => {
                if let Status::Ended { at, .. } = incident.status {
                    let failing = Failing::of(&facts.state, incident.last_failure);
                    if failing.last < at {
                        // The evidence still shows what was before the end.
                    } else if since(failing.since.max(at), at) <= self.settings.limits.reopen {
                        self.reopen(&mut incident, now, changes);
                    } else {
                        self.due.set(&incident.name, None);
                        self.current.remove(connection);
                        self.open_if_asked(connection, &facts, now, changes);
                        return self.hand_over_owed(connection, incident, now, changes);
                    }
                }
                if incident.is_open() {
                    self.update(&mut incident, &facts, now, changes);
                }
                self.put_back(incident, now, changes);
            }
        }
    }

    fn update(&mut self, incident: &mut Draft, facts: &Facts, now: Timestamp, changes: &mut Changes) {
        if *facts.user != *incident.user {
            let rule = "the evidence".to_owned();
            return self.mismatch(&incident.connection.as_str().into(), &rule, now, changes);
        }
        let failing = Failing::of(&facts.state, incident.last_failure);
        let name = self.snapshot.institution_name(&facts.institution, &facts.method);
        if *incident.institution_name != *name {
            incident.institution_name = name.to_string();
        }
        if (incident.failing_since, incident.failed_jobs) != (failing.since, failing.jobs) {
            (incident.failing_since, incident.failed_jobs) = (failing.since, failing.jobs);
        }
        self.outage(incident, facts, now, changes);
        if failing.last > incident.last_failure {
            incident.last_failure = failing.last;
            let outside = incident.outage.since.is_none();
            let incident: &mut Incident = incident;
            let open =
                incident.attempts.iter_mut().filter(|attempt| attempt.failed.is_none() && !attempt.over);
            for attempt in open.filter(|attempt| outside && failing.last > attempt.before) {
                attempt.failed = Some(failing.last);
                let text = format!("the refresh's job {} failed as well", attempt.job);
                changes.tell(&incident.reference, now, "retry-failed", text);
            }
        }
        if failing.scenario == "retry-queued" && !incident.queued {
            incident.queued = true;
        }
        if *incident.scenario == *failing.scenario {
            return;
        }
        let text = format!("now fails as {}, before as {}", failing.scenario, incident.scenario);
        changes.tell(&incident.reference, now, "changed", text);
        incident.scenario = failing.scenario.to_string();
        incident.scenario_since = now;
        let class = Class::of(failing.scenario);
        if class != incident.class {
            let group = (incident.institution.clone(), incident.method.clone(), incident.class);
            if let Some(settling) = self.settling.get_mut(&group) {
                settling.remove(incident.reference.as_str());
            }
            if let Some(hold) = incident.hold.take() {
                self.unhold(hold, &incident.reference, now, changes);
            }
            incident.class = class;
            incident.class_since = now;
            incident.done = None;
            self.withdraw_messages(incident, "the failure is another one now", now, changes);
        }
    }

    /// Ends an incident on positive evidence. `recovered` and `superseded` owe a message to those told;
    /// other ends cancel what is pending and tell nobody.
    fn end(
        &mut self,
        incident: &mut Incident,
        reason: &str,
        at: Timestamp,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        incident.status = Status::Ended { reason: reason.to_owned(), at };
        incident.outage.since = None;
        incident.done = None;
        for attempt in &mut incident.attempts {
            attempt.over = attempt.failed.is_none();
        }
        changes.tell(&incident.reference, now, "ended", format!("{reason} at {at}"));
        self.withdraw_messages(incident, reason, now, changes);
        self.withdraw_refresh(incident, reason, now, changes);
        self.ticket_of_ended(incident, reason, at, now, changes);
        if let Some(hold) = incident.hold.take() {
            self.unhold(hold, &incident.reference, now, changes);
        }
        incident.deferred = None;
    }

    /// Takes the incident out of messages that are not sent yet; a message about nothing is cancelled.
    pub(super) fn withdraw_messages(
        &mut self,
        incident: &mut Incident,
        why: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let (pending, kept) = std::mem::take(&mut incident.messages)
            .into_iter()
            .partition(|message| message.state == MessageState::Pending);
        incident.messages = kept;
        for message in pending {
            self.withdraw(&message.effect, &incident.reference, why, now, changes);
        }
    }

    /// Takes one incident out of an effect; the effect of nobody is cancelled.
    pub(super) fn withdraw(
        &mut self,
        effect: &str,
        incident: &str,
        why: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(planned) = self.effects.get(effect) else { return };
        if planned.incidents.iter().any(|other| other != incident) {
            return;
        }
        if let Some(withdrawn) = self.cancel_effect(effect, why, now, changes) {
            self.free_cooldown(&withdrawn, changes);
            self.unhold_effect(effect, now, changes);
            self.uncount_ticket(&withdrawn);
        }
    }

    /// A failure within 24 hours of the end continues the incident: same thread, same ticket.
    fn reopen(&mut self, incident: &mut Incident, now: Timestamp, changes: &mut Changes) {
        incident.status = Status::Open;
        incident.reopened += 1;
        // A job that failed after a success is new, whatever was before.
        incident.baseline = None;
        incident.muted.clear();
        incident.class_since = now;
        incident.scenario_since = now;
        // What went through dry run only, or was not taken, was told to nobody.
        let told =
            |state: &MessageState| !matches!(state, MessageState::DryRun | MessageState::Failed { .. });
        incident.messages.retain(|message| told(&message.state));
        incident.dry_refreshes = 0;
        // What was refused was about a failure that is over.
        incident.refresh_refused = None;
        changes.tell(&incident.reference, now, "reopened", "fails again within a day of its end".to_owned());
        for message in &mut incident.messages {
            if let (MessageState::Told { .. }, Some(closing)) = (&message.state, message.closing.take()) {
                self.withdraw(&closing, &incident.reference, "it fails again", now, changes);
            }
        }
        self.ticket_of_reopened(incident, now, changes);
    }

    fn withdraw_refresh(
        &mut self,
        incident: &mut Incident,
        why: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        if let Some(effect) = incident.refresh.take() {
            self.withdraw(&effect, &incident.reference.clone(), why, now, changes);
        }
    }
}

/// What both kinds of trouble have in common.
pub(super) struct Failing<'a> {
    pub(super) scenario: &'a str,
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
    pub(super) jobs: u32,
    /// As the exporter says.
    pub(super) baseline: bool,
}

impl<'a> Failing<'a> {
    pub(super) fn of(state: &'a State, last: Timestamp) -> Self {
        match state {
            State::Failing { scenario, failed_jobs, since, last_failure, baseline, .. } => {
                Self { scenario, since: *since, last: *last_failure, jobs: *failed_jobs, baseline: *baseline }
            }
            State::Stale { since } => {
                Self { scenario: "stale", since: *since, last: *since, jobs: 0, baseline: false }
            }
            State::Ended { at, .. } => Self { scenario: "ended", since: *at, last, jobs: 0, baseline: false },
        }
    }
}

fn says_nothing_new(incident: &Incident, facts: &Facts) -> bool {
    match &facts.state {
        State::Failing { scenario, failed_jobs, since, last_failure, .. } => {
            incident.is_open()
                && **scenario == *incident.scenario
                && *since == incident.failing_since
                && *last_failure == incident.last_failure
                && *failed_jobs == incident.failed_jobs
                && *facts.user == *incident.user
        }
        State::Stale { since } => incident.is_open() && *since == incident.failing_since,
        State::Ended { at, .. } => !incident.is_open() && !ended_before(incident, *at),
    }
}

/// Whether the incident has ended, before this time.
fn ended_before(incident: &Incident, time: Timestamp) -> bool {
    matches!(&incident.status, Status::Ended { at, .. } if *at < time)
}

fn bank_changed(old: &Snapshot, new: &Snapshot, facts: &Facts) -> bool {
    let bank = (facts.institution.clone(), facts.method.clone());
    old.connectors.get(&bank) != new.connectors.get(&bank)
}
