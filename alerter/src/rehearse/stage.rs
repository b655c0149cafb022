//! The planner among props: effects are taken at once if the evidence bears them out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use daemon::Timestamp;

use super::{Played, Record};
use crate::{
    config::Mode,
    evidence::{Snapshot, State},
    outbox::{Verdict, verify},
    plan::{Changes, Input, Outcome, Person, Planner, Said, Saved, Settings, after},
    refresh::Refreshed,
    store::{Effect, EffectState, Payload},
};

/// Outcomes and persons come back within a step at most so often.
const ROUNDS: usize = 20;
/// Steps are at least so far apart where nothing new is seen.
const STEP: Duration = Duration::from_secs(60);
/// How long the job of a refresh takes where the world stands still.
const JOB: Duration = Duration::from_secs(60);

/// A planner whose effects are played, not done.
pub struct Stage {
    planner: Planner,
    settings: Settings,
    /// The time of the last step.
    now: Timestamp,
    snapshot: Arc<Snapshot>,
    /// What waits for its time, by key, and when that is.
    waiting: BTreeMap<String, Effect>,
    due: BTreeSet<(Timestamp, String)>,
    /// Refreshes whose job is to fail, where the world stands still.
    jobs: Vec<(Timestamp, String)>,
    record: Record,
}

impl Stage {
    /// A stage that goes on from what is saved.
    ///
    /// # Errors
    /// What is saved cannot be read by this version.
    pub fn new(settings: Settings, saved: Saved) -> Result<Self, String> {
        let planned = saved.effects.clone();
        let planner = Planner::load(settings.clone(), saved)?;
        let mut stage = Self {
            planner,
            settings,
            now: Timestamp::MIN,
            snapshot: Arc::default(),
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            jobs: Vec::new(),
            record: Record::default(),
        };
        planned.iter().for_each(|effect| stage.wait(effect));
        Ok(stage)
    }

    /// What was played so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How many open incidents are baseline, and how many are not.
    pub fn open(&self) -> (usize, usize) {
        let open = self.planner.incidents().filter(|incident| incident.is_open());
        open.fold((0, 0), |(baseline, other), incident| match incident.baseline {
            Some(_) => (baseline + 1, other),
            None => (baseline, other + 1),
        })
    }

    /// Takes in what rules say and what is known at `now`.
    pub fn look(&mut self, now: Timestamp, said: Vec<Said>, snapshot: Arc<Snapshot>) {
        self.pass(now);
        self.step(now, said, Some(snapshot));
    }

    /// Lets time pass up to `until`, with nothing new seen.
    pub fn pass(&mut self, until: Timestamp) {
        while let Some(next) = self.next().filter(|next| *next < until) {
            let now = next.max(after(self.now, STEP));
            if now >= until {
                return;
            }
            self.step(now, Vec::new(), None);
        }
    }

    /// Lets time pass in which everything stays as it is: what fails goes on failing, and each refresh ends in
    /// another failed job.
    pub fn stand_still(&mut self, until: Timestamp) {
        loop {
            let job = self.jobs.iter().map(|(at, _)| *at).min();
            let Some(next) = [self.next(), job].into_iter().flatten().min() else { return };
            let now = next.max(after(self.now, STEP));
            if now > until {
                return;
            }
            let mut snapshot = (*self.snapshot).clone();
            snapshot.as_of = Some(now);
            let (over, later) = std::mem::take(&mut self.jobs).into_iter().partition(|(at, _)| *at <= now);
            self.jobs = later;
            for (at, connection) in Vec::<(Timestamp, String)>::from_iter(over) {
                let Some(mut facts) = snapshot.connections.get(&connection).cloned() else { continue };
                if let State::Failing { failed_jobs, last_failure, .. } = &mut facts.state {
                    *failed_jobs += 1;
                    *last_failure = at;
                    snapshot.connections.insert(connection.into(), facts);
                }
            }
            self.step(now, Vec::new(), Some(Arc::new(snapshot)));
        }
    }

