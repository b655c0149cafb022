//! The planner: what is open, what is due, and one step of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use daemon::{Secret, Timestamp};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::{
    Changes, Input, Limits, Map, Pause, Person, Set,
    causes::{Fault, Trouble},
    cooldowns::{Cooldown, cooldown_row},
    holds::Hold,
    messages::Ready,
    openings::Openings,
    quota::DeskDay,
    storm::Storm,
    tickets::{Group, ReadyTicket},
    unsaved::Unsaved,
    versions::{RuleName, Version},
    wheel::Wheel,
};
use crate::{
    config::{Actions, Mode, Routes},
    demand::{Action, Demand},
    evidence::Snapshot,
    incidents::Incident,
    store::{Effect, EffectState},
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of a planner.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Part of every key.
    pub environment: String,
    /// Times and bounds.
    pub limits: Limits,
    /// The switches.
    pub actions: Actions,
    /// The channels' names.
    pub routes: Routes,
    /// What the ids of forgotten users are hashed with.
    pub salt: Secret,
}

/// Decides what to do. Holds what is open; reads no clock and does no I/O.
#[derive(Debug)]
pub struct Planner {
    pub(super) settings: Settings,
    pub(super) born: Timestamp,
    pub(super) snapshot: Arc<Snapshot>,
    /// By reference: open incidents, and ended ones that may be continued or owe a message.
    pub(super) incidents: Map<Arc<str>, Arc<Incident>>,
    /// The incident that a connection's alerts belong to.
    pub(super) current: Map<Arc<str>, Arc<str>>,
    /// Demands that fire, by connection.
    pub(super) demands: Map<Arc<str>, Vec<Demand>>,
    /// Effects that are not final.
    pub(super) effects: Map<String, Effect>,
    pub(super) due: Wheel,
    /// Connections to look at in this step.
    pub(super) touched: Set<Arc<str>>,
    /// Connections that each newer look is held against, also if it says the same of them.
    pub(super) unsettled: Set<Arc<str>>,
    pub(super) people: Map<String, (Person, Timestamp)>,
    pub(super) traces: super::trace::Traces,
    /// Users whose person was asked for, with their connections.
    pub(super) asked: Map<String, BTreeSet<Arc<str>>>,
    /// Until when a person is left in peace, by person and template.
    pub(super) cooldowns: BTreeMap<(String, String), Cooldown>,
    /// Which effect began a cooldown.
    pub(super) cooled_by: Map<String, (String, String)>,
    pub(super) pauses: BTreeSet<Pause>,
    pub(super) holds: BTreeMap<u64, Hold>,
    /// Openings of the last hour.
    pub(super) openings: Openings,
    /// Suppressions of the last hour.
    pub(super) suppressions: VecDeque<Timestamp>,
    /// Incidents whose ticket is due but settles.
    pub(super) settling: Map<Group, BTreeSet<Arc<str>>>,
    pub(super) storms: BTreeMap<String, Storm>,
    /// What desks that take only so many new tickets a day have taken of this day's.
    pub(super) desk_days: BTreeMap<String, DeskDay>,
    /// What is at fault beside connections.
    pub(super) troubles: BTreeMap<Fault, Trouble>,
    /// Versions of rules that have fired.
    pub(super) versions: Map<RuleName, Vec<Version>>,
    /// Connections of the first evaluation of rules that are new or changed.
    pub(super) firsts: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// The number of the newest hold there ever was.
    pub(super) last_hold: u64,
    /// When a person closed the ticket of an incident that still failed.
    pub(super) closed: Map<String, Timestamp>,
    /// Keyed hashes of users who were forgotten.
    pub(super) tombstones: BTreeSet<String>,
    /// When what an own notice tells of last happened, by the notice's key.
    pub(super) happened: Map<String, Timestamp>,
    /// When what no longer bounds anything was last let go of.
    pub(super) tidied: Timestamp,
    /// What each action might do when the planner last ran.
    pub(super) modes: BTreeMap<String, String>,
    /// Notices that are open, by key.
    pub(super) notices: BTreeMap<String, Demand>,
    pub(super) unsaved: BTreeSet<Unsaved>,
    pub(super) ready: Vec<Ready>,
    pub(super) ready_tickets: Vec<ReadyTicket>,
}

