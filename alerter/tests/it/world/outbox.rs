//! An outbox that delivers at once what the evidence bears out.

use basiq_alerter::{
    config::Mode,
    outbox::{Verdict, verify},
    plan::{Input, Outcome},
    refresh::Refreshed,
    store::{Effect, EffectState, Payload},
};
use daemon::Timestamp;

use super::{Answer, Done, Refresh, World, minutes};

impl World {
    pub(super) fn deliver(&mut self) -> Vec<Outcome> {
        if self.answer == Answer::Nothing {
            return Vec::new();
        }
        let due: Vec<Effect> = self
            .effects
            .values()
            .filter(|effect| matches!(effect.state, EffectState::Planned | EffectState::Deferred))
            .filter(|effect| effect.next_attempt <= self.now)
            .cloned()
            .collect();
        due.into_iter().filter_map(|effect| self.attempt(effect)).collect()
    }

    fn attempt(&mut self, mut effect: Effect) -> Option<Outcome> {
        effect.changed = self.now;
        let (mut spoke_of, mut refreshed) = (Vec::new(), None);
        let failed_before = match &effect.payload {
            Payload::Refresh { connection, .. } => self.last_snapshot.newest_failure(connection),
            _ => None,
        };
        let over = effect.expires <= self.now;
        if !over && self.planner.stops().of(&effect, &self.last_snapshot).is_some() {
            return None;
        }
        match verify(&effect, &self.last_snapshot, self.now, &self.settings.limits) {
            _ if over => effect.state = EffectState::Expired,
            Verdict::Wait(_) => return None,
            Verdict::Obsolete(why) => {
                effect.state = EffectState::Obsolete;
                effect.reason = why;
            }
            Verdict::Go(incidents) => {
                spoke_of = incidents;
                let live = self.settings.actions.mode(effect.action) == Mode::Live;
                effect.unknowns += u32::from(self.answer == Answer::Ends(EffectState::Unknown));
                effect.state = match &self.answer {
                    _ if !live => EffectState::DryRun,
                    Answer::Ends(state) => *state,
                    _ => EffectState::Delivered,
                };
                if effect.state == EffectState::Delivered {
                    refreshed = self.handed_over(&mut effect);
                    let mut connections = Vec::new();
                    if let Payload::Message(message) = &effect.payload {
                        for (incident, connection) in effect.incidents.iter().zip(&message.connections) {
                            if spoke_of.contains(incident) {
                                connections.push(connection.connection.clone());
                            }
                        }
                    }
                    self.done.push(Done { at: self.now, effect: effect.clone(), spoke_of: connections });
                }
            }
        }
        self.effects.insert(effect.key.clone(), effect.clone());
        Some(Outcome { effect, spoke_of, refreshed, failed_before })
    }

    fn handed_over(&mut self, effect: &mut Effect) -> Option<Refreshed> {
        effect.remote = Some(match &effect.payload {
            // A desk says where a comment went: to another ticket where the one it was for takes none any more.
            Payload::Comment { remote, .. } => self.moved.clone().unwrap_or_else(|| remote.clone()),
            _ => format!("remote-{}", self.done.len()),
        });
        let Payload::Refresh { connection, .. } = &effect.payload else { return None };
        Some(match self.refresh.clone() {
            Refresh::Says(refreshed) => refreshed,
            how => {
                self.jobs.push((self.now + minutes(1), connection.clone(), how == Refresh::Heals));
                Refreshed::Started { job: format!("job-{}", self.done.len()) }
            }
        })
    }

    pub(super) fn run_jobs(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.jobs).into_iter().partition(|(at, ..)| *at <= now);
        self.jobs = later;
        let due: Vec<(Timestamp, String, bool)> = due;
        for (_, connection, heals) in due {
            let name = connection.trim_start_matches("c-").to_owned();
            if heals { self.recovers(&name) } else { self.fails_again(&name) }
        }
    }

    /// What became of an effect is heard only now.
    pub(crate) fn answers_late(&mut self, mut effect: Effect, state: EffectState) {
        (effect.state, effect.changed) = (state, self.now);
        let spoke_of = effect.incidents.clone();
        let outcome = Outcome { effect, spoke_of, refreshed: None, failed_before: None };
        let changes = self.planner.step(self.now, Input { outcomes: vec![outcome], ..Input::default() });
        self.keep(&changes);
    }

    /// Delivers what is planned against the newest evidence, without the planner hearing of that first.
    pub(crate) fn deliver_only(&mut self) {
        self.look();
        let outcomes = self.deliver();
        let changes = self.planner.step(self.now, Input { outcomes, ..Input::default() });
        self.keep(&changes);
    }
}
