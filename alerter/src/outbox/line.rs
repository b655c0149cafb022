//! The line of one channel: what waits for it, what is in hand, and when the next may begin.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use daemon::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Signal, Verdict, Work,
    attempt::{Done, attempt},
    circuit::Circuit,
    policy,
    rate::Bucket,
    verify,
};
use crate::{
    plan::{Outcome, after, share, since},
    store::{Effect, EffectState, Payload},
};

/// How soon one is looked at again that waits for evidence or for the end of a pause.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Line {
    name: String,
    work: Work,
    signals: mpsc::Sender<Signal>,
    waiting: BTreeMap<(Timestamp, String), Effect>,
    times: HashMap<String, Timestamp>,
    in_hand: HashSet<String>,
    circuit: Circuit,
    bucket: Bucket,
    /// Since when no evidence could be had, if it could not.
    blind: Option<Timestamp>,
}

impl Line {
    pub(super) fn new(name: String, work: Work, signals: mpsc::Sender<Signal>) -> Self {
        let bucket = Bucket::new(work.pace.rate, work.pace.burst, Instant::now());
        Self {
            name,
            work,
            signals,
            waiting: BTreeMap::new(),
            times: HashMap::new(),
            in_hand: HashSet::new(),
            circuit: Circuit::default(),
            bucket,
            blind: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Vec<Effect>>,
        stop: CancellationToken,
    ) {
        let mut running: JoinSet<Done> = JoinSet::new();
        while !stop.is_cancelled() {
            let pause = self.begin(&mut running).await;
            let next = self.next(running.len());
            let clock = self.work.clock.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                orders = orders.recv() => match orders {
                    Some(effects) => effects.into_iter().for_each(|effect| self.take(effect)),
                    None => break,
                },
                Some(done) = running.join_next() => self.finish(done).await,
                () = async { tokio::time::sleep(pause.unwrap_or_default()).await }, if pause.is_some() => {}
                () = async { if let Some(at) = next { clock.sleep_until(at).await } }, if pause.is_none() && next.is_some() => {}
            }
        }
        while let Some(done) = running.join_next().await {
            self.finish(done).await;
        }
    }

