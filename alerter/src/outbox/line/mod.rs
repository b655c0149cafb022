//! The line of one channel: what waits for it, what is in hand, and when the next may begin.

mod spread;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use daemon::Timestamp;
use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    Begun, Order, Signal, Verdict, Work,
    attempt::{Done, attempt},
    circuit::Circuit,
    places::{Places, Ticket},
    policy,
    queue::Queue,
    verify,
};
use crate::{
    evidence::Snapshot,
    plan::{Outcome, Stop, Stops, after},
    store::{Effect, EffectState, Replicas},
};

/// How soon one is looked at again that waits for evidence or for the end of a pause.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Line {
    name: String,
    work: Work,
    signals: mpsc::Sender<Signal>,
    waiting: Queue,
    in_hand: HashMap<Id, (Effect, Ticket)>,
    circuit: Circuit,
    places: Arc<Places>,
    /// Since when no evidence could be had, if it could not.
    blind: Option<Timestamp>,
    /// Something of this line waits until Basiq works again.
    halted: bool,
    /// When what is due was spread in a store that is shared, until all that was being claimed meanwhile is here.
    spread: Option<Instant>,
    room: Arc<AtomicU32>,
}

impl Line {
    pub(super) fn new(
        name: String,
        work: Work,
        signals: mpsc::Sender<Signal>,
        room: Arc<AtomicU32>,
        places: Arc<Places>,
    ) -> Self {
        Self {
            name,
            waiting: Queue::default(),
            work,
            signals,
            in_hand: HashMap::new(),
            circuit: Circuit::default(),
            places,
            blind: None,
            halted: false,
            spread: None,
            room,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn signals(&self) -> mpsc::Sender<Signal> {
        self.signals.clone()
    }

    /// Whether others may do what this line does not.
    fn shared(&self) -> Option<&dyn Replicas> {
        self.work.store.replicas()
    }

    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, stop: CancellationToken) {
        let mut running: JoinSet<Done> = JoinSet::new();
        while !stop.is_cancelled() {
            // All that has ended and all that has come goes into one look, and so into one mark in the store.
            while let Some(done) = running.try_join_next_with_id() {
                self.finish(done).await;
            }
            while let Ok(order) = orders.try_recv() {
                self.obey(order, &mut running).await;
            }
            let pause = self.begin(&mut running).await;
            let next = self.next(running.len());
            self.offer(running.len());
            let clock = self.work.clock.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                order = orders.recv() => match order {
                    Some(order) => self.obey(order, &mut running).await,
                    None => break,
                },
                Some(done) = running.join_next_with_id() => self.finish(done).await,
                () = async { tokio::time::sleep(pause.unwrap_or_default()).await }, if pause.is_some() => {}
                () = async { if let Some(at) = next { clock.sleep_until(at).await } }, if pause.is_none() && next.is_some() => {}
            }
        }
        while let Ok(order) = orders.try_recv() {
            let now = self.work.clock.now();
            for begun in order.begun {
                let why = "the alerter was stopped before the attempt".to_owned();
                self.report(policy::defer(begun.effect, now, why), now).await;
            }
        }
        while let Some(done) = running.join_next_with_id().await {
            self.finish(done).await;
        }
    }

    /// Takes up what is new. What was begun by being planned is attempted if that still holds.
    async fn obey(&mut self, order: Order, running: &mut JoinSet<Done>) {
        order.effects.into_iter().for_each(|effect| self.take(effect));
        if order.begun.is_empty() {
            return;
        }
        let now = self.work.clock.now();
        let (snapshot, stops) = (self.work.evidence.borrow().clone(), self.work.stops.borrow().clone());
        for Begun { effect, ticket } in order.begun {
            match self.weigh(effect, &snapshot, &stops, now).await {
                Some((effect, incidents)) => self.start(effect, incidents, ticket, running),
                None => self.places.give_back(ticket),
            }
        }
    }

    fn start(&mut self, effect: Effect, incidents: Vec<String>, ticket: Ticket, running: &mut JoinSet<Done>) {
        let task = running.spawn(attempt(self.work.clone(), effect.clone(), incidents, rand::random()));
        self.in_hand.insert(task.id(), (effect, ticket));
    }

