//! Where the fault lies: the connection, its bank, or Basiq (behaviour, section 3).

use std::{collections::BTreeSet, sync::Arc};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Changes, Limits, Row,
    draft::Draft,
    planner::{Planner, after, share, since, unanswered},
};
use crate::{
    demand::Action,
    evidence::{Bank, Facts, Traffic},
    incidents::{Cause, Class, Incident, MessageState},
    store::{Effect, EffectState, Phase},
};

/// What is at fault beside connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(super) enum Fault {
    /// Basiq itself.
    Platform,
    /// A bank whose jobs of the last half hour fail far more than usual.
    Ailing { institution: Arc<str>, method: Arc<str> },
    /// A bank with a connector in major outage.
    Major { institution: Arc<str> },
}

/// Since when something is at fault, and who heard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    pub(super) since: Timestamp,
    /// Operators were told, and a ticket was planned where there is to be one.
    pub(super) told: bool,
    /// When it ended, while its ticket is still on its way.
    pub(super) ended: Option<Timestamp>,
    /// Its ticket: the key at the desk, the effect that files it, and the desk's own id.
    pub(super) ticket: Option<(String, String, Option<String>)>,
}

/// What the jobs of a bank say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It fails for many at once, and far more than usual.
    Ailing,
    /// Its jobs succeed again.
    Well,
}

/// Judges half an hour of a bank's jobs; `None` where they say neither.
pub(crate) fn health(traffic: &Traffic, limits: &Limits) -> Option<Health> {
    let Traffic { finished, failed, newly_failing, usual } = *traffic;
    if finished <= 0.0 {
        return None;
    }
    let share = newly_failing / finished;
    let unusual = usual.is_some_and(|usual| share >= usual * limits.cause_times);
    if newly_failing >= f64::from(limits.cause_users) && share >= limits.cause_share && unusual {
        return Some(Health::Ailing);
    }
    (failed / finished < limits.cause_share).then_some(Health::Well)
}

impl Planner {
    /// Since when Basiq itself is the cause.
    pub(super) fn platform(&self) -> Option<Timestamp> {
        self.since(&Fault::Platform)
    }

    /// Since when this bank's jobs say that it has an outage.
    pub(super) fn ailing(&self, institution: &str, method: &str) -> Option<Timestamp> {
        if self.troubles.is_empty() {
            return None;
        }
        self.since(&Fault::Ailing { institution: institution.into(), method: method.into() })
    }

    fn since(&self, fault: &Fault) -> Option<Timestamp> {
        self.troubles.get(fault).filter(|trouble| trouble.ended.is_none()).map(|trouble| trouble.since)
    }

    /// Takes from the newest look what is at fault, and touches the incidents that it bears on. What nobody
    /// knows stays as it was.
    pub(super) fn weigh(&mut self, now: Timestamp, changes: &mut Changes) {
        self.weigh_banks(now, changes);
        self.weigh_platform(now, changes);
        self.weigh_connectors(now, changes);
    }

    fn weigh_banks(&mut self, now: Timestamp, changes: &mut Changes) {
        let snapshot = self.snapshot.clone();
        let mut moved: BTreeSet<&Bank> = BTreeSet::new();
        for (bank, traffic) in &snapshot.traffic {
            let known = self.ailing(&bank.0, &bank.1).is_some();
            let fault = || Fault::Ailing { institution: bank.0.clone(), method: bank.1.clone() };
            match health(traffic, &self.settings.limits) {
                Some(Health::Ailing) if !known => self.trouble_begins(fault(), now, changes),
                Some(Health::Well) if known => self.trouble_ends(&fault(), now, changes),
                _ => continue,
            }
            moved.insert(bank);
        }
        if moved.is_empty() {
            return;
        }
        for incident in self.incidents.values().filter(|incident| incident.is_open()) {
            let of = |bank: &&Bank| *bank.0 == *incident.institution && *bank.1 == *incident.method;
            if moved.iter().any(of) {
                self.touched.insert(incident.connection.as_str().into());
            }
        }
    }