    fn take(&mut self, effect: Effect) {
        if let Some(time) = self.times.remove(&effect.key) {
            self.waiting.remove(&(time, effect.key.clone()));
        }
        let waits =
            matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Unknown);
        if waits && !self.in_hand.contains(&effect.key) {
            self.wait(effect);
        }
    }

    fn wait(&mut self, effect: Effect) {
        self.times.insert(effect.key.clone(), effect.next_attempt);
        self.waiting.insert((effect.next_attempt, effect.key.clone()), effect);
    }

    /// When something may begin, if nothing else happens before.
    fn next(&self, running: usize) -> Option<Timestamp> {
        let (first, _) = self.waiting.first_key_value()?;
        // While all hands are full, or a probe of an open circuit runs, the end of an attempt wakes the line.
        let free = running < self.work.pace.concurrency && self.circuit.allows(Timestamp::MAX, running);
        free.then(|| self.circuit.until().map_or(first.0, |until| until.max(first.0)))
    }

    /// Begins what is due and may begin. Gives the real time to wait where the rate is used up.
    async fn begin(&mut self, running: &mut JoinSet<Done>) -> Option<Duration> {
        let now = self.work.clock.now();
        let snapshot = self.work.evidence.borrow().clone();
        self.mind_evidence(snapshot.as_of, now);
        let mut chosen: Vec<(Effect, Vec<String>)> = Vec::new();
        let mut pause = None;
        while running.len() + chosen.len() < self.work.pace.concurrency {
            let due = self.waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now);
            if !due || !self.circuit.allows(now, running.len() + chosen.len()) {
                break;
            }
            let Some(((_, key), effect)) = self.waiting.pop_first() else { break };
            self.times.remove(&key);
            if effect.expires <= now {
                let expired = policy::end(effect, EffectState::Expired, "its lifetime is over".to_owned());
                self.report(expired, now).await;
                continue;
            }
            if self.paused(&effect) {
                self.put_off(effect, "paused by a person".to_owned(), now).await;
                continue;
            }
            match verify(&effect, &snapshot, now, &self.work.limits) {
                Verdict::Obsolete(why) => {
                    self.report(policy::end(effect, EffectState::Obsolete, why), now).await;
                }
                Verdict::Wait(why) => self.put_off(effect, why, now).await,
                Verdict::Go(incidents) => match self.bucket.take(Instant::now()) {
                    Ok(()) => chosen.push((effect, incidents)),
                    Err(wait) => {
                        pause = Some(wait);
                        self.wait(effect);
                        break;
                    }
                },
            }
        }
        self.hand_over(chosen, running).await;
        pause
    }

    /// After a time without evidence, what became due in it restarts spread out.
    fn mind_evidence(&mut self, as_of: Option<Timestamp>, now: Timestamp) {
        let fresh = as_of.is_some_and(|as_of| since(now, as_of) <= self.work.limits.evidence_age);
        match self.blind {
            None if !fresh => self.blind = Some(now),
            Some(began) if fresh => {
                self.blind = None;
                if since(now, began) > self.work.limits.evidence_age {
                    self.spread(now);
                }
            }
            _ => {}
        }
    }

    /// Spreads what is due over half an hour, unless it is no more than goes at once anyway.
    fn spread(&mut self, now: Timestamp) {
        let due: Vec<(Timestamp, String)> =
            self.waiting.keys().take_while(|(at, _)| *at <= now).cloned().collect();
        if due.len() as f64 <= self.work.pace.burst {
            return;
        }
        for place in due {
            if let Some(mut effect) = self.waiting.remove(&place) {
                let later = self.work.limits.catch_up_spread.mul_f64(share(&effect.key));
                effect.next_attempt = after(now, later).min(effect.expires);
                self.wait(effect);
            }
        }
    }

    /// Marks what was chosen, and hands over what may still be attempted.
    async fn hand_over(&mut self, chosen: Vec<(Effect, Vec<String>)>, running: &mut JoinSet<Done>) {
        if chosen.is_empty() {
            return;
        }
        let keys: Vec<String> = chosen.iter().map(|(effect, _)| effect.key.clone()).collect();
        match self.work.store.attempting(&keys).await {
            Ok(marked) => {
                let marked: HashSet<String> = marked.into_iter().collect();
                for (mut effect, incidents) in
                    chosen.into_iter().filter(|(effect, _)| marked.contains(&effect.key))
                {
                    effect.marks += 1;
                    self.in_hand.insert(effect.key.clone());
                    running.spawn(attempt(self.work.clone(), effect, incidents, rand::random()));
                }
            }
            Err(error) => {
                tracing::error!(reason = %error, "effects wait: they could not be marked as attempted");
                let at = after(self.work.clock.now(), LOOK_AGAIN);
                for (mut effect, _) in chosen {
                    effect.next_attempt = at;
                    self.wait(effect);
                }
            }
        }
    }

    async fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let Done { outcome, suppress, fault } = match done {
            Ok(done) => done,
            Err(error) => {
                // The mark stays in the store: it is `unknown` at the next start.
                tracing::error!(reason = %error, channel = self.name, "an attempt ended by a fault of this program");
                return;
            }
        };
        let now = self.work.clock.now();
        self.in_hand.remove(&outcome.effect.key);
        let news = match &fault {
            Some(why) if self.circuit.fault(now) => Some(Some(why.clone())),
            None if outcome.effect.state == EffectState::Delivered && self.circuit.well() => Some(None),
            _ => None,
        };
        if news == Some(None) {
            self.spread(now);
        }
        if let Some(open) = news {
            tracing::warn!(channel = self.name, reason = open.as_deref().unwrap_or("works again"), "circuit");
            let _ = self.signals.send(Signal::Circuit { channel: self.name.clone(), open }).await;
        }
        if let Some(suppress) = suppress {
            let _ = self.signals.send(suppress).await;
        }
        let mut outcome = outcome;
        if let (Some(until), true) = (self.circuit.until(), fault.is_some()) {
            outcome.effect.next_attempt = until;
        }
        if !outcome.effect.state.is_final() && outcome.effect.state != EffectState::Held {
            self.wait(outcome.effect.clone());
        }
        let _ = self.signals.send(Signal::Outcome(Box::new(outcome))).await;
    }

    fn paused(&self, effect: &Effect) -> bool {
        let (institution, user) = match &effect.payload {
            Payload::Message(message) => (
                message.connections.first().map(|it| it.institution.as_str()).unwrap_or_default(),
                message.user.as_str(),
            ),
            Payload::Refresh { user, .. } => ("", user.as_str()),
            Payload::Ticket { ticket, .. } => (ticket.institution.as_str(), ""),
            Payload::Comment { .. } | Payload::Notice(_) => ("", ""),
        };
        self.work
            .pauses
            .borrow()
            .iter()
            .any(|pause| pause.covers(effect.action, &effect.rule, institution, user))
    }

    /// Puts one off that spends no attempt. The store hears of it once, not with each look.
    async fn put_off(&mut self, effect: Effect, why: String, now: Timestamp) {
        let news = effect.state == EffectState::Planned;
        let at = after(now, LOOK_AGAIN).min(effect.expires);
        let effect = policy::defer(effect, at, why);
        self.wait(effect.clone());
        if news {
            self.report(effect, now).await;
        }
    }

    async fn report(&self, mut effect: Effect, now: Timestamp) {
        effect.changed = now;
        let outcome = Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None };
        // Nobody listens any more: the daemon ends, and the store has it as it was.
        let _ = self.signals.send(Signal::Outcome(Box::new(outcome))).await;
    }
}