    fn take(&mut self, effect: Effect) {
        let waits =
            matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Unknown);
        if waits && !self.in_hand.values().any(|(known, _)| known.key == effect.key) {
            self.waiting.put(effect);
        } else {
            self.waiting.remove(&effect.key);
        }
    }

    /// When something may begin, if nothing else happens before.
    fn next(&self, running: usize) -> Option<Timestamp> {
        // While all hands are full, or a probe of an open circuit runs, the end of an attempt wakes the line.
        if !self.places.any() || !self.circuit.allows(Timestamp::MAX, running) {
            return None;
        }
        let now = self.work.clock.now();
        match (self.waiting.first_later(), self.circuit.until(now).filter(|until| *until > now)) {
            (Some(first), Some(until)) => Some(until.max(first)),
            // Then a probe may be claimed.
            (None, Some(until)) => Some(until),
            (first, None) => first,
        }
    }

    /// Says how much this line would take up from a store that is shared.
    fn offer(&self, running: usize) {
        let now = self.work.clock.now();
        let held = u32::try_from(self.waiting.len() + running).unwrap_or(u32::MAX);
        let room = match self.circuit.until(now) {
            _ if self.spread.is_some() => 0,
            None => self.work.reach().saturating_sub(held),
            Some(until) if until <= now => 1_u32.saturating_sub(held),
            Some(_) => 0,
        };
        self.room.store(room, Ordering::Relaxed);
    }

    /// Begins what is due and may begin. Gives the real time to wait where the rate is used up.
    async fn begin(&mut self, running: &mut JoinSet<Done>) -> Option<Duration> {
        let now = self.work.clock.now();
        let snapshot = self.work.evidence.borrow().clone();
        let stops = self.work.stops.borrow().clone();
        self.mind_evidence(snapshot.as_of, now).await;
        if self.halted && !stops.platform {
            self.halted = false;
            self.spread(now).await;
        }
        if let Some(left) = self.gathers(now).await {
            self.places.open(false);
            return Some(left);
        }
        let domains = self.work.domains.clone();
        self.waiting.ripen(now, |effect| domains.of_effect(effect));
        if !self.waiting.none_due() {
            // What waits is chosen before what is new.
            self.places.open(false);
        }
        let (alive, mut chosen, mut pause) = (self.work.alive(), Vec::new(), None);
        while self.places.any() && self.circuit.allows(now, running.len() + chosen.len()) {
            let Some((effect, domain)) = self.waiting.pop(&self.places) else { break };
            let Some((effect, incidents)) = self.weigh(effect, &snapshot, &stops, now).await else {
                continue;
            };
            match self.places.rate(alive) {
                Ok(()) => {
                    let ticket = self.places.take(&effect, domain);
                    chosen.push((effect, incidents, ticket));
                }
                Err(wait) => {
                    pause = Some(wait);
                    self.waiting.put_back(effect, domain);
                    break;
                }
            }
        }
        self.hand_over(chosen, running).await;
        let well = self.circuit.until(now).is_none() && self.blind.is_none() && !self.halted;
        self.places.open(well && self.spread.is_none() && self.waiting.none_due());
        pause
    }

    /// What of the effect may be attempted now: it, and the incidents that it still speaks of. Whatever may not is put
    /// off, or ends.
    async fn weigh(
        &mut self,
        effect: Effect,
        snapshot: &Snapshot,
        stops: &Stops,
        now: Timestamp,
    ) -> Option<(Effect, Vec<String>)> {
        if effect.expires <= now {
            let expired = policy::end(effect, EffectState::Expired, "its lifetime is over".to_owned());
            self.report(expired, now).await;
            return None;
        }
        if let Some(stop) = stops.of(&effect, snapshot) {
            self.halted |= stop == Stop::Platform;
            let known = effect.reason == stop.why();
            self.put_off(effect, stop.why().to_owned(), !known, now).await;
            return None;
        }
        match verify(&effect, snapshot, now, &self.work.limits) {
            Verdict::Obsolete(why) => {
                self.report(policy::end(effect, EffectState::Obsolete, why), now).await;
                None
            }
            Verdict::Wait(why) => {
                let news = effect.state == EffectState::Planned;
                self.put_off(effect, why, news, now).await;
                None
            }
            Verdict::Go(incidents) => Some((effect, incidents)),
        }
    }

    /// Marks what was chosen, and hands over what may still be attempted.
    async fn hand_over(&mut self, chosen: Vec<(Effect, Vec<String>, Ticket)>, running: &mut JoinSet<Done>) {
        if chosen.is_empty() {
            return;
        }
        let keys: Vec<String> = chosen.iter().map(|(effect, ..)| effect.key.clone()).collect();
        let marked = self.work.store.attempting(&keys).await;
        let later = after(self.work.clock.now(), LOOK_AGAIN);
        if let Err(error) = &marked {
            tracing::error!(reason = %error, "effects wait: they could not be marked as attempted");
        }
        let shared = self.shared().is_some();
        let marked: Option<HashSet<String>> = marked.ok().map(|keys| keys.into_iter().collect());
        for (mut effect, incidents, ticket) in chosen {
            match &marked {
                Some(marked) if marked.contains(&effect.key) => {
                    effect.marks += 1;
                    self.start(effect, incidents, ticket, running);
                }
                // It was withdrawn, or is another replica's.
                Some(_) => self.places.give_back(ticket),
                // It may be marked all the same: a store that is shared frees it, to be claimed anew.
                None if shared => self.places.give_back(ticket),
                None => {
                    self.places.give_back(ticket);
                    effect.next_attempt = later;
                    self.waiting.put(effect);
                }
            }
        }
    }

    async fn finish(&mut self, done: Result<(Id, Done), JoinError>) {
        let now = self.work.clock.now();
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((effect, ticket)) = self.in_hand.remove(&id) else { return };
        self.places.give_back(ticket);
        let Done { mut outcome, suppress, fault } = match done {
            Ok((_, done)) => done,
            Err(error) => {
                tracing::error!(reason = %error, channel = self.name, "an attempt ended by a fault of this program");
                let mut effect = effect;
                effect.unknowns += 1;
                let why = "the attempt ended by a fault of the alerter".to_owned();
                let effect = policy::after_unknown(effect, why, now, true);
                let outcome = Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None };
                Done { outcome, suppress: None, fault: None }
            }
        };
        let news = match &fault {
            Some(why) if self.circuit.fault(now) => Some(Some(why.clone())),
            None if outcome.effect.state == EffectState::Delivered && self.circuit.well() => Some(None),
            _ => None,
        };
        match &news {
            Some(None) => self.spread(now).await,
            Some(Some(_)) => self.hand_back(now).await,
            None => {}
        }
        if let Some(open) = news {
            tracing::warn!(channel = self.name, reason = open.as_deref().unwrap_or("works again"), "circuit");
            let _ = self.signals.send(Signal::Circuit { channel: self.name.clone(), open }).await;
        }
        if let Some(suppress) = suppress {
            let _ = self.signals.send(suppress).await;
        }
        if let (Some(until), true) = (self.circuit.until(now), fault.is_some()) {
            // Another replica may reach the channel; alone, this one waits for its own probe.
            let alone = self.work.alive() == 1;
            outcome.effect.next_attempt = if alone { until } else { after(now, LOOK_AGAIN) };
        }
        let again = !outcome.effect.state.is_final() && outcome.effect.state != EffectState::Held;
        if again && self.shared().is_none() {
            self.waiting.put(outcome.effect.clone());
        }
        let _ = self.signals.send(Signal::Outcome(Box::new(outcome))).await;
    }

    /// Puts one off that spends no attempt. The store hears of it if that is news, not with each look.
    async fn put_off(&mut self, effect: Effect, why: String, news: bool, now: Timestamp) {
        let at = after(now, LOOK_AGAIN).min(effect.expires);
        let effect = policy::defer(effect, at, why);
        if self.shared().is_some() {
            self.let_go(std::slice::from_ref(&effect.key), at).await;
        } else {
            self.waiting.put(effect.clone());
        }
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