    /// Many banks over the threshold at once are not to blame.
    fn weigh_platform(&mut self, now: Timestamp, changes: &mut Changes) {
        let snapshot = self.snapshot.clone();
        if snapshot.traffic.is_empty() {
            return;
        }
        let ailing: BTreeSet<Arc<str>> = self
            .troubles
            .keys()
            .filter_map(|fault| match fault {
                Fault::Ailing { institution, .. } => Some(institution.clone()),
                Fault::Platform | Fault::Major { .. } => None,
            })
            .collect();
        let busy = snapshot.traffic.iter().filter(|(_, traffic)| traffic.finished > 0.0);
        let busy: BTreeSet<&str> = busy.map(|((institution, _), _)| &**institution).collect();
        let all = ailing.iter().filter(|institution| !busy.contains(&***institution)).count() + busy.len();
        let limits = &self.settings.limits;
        let over = ailing.len() >= limits.platform_banks as usize
            && ailing.len() as f64 >= all as f64 * limits.platform_share;
        match (over, self.platform()) {
            (true, None) => {
                self.trouble_begins(Fault::Platform, now, changes);
                self.halt(now, changes);
            }
            (false, Some(_)) => {
                self.trouble_ends(&Fault::Platform, now, changes);
                self.spread_closings(now, changes);
            }
            _ => return,
        }
        self.touched.extend(self.current.keys().cloned());
        self.report_troubles(now, changes);
    }

    /// Banks in major outage whose connections somebody here has.
    fn weigh_connectors(&mut self, now: Timestamp, changes: &mut Changes) {
        let snapshot = self.snapshot.clone();
        let mut major: BTreeSet<&Arc<str>> = BTreeSet::new();
        let mut known: BTreeSet<&Arc<str>> = BTreeSet::new();
        for ((institution, _), connector) in &snapshot.connectors {
            match &*connector.status {
                "unknown" => {}
                "major-outage" => {
                    major.insert(institution);
                }
                _ => {
                    known.insert(institution);
                }
            }
        }
        let over: Vec<Fault> = self
            .troubles
            .values()
            .filter(|trouble| trouble.ended.is_none())
            .filter_map(|trouble| match &trouble.fault {
                Fault::Major { institution }
                    if !major.contains(institution) && known.contains(institution) =>
                {
                    Some(trouble.fault.clone())
                }
                _ => None,
            })
            .collect();
        for fault in over {
            self.trouble_ends(&fault, now, changes);
        }
        for institution in major {
            let fault = Fault::Major { institution: institution.clone() };
            if self.since(&fault).is_none() && self.watches(institution) {
                self.trouble_begins(fault, now, changes);
            }
        }
    }

    /// Whether a connection here is of this bank: its jobs are counted from zero, or one of them fails.
    fn watches(&self, institution: &Arc<str>) -> bool {
        self.snapshot.jobs_finished.keys().any(|(known, ..)| known == institution)
            || self.incidents.values().any(|it| it.is_open() && *it.institution == **institution)
    }

    fn trouble_begins(&mut self, fault: Fault, now: Timestamp, changes: &mut Changes) {
        let trouble = Trouble { fault: fault.clone(), since: now, told: false, ended: None, ticket: None };
        if let Fault::Major { institution } = &fault {
            let due = after(now, self.settings.limits.long_outage);
            self.due.set(&format!("major/{institution}").into(), Some(due));
        }
        changes.rows.push(trouble_row(&trouble));
        self.troubles.insert(fault, trouble);
    }

    /// Basiq is at fault: messages, refreshes and tickets that are not on their way yet are withdrawn, and planned
    /// anew once it works again, if they still hold.
    fn halt(&mut self, now: Timestamp, changes: &mut Changes) {
        let waits = |effect: &&Effect| {
            matches!(effect.state, EffectState::Planned | EffectState::Deferred)
                && effect.action != Action::NotifyOperator
                && effect.phase != Phase::Comment
                && !effect.incidents.is_empty()
        };
        let why = "Basiq itself is at fault: planned anew once it works";
        let waiting: Vec<String> =
            self.effects.values().filter(waits).map(|effect| effect.key.clone()).collect();
        for key in waiting {
            let Some(effect) = self.cancel_effect(&key, why, now, changes) else { continue };
            self.free_cooldown(&effect, changes);
            self.uncount_ticket(&effect);
            self.forget_effect(&effect, now, changes);
        }
    }

    /// Closings that were due while Basiq was at fault restart spread out.
    fn spread_closings(&mut self, now: Timestamp, changes: &mut Changes) {
        let owes = |incident: &&Incident| !incident.is_open() && incident.messages.iter().any(unanswered);
        let owing: Vec<String> =
            self.incidents().filter(owes).map(|incident| incident.reference.clone()).collect();
        for reference in owing {
            let later = after(now, self.settings.limits.catch_up_spread.mul_f64(share(&reference)));
            self.change(&reference, now, changes, |incident| incident.message_after = Some(later));
        }
    }

