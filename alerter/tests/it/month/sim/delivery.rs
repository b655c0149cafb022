//! The outbox, the relay, the desk and Basiq, as they answer.

use basiq_alerter::{
    incidents::Class,
    outbox::{Verdict, after_unknown, verify},
    plan::{Outcome, Stops},
    refresh::Refreshed,
    store::{Effect, EffectState, Payload, Phase},
};
use daemon::Timestamp;

use super::{
    Sim, Violation,
    truth::{Event, Queue},
    weather::Service,
};

/// Looked at again after this, where the evidence says nothing.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(300);

fn after(time: Timestamp, wait: std::time::Duration) -> Timestamp {
    time + jiff::SignedDuration::try_from(wait).unwrap_or_default()
}

impl Sim {
    /// The number of a connection.
    pub(super) fn place(id: &str) -> usize {
        id.trim_start_matches('c').parse().unwrap_or(usize::MAX)
    }

    /// Attempts everything that is due.
    pub(super) fn deliver(&mut self) -> Result<Vec<Outcome>, Violation> {
        let (clock, stops) = (self.clock(), self.planner.stops());
        let mut outcomes = Vec::new();
        let mut later = Vec::new();
        while self.waiting.first().is_some_and(|(at, _)| *at <= clock) {
            let Some((_, key)) = self.waiting.pop_first() else { break };
            let Some(effect) = self.effects.get(&key) else { continue };
            let waits =
                matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Unknown);
            if !waits {
                continue;
            }
            match self.verdict(effect, &stops) {
                Verdict::Wait(_) => later.push(key),
                verdict => outcomes.push(self.attempt(effect.clone(), verdict)?),
            }
        }
        for key in later {
            if let Some(effect) = self.effects.get_mut(&key) {
                effect.next_attempt = after(clock, AGAIN).min(effect.expires).max(effect.next_attempt);
                // What expires is looked at once more, to end it.
                self.waiting.insert((effect.next_attempt, key));
            }
        }
        Ok(outcomes)
    }

    fn service(&self, effect: &Effect) -> Service {
        match effect.phase {
            Phase::Opening | Phase::GaveUp | Phase::Closing => self.weather.relay,
            Phase::Ticket | Phase::Comment => self.weather.desk,
            Phase::Refresh | Phase::Notice => Service::Up,
        }
    }

    /// Whether it may be attempted. What waits spends no attempt.
    fn verdict(&self, effect: &Effect, stops: &Stops) -> Verdict {
        let clock = self.clock();
        if effect.expires <= clock {
            return Verdict::Go(Vec::new());
        }
        if stops.of(effect, &self.snapshot).is_some() {
            return Verdict::Wait(String::new());
        }
        match verify(effect, &self.snapshot, clock, &self.settings.limits) {
            Verdict::Go(_) if self.service(effect) == Service::Down => Verdict::Wait(String::new()),
            verdict => verdict,
        }
    }

    fn attempt(&mut self, mut effect: Effect, verdict: Verdict) -> Result<Outcome, Violation> {
        let clock = self.clock();
        effect.changed = clock;
        let failed_before = match &effect.payload {
            Payload::Refresh { connection, .. } => self.snapshot.newest_failure(connection),
            _ => None,
        };
        let none = |effect| Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None };
        if effect.expires <= clock {
            effect.state = EffectState::Expired;
            effect.reason = "its lifetime is over".to_owned();
            return Ok(none(effect));
        }
        let spoke_of = match verdict {
            Verdict::Go(incidents) => incidents,
            Verdict::Obsolete(why) | Verdict::Wait(why) => {
                effect.state = EffectState::Obsolete;
                effect.reason = why;
                return Ok(none(effect));
            }
        };
        let service = self.service(&effect);
        if service == Service::Refuses && self.chance(0.2) {
            effect.state = EffectState::Dead;
            effect.reason = "554 no".to_owned();
            effect.attempts += 1;
            return Ok(Outcome { effect, spoke_of, refreshed: None, failed_before });
        }
        effect.marks += 1;
        let known = service != Service::Flaky || self.chance(0.9);
        if known || self.chance(0.5) {
            self.taken(&effect, &spoke_of, known)?;
        }
        if !known {
            self.counts.unknown += 1;
            effect.unknowns += 1;
            effect.attempts += 1;
            let effect = after_unknown(effect, "no answer came".to_owned(), clock, true);
            return Ok(Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before });
        }
        effect.attempts += 1;
        effect.state = EffectState::Delivered;
        effect.reason = "taken".to_owned();
        effect.remote = match &effect.payload {
            Payload::Ticket { ticket, .. } => Some(ticket.key.clone()),
            _ => Some(effect.key.clone()),
        };
        let refreshed = self.refresh(&effect);
        Ok(Outcome { effect, spoke_of, refreshed, failed_before })
    }

    /// What Basiq answers to a refresh.
    fn refresh(&mut self, effect: &Effect) -> Option<Refreshed> {
        let Payload::Refresh { connection, .. } = &effect.payload else { return None };
        let place = Self::place(connection);
        let job = format!("job-{}-{}", place, self.step);
        let of = &self.connections[place];
        let Some(failing) = &of.failing else {
            return Some(Refreshed::Withheld { why: "it does not fail".to_owned() });
        };
        if Class::of(failing.scenario) == Class::Service && failing.queued {
            if self.switches.queue == Queue::Running {
                return Some(Refreshed::Withheld { why: "a job of this connection is running".to_owned() });
            }
            // The probe: the exporter hears of the queue by the hint.
            if self.switches.queue == Queue::ByProbe {
                self.turns(place, "retry-queued");
            }
            return Some(Refreshed::Existing { job });
        }
        if Class::of(failing.scenario) != Class::Service && !self.switches.invalid {
            return Some(Refreshed::Refused { why: "400 invalid-credentials".to_owned() });
        }
        if of.runs {
            return Some(Refreshed::Withheld { why: "a job runs".to_owned() });
        }
        let (episode, healing) = (of.episode, failing.heals <= self.now);
        self.connections[place].runs = true;
        if healing && failing_is_popup(&self.connections[place].failing) {
            self.later(5..6, Event::Acts(place, episode));
            self.turns(place, "service-unavailable");
        }
        self.later(5..10, Event::Refreshed(place, episode));
        let incident = effect.incidents.first().cloned().unwrap_or_default();
        *self.ledger.started.entry(incident).or_default() += 1;
        Some(Refreshed::Started { job })
    }

    /// The alerter is killed: of what it was attempting nobody knows the outcome.
    pub(super) fn dies(&mut self) {
        let clock = self.clock();
        let due: Vec<String> = self
            .waiting
            .iter()
            .take_while(|(at, _)| *at <= clock)
            .take(8)
            .map(|(_, key)| key.clone())
            .collect();
        for key in due {
            let Some(mut effect) = self.effects.get(&key).cloned() else { continue };
            if effect.state == EffectState::Held {
                continue;
            }
            effect.marks += 1;
            effect.unknowns += 1;
            self.counts.unknown += 1;
            let why = "the alerter ended while it was attempted".to_owned();
            let effect = after_unknown(effect, why, clock, true);
            self.died.push(Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None });
        }
    }
}

fn failing_is_popup(failing: &Option<super::truth::Failing>) -> bool {
    failing.as_ref().is_some_and(|failing| failing.scenario == "user-action-required")
}