    /// When something is due without anything new.
    fn next(&self) -> Option<Timestamp> {
        let effect = self.due.first().map(|(at, _)| *at);
        [self.planner.next_due(), effect].into_iter().flatten().min()
    }

    fn step(&mut self, now: Timestamp, said: Vec<Said>, snapshot: Option<Arc<Snapshot>>) {
        self.now = now;
        if let Some(snapshot) = &snapshot {
            self.snapshot = snapshot.clone();
        }
        let mut input = Input { said, snapshot, ..Input::default() };
        for _ in 0..ROUNDS {
            let changes = self.planner.step(now, input);
            input = Input::default();
            self.keep(now, &changes);
            // Each user is a person: whose address it is only the running alerter looks up.
            let person = |user: &String| (user.clone(), Person::Hash(user.clone()));
            input.people = changes.unresolved.iter().map(person).collect();
            input.outcomes = self.deliver(now);
            if input.people.is_empty() && input.outcomes.is_empty() {
                return;
            }
        }
    }

    fn keep(&mut self, now: Timestamp, changes: &Changes) {
        for effect in &changes.effects {
            if effect.state.is_final() {
                self.unwait(&effect.key);
                self.record.play(Played::of(now, effect));
            } else {
                self.wait(effect);
            }
        }
        for _ in changes.timeline.iter().filter(|entry| entry.what == "held") {
            self.record.hold(now);
        }
    }

    fn wait(&mut self, effect: &Effect) {
        self.unwait(&effect.key);
        if matches!(effect.state, EffectState::Planned | EffectState::Deferred) {
            self.due.insert((effect.next_attempt, effect.key.clone()));
            self.waiting.insert(effect.key.clone(), effect.clone());
        }
    }

    fn unwait(&mut self, key: &str) {
        if let Some(effect) = self.waiting.remove(key) {
            self.due.remove(&(effect.next_attempt, effect.key));
        }
    }

    fn deliver(&mut self, now: Timestamp) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((_, key)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            let Some(mut effect) = self.waiting.remove(&key) else {
                self.due.pop_first();
                continue;
            };
            self.due.pop_first();
            match self.attempt(effect.clone(), now) {
                Some(outcome) => outcomes.push(outcome),
                None => {
                    // Nobody can be asked: it waits, and spends no attempt.
                    effect.next_attempt = after(now, STEP);
                    self.wait(&effect);
                }
            }
        }
        outcomes
    }

    fn attempt(&mut self, mut effect: Effect, now: Timestamp) -> Option<Outcome> {
        effect.changed = now;
        let (mut spoke_of, mut refreshed, mut failed_before) = (Vec::new(), None, None);
        if effect.expires <= now {
            effect.state = EffectState::Expired;
            "it was not sent in time".clone_into(&mut effect.reason);
            return Some(Outcome { effect, spoke_of, refreshed, failed_before });
        }
        match verify(&effect, &self.snapshot, now, &self.settings.limits) {
            Verdict::Wait(_) => return None,
            Verdict::Obsolete(why) => {
                effect.state = EffectState::Obsolete;
                effect.reason = why;
            }
            Verdict::Go(incidents) => {
                spoke_of = incidents;
                let live = self.settings.actions.mode(effect.action) == Mode::Live;
                effect.state = if live { EffectState::Delivered } else { EffectState::DryRun };
                effect.attempts += 1;
                effect.remote = live.then(|| effect.key.clone());
                if let Payload::Refresh { connection, .. } = &effect.payload {
                    failed_before = self.snapshot.newest_failure(connection);
                    self.jobs.push((after(now, JOB), connection.clone()));
                    refreshed = live.then(|| Refreshed::Started { job: effect.key.clone() });
                }
            }
        }
        Some(Outcome { effect, spoke_of, refreshed, failed_before })
    }
}