    /// Starts and stops the time that counts for nothing, and says where the fault lies.
    pub(super) fn outage(
        &mut self,
        incident: &mut Draft,
        facts: &Facts,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let platform = self.platform().is_some();
        let lifted = !platform && incident.cause == Cause::Platform;
        let major = self.snapshot.major_outage(&facts.institution, &facts.method);
        let stopped = match major {
            _ if platform => Some(true),
            // The bank's own status was not what stopped it.
            None if lifted => Some(false),
            known => known,
        };
        match (stopped, incident.outage.since) {
            (Some(true), None) => {
                incident.outage.since = Some(now);
                let who = if platform { "Basiq" } else { &*facts.institution };
                let text = format!("{who} is in major outage: no refresh, no ticket until it lifts");
                changes.tell(&incident.reference, now, "outage", text);
            }
            (Some(false), Some(began)) => {
                let spread = self.settings.limits.outage_spread.mul_f64(share(&incident.reference));
                incident.outage.since = None;
                incident.outage.total += since(now, began);
                incident.outage.restart = Some(after(now, spread));
                let who = if lifted { "Basiq" } else { &*facts.institution };
                let text = format!("the outage of {who} has lifted; waiting starts anew");
                changes.tell(&incident.reference, now, "outage-lifted", text);
            }
            // Where nobody knows, what was known holds.
            _ => {}
        }
        if lifted {
            let spread = self.settings.limits.catch_up_spread.mul_f64(share(&incident.reference));
            let quiet = incident.message_after.max(Some(after(now, spread)));
            incident.message_after = quiet;
        }
        let ailing = incident.class == Class::Service
            && self.ailing(&incident.institution, &incident.method).is_some();
        let cause = match incident.outage.since {
            _ if platform => Cause::Platform,
            Some(_) => Cause::Bank,
            None if ailing => Cause::Bank,
            None => Cause::Connection,
        };
        if cause != incident.cause {
            incident.cause = cause;
            let text = match cause {
                Cause::Platform => "many banks fail at once: the cause is Basiq",
                Cause::Bank => "the bank has an outage",
                Cause::Connection => "neither the bank nor Basiq is known to be at fault any more",
            };
            changes.tell(&incident.reference, now, "cause", text.to_owned());
            self.withdraw_outage(incident, now, changes);
        }
    }

    /// An "outage" that is not sent yet is wrong once the bank is not named any more.
    fn withdraw_outage(&mut self, incident: &mut Draft, now: Timestamp, changes: &mut Changes) {
        if incident.cause == Cause::Bank {
            return;
        }
        let wrong = |message: &&crate::incidents::Message| {
            message.state == MessageState::Pending && message.template == "outage"
        };
        let pending: Vec<String> =
            incident.messages.iter().filter(wrong).map(|message| message.effect.clone()).collect();
        for effect in pending {
            incident.messages.retain(|message| message.effect != effect);
            self.quiet(incident, now);
            let reference = incident.reference.clone();
            self.withdraw(&effect, &reference, "the bank's outage has lifted", now, changes);
        }
    }
}

/// The row of a trouble as it is now.
pub(super) fn trouble_row(trouble: &Trouble) -> Row {
    Row { kind: "trouble", key: trouble.fault.name(), body: serde_json::to_string(trouble).ok() }
}

impl Fault {
    /// The bank at fault; empty if it is Basiq.
    pub(super) fn institution(&self) -> &str {
        match self {
            Self::Platform => "",
            Self::Ailing { institution, .. } | Self::Major { institution } => institution,
        }
    }

    /// Its name in keys.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Platform => "platform".to_owned(),
            Self::Ailing { institution, method } => format!("ailing/{institution}/{method}"),
            Self::Major { institution } => format!("major/{institution}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_named_only_by_people_share_and_what_is_usual_together() {
        let limits = Limits::default();
        let judge = |finished, failed, newly_failing, usual| {
            health(&Traffic { finished, failed, newly_failing, usual }, &limits)
        };
        assert_eq!(judge(50.0, 10.0, 10.0, Some(0.04)), Some(Health::Ailing));
        assert_ne!(judge(50.0, 10.0, 9.0, Some(0.0)), Some(Health::Ailing), "too few people");
        assert_ne!(judge(51.0, 10.0, 10.0, Some(0.0)), Some(Health::Ailing), "too small a share");
        assert_ne!(judge(50.0, 10.0, 10.0, Some(0.041)), Some(Health::Ailing), "it is usual there");
        assert_ne!(judge(50.0, 10.0, 10.0, None), Some(Health::Ailing), "nobody knows what is usual");
        assert_eq!(judge(0.0, 0.0, 20.0, Some(0.0)), None, "no job finished");
        assert_eq!(judge(50.0, 10.0, 2.0, Some(0.0)), None, "it still fails, but not newly");
        assert_eq!(judge(50.0, 9.0, 2.0, Some(0.0)), Some(Health::Well));
    }
}