impl Planner {
    /// When the next step is due even if nothing happens; `None` if never.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.next()
    }

    /// What is paused.
    pub fn pauses(&self) -> &BTreeSet<Pause> {
        &self.pauses
    }

    /// Incidents in memory: open ones, and ended ones that may be continued.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().map(AsRef::as_ref)
    }

    /// The incident of that reference, where it is in memory.
    pub(super) fn incident(&self, reference: &str) -> Option<&Incident> {
        self.incidents.get(reference).map(AsRef::as_ref)
    }

    /// What is held back until a person decides.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// One step: takes in what happened and decides. The cost follows what changed and what is due.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Changes {
        let mut changes = Changes::default();
        self.follow(&input);
        self.go_live(now, &mut changes);
        for command in input.commands {
            self.obey(command, now, &mut changes);
        }
        for effect in input.retried {
            self.try_again(effect, now, &mut changes);
        }
        for said in input.said {
            for demand in said.ended {
                self.demand_ended(&demand, now, &mut changes);
            }
            self.meet(&said.firing, now, &mut changes);
            for demand in said.firing {
                self.demand_fires(demand, now, &mut changes);
            }
        }
        if let Some(snapshot) = input.snapshot
            && self.look(snapshot)
        {
            self.weigh(now, &mut changes);
        }
        self.report_troubles(now, &mut changes);
        for outcome in input.outcomes {
            self.take(outcome, now, &mut changes);
        }
        for (person, code) in input.refused {
            self.suppress(person, code, now, &mut changes);
        }
        for (channel, open) in input.circuits {
            self.circuit(&channel, open, now, &mut changes);
        }
        for (user, person) in input.people {
            if self.forgot(&user) {
                continue;
            }
            self.people.insert(user.clone(), (person, now));
            self.touched.extend(self.asked.remove(&user).unwrap_or_default());
        }
        for reference in self.due.pop(now) {
            if let Some(incident) = self.incidents.get(&reference) {
                self.touched.insert(incident.connection.as_str().into());
            }
        }
        // What the groups below decide may touch connections again, so that their next time is known.
        for _ in 0..3 {
            // In an order that does not depend on how the set is kept: two of them may be one person's.
            let mut touched: Vec<_> = self.touched.drain().collect();
            if touched.is_empty() {
                break;
            }
            touched.sort_unstable();
            for connection in touched {
                self.consider(&connection, now, &mut changes);
                self.settle(&connection);
            }
            self.hold_firsts(now, &mut changes);
            self.plan_messages(now, &mut changes);
            self.plan_tickets(now, &mut changes);
        }
        self.plan_digests(now, &mut changes);
        self.plan_storm_comments(now, &mut changes);
        self.forget_old(now, &mut changes);
        self.save(&mut changes);
        changes.dedup();
        self.trace(&mut changes);
        changes
    }

    /// Looks at one connection: what the evidence says, and what is due.
    fn consider(&mut self, connection: &Arc<str>, now: Timestamp, changes: &mut Changes) {
        self.observe(connection, now, changes);
        let Some(reference) = self.current.get(connection).cloned() else { return };
        let Some(mut incident) = self.take_out(&reference) else { return };
        let mut next = Next::default();
        self.decide_message(&mut incident, now, &mut next, changes);
        self.decide_closing(&mut incident, now, &mut next, changes);
        self.decide_refresh(&mut incident, now, &mut next, changes);
        self.decide_ticket(&mut incident, now, &mut next, changes);
        if let Some(user) = self.decide_forget(&incident, now, &mut next) {
            self.put_back(incident, now, changes);
            return self.forget(&user, now, changes);
        }
        let forget = self.forget_at(&incident);
        if forget.is_some_and(|at| at <= now) {
            self.due.set(&reference, None);
            self.current.remove(connection);
            return Self::let_go(incident, now, changes);
        }
        next.at(forget);
        if forget.is_none() && !incident.is_open() {
            // What is still owed counts as recent, so that a start finds it in the store.
            if since(now, incident.changed) >= DAY {
                incident.changed = now;
            }
            next.at(Some(after(incident.changed, DAY)));
        }
        self.due.set(&reference, next.0);
        self.put_back(incident, now, changes);
    }

    /// Adds an effect that is to be done.
    pub(super) fn add_effect(&mut self, effect: Effect, now: Timestamp, changes: &mut Changes) {
        changes.effect(effect.clone(), now);
        self.effects.insert(effect.key.clone(), effect);
    }

    /// Cancels an effect that is not final. What counted on it is left to the caller.
    pub(super) fn cancel_effect(
        &mut self,
        key: &str,
        why: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Option<Effect> {
        let mut effect = self.effects.remove(key)?;
        effect.state = EffectState::Cancelled;
        why.clone_into(&mut effect.reason);
        effect.changed = now;
        changes.effect(effect.clone(), now);
        Some(effect)
    }

    /// Whether nothing may be planned for this action and incident, and why.
    pub(super) fn withheld(&self, action: Action, rule: &str, incident: &Incident) -> bool {
        self.settings.actions.mode(action) == Mode::Off
            || incident.baseline.is_some()
            || incident.muted.contains(&action)
            || self.paused(action, rule, &incident.institution, &incident.user)
    }

    /// Whether a pause covers this.
    pub(super) fn paused(&self, action: Action, rule: &str, institution: &str, user: &str) -> bool {
        self.pauses.iter().any(|pause| pause.covers(action, rule, institution, user))
    }

    /// Ended incidents leave memory once they can neither be continued nor owe a message.
    fn forget_at(&self, incident: &Incident) -> Option<Timestamp> {
        match &incident.status {
            // A closing that is owed and held up by a pause or a fault of Basiq is not forgotten.
            crate::incidents::Status::Ended { reason, .. }
                if owes_end(reason)
                    && incident.messages.iter().any(unanswered)
                    && self.settings.actions.mode(Action::NotifyUser) != Mode::Off =>
            {
                None
            }
            crate::incidents::Status::Ended { at, .. } => {
                Some(after(*at, self.settings.limits.reopen.max(self.settings.limits.lifetime_ready)))
            }
            crate::incidents::Status::Open => None,
        }
    }

    /// Lets go of what no longer bounds anything.
    fn forget_old(&mut self, now: Timestamp, changes: &mut Changes) {
        self.openings.forget(now);
        if since(now, self.tidied) < HOUR {
            return;
        }
        self.tidied = now;
        self.forget_storms();
        self.end_quiet_notices(now, changes);
        let over = self
            .cooldowns
            .iter()
            .filter(|(_, cooldown)| cooldown.until <= now && !self.effects.contains_key(&cooldown.effect));
        let over: Vec<_> = over.map(|(key, cooldown)| (key.clone(), cooldown.effect.clone())).collect();
        for (key, effect) in over {
            changes.rows.push(cooldown_row(&key, None));
            self.cooldowns.remove(&key);
            self.cooled_by.remove(&effect);
        }
    }
}

/// Whether an end for this reason is told to those who were told of the beginning.
pub(super) fn owes_end(reason: &str) -> bool {
    matches!(reason, "recovered" | "superseded")
}

/// Whether the end of what this message told of is not even planned to be told.
pub(super) fn unanswered(message: &crate::incidents::Message) -> bool {
    matches!(message.state, crate::incidents::MessageState::Told { .. }) && message.closing.is_none()
}

/// The earliest of several times.
#[derive(Default)]
pub(super) struct Next(pub(super) Option<Timestamp>);

impl Next {
    pub(super) fn at(&mut self, time: Option<Timestamp>) {
        self.0 = match (self.0, time) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// `time + duration`, at most the end of time.
pub(crate) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| time.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// How long before `now` that was; nothing if it is yet to come.
pub(crate) fn since(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// Lower-case hex of a hash of `text`, 32 digits.
pub(crate) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..16])
}

/// Lower-case hex of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A stable point of `0..1` for spreading things out.
pub(crate) fn share(text: &str) -> f64 {
    let hash = Sha256::digest(text.as_bytes());
    f64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) / f64::from(u32::MAX)
}
