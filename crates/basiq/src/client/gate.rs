//! Waiting for one's turn: the [`Meter`] shared by all, in order of need, then of arrival.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::{Clock, Timestamp};
use jiff::SignedDuration;
use tokio::sync::Notify;

use super::{
    Priority, Quota,
    meter::{Meter, Wait},
};
use crate::ErrorKind;

/// Lets requests through as the quota allows.
pub(super) struct Gate {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    meter: Meter,
    /// Who waits; only the first may take. Each is woken when it becomes the first, or a place is free.
    queue: BTreeMap<(Priority, u64), Arc<Notify>>,
    arrivals: u64,
}

impl State {
    fn wake_first(&self) {
        if let Some((_, notify)) = self.queue.first_key_value() {
            notify.notify_one();
        }
    }
}

/// A place under way; dropped when the request has ended.
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    /// How long it was waited for.
    pub(super) waited: Duration,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.meter.release();
        state.wake_first();
    }
}

/// A place in the queue; leaves it when dropped, also when the caller gives up.
struct Place<'a> {
    gate: &'a Gate,
    key: (Priority, u64),
    notify: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.queue.remove(&self.key);
        state.wake_first();
    }
}

impl Gate {
    pub(super) fn new(quota: Quota, clock: Clock) -> Self {
        let meter = Meter::new(quota, clock.now());
        Self { clock, state: Mutex::new(State { meter, queue: BTreeMap::new(), arrivals: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way, so that a poisoned lock still guards a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, but no longer than `patience`: at once if it is known to take longer.
    pub(super) async fn acquire(
        &self,
        priority: Priority,
        patience: Duration,
    ) -> Result<Permit<'_>, ErrorKind> {
        let start = self.clock.now();
        let deadline = start + SignedDuration::try_from(patience).unwrap_or(SignedDuration::from_hours(24));
        let place = self.join(priority);
        loop {
            let (wake, refusal) = match self.attempt(&place, start) {
                Ok(permit) => return Ok(permit),
                Err(failed) => failed,
            };
            let now = self.clock.now();
            if now >= deadline || wake.is_some_and(|at| at > deadline) {
                return Err(refusal);
            }
            tokio::select! {
                () = place.notify.notified() => {}
                () = self.clock.sleep_until(wake.unwrap_or(deadline).min(deadline)) => {}
            }
        }
    }

    fn join(&self, priority: Priority) -> Place<'_> {
        let mut state = self.lock();
        state.arrivals += 1;
        let (key, notify) = ((priority, state.arrivals), Arc::new(Notify::new()));
        state.queue.insert(key, Arc::clone(&notify));
        Place { gate: self, key, notify }
    }

    /// A permit, or when to look again (`None`: when woken) and what to say if that is too late.
    fn attempt(
        &self,
        place: &Place<'_>,
        start: Timestamp,
    ) -> Result<Permit<'_>, (Option<Timestamp>, ErrorKind)> {
        let mut state = self.lock();
        let now = self.clock.now();
        if state.queue.first_key_value().is_some_and(|(first, _)| *first != place.key) {
            let retry_after = state.meter.estimate(now, state.queue.range(..=place.key).count());
            return Err((None, ErrorKind::QuotaExhausted { retry_after }));
        }
        match state.meter.take(now, place.key.0) {
            // The place is left when dropped, which wakes the next.
            Ok(()) => Ok(Permit { gate: self, waited: between(start, now) }),
            Err(Wait::Slot) => {
                let retry_after = state.meter.estimate(now, 1);
                Err((None, ErrorKind::QuotaExhausted { retry_after }))
            }
            Err(Wait::Until(at)) => {
                Err((Some(at), ErrorKind::QuotaExhausted { retry_after: between(now, at) }))
            }
            Err(Wait::Paused(at)) => Err((Some(at), ErrorKind::Throttled { retry_after: between(now, at) })),
        }
    }

    /// Basiq asked for less; returns until when all is paused.
    pub(super) fn throttle(&self, retry_after: Option<Duration>) -> Timestamp {
        self.lock().meter.throttle(self.clock.now(), retry_after, rand::random())
    }

    /// Basiq is unavailable and says for how long.
    pub(super) fn hold(&self, pause: Duration) {
        self.lock().meter.hold(self.clock.now(), pause);
    }

    pub(super) fn succeeded(&self) {
        self.lock().meter.succeeded();
    }

    pub(super) fn resume(&self, spent: &[(i64, u64)]) {
        self.lock().meter.resume(spent);
    }

    pub(super) fn spent(&self) -> Vec<(i64, u64)> {
        self.lock().meter.spent(self.clock.now())
    }

    /// Paused until, left today, under way, waiting.
    pub(super) fn status(&self) -> (Option<Timestamp>, u64, usize, usize) {
        let mut state = self.lock();
        let now = self.clock.now();
        (
            state.meter.paused_until(now),
            state.meter.remaining(now),
            state.meter.in_flight(),
            state.queue.len(),
        )
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3600);

    fn gate(per_second: f64, burst: u32, concurrency: usize) -> (Arc<Gate>, daemon::Hand) {
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let quota = Quota { per_second, burst, per_day: 100, concurrency };
        (Arc::new(Gate::new(quota, clock)), hand)
    }

    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_most_needed_go_first_and_then_the_first_come() {
        let (gate, hand) = gate(1.0, 1, 10);
        drop(gate.acquire(Priority::Effect, PATIENCE).await.unwrap());
        let (sender, mut order) = mpsc::unbounded_channel();
        let names = [
            (Priority::Background, "sweep"),
            (Priority::Routine, "first"),
            (Priority::Routine, "second"),
            (Priority::Effect, "effect"),
        ];
        for (priority, name) in names {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            tokio::spawn(async move {
                let _permit = gate.acquire(priority, PATIENCE).await.unwrap();
                sender.send(name).unwrap();
            });
            settle().await;
        }
        for expected in ["effect", "first", "second", "sweep"] {
            assert!(order.try_recv().is_err());
            hand.advance(Duration::from_millis(1002));
            settle().await;
            assert_eq!(order.try_recv(), Ok(expected));
        }
        assert_eq!(gate.status(), (None, 95, 0, 0));
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_queue_and_blocks_nobody() {
        let (gate, hand) = gate(1.0, 1, 10);
        drop(gate.acquire(Priority::Effect, PATIENCE).await.unwrap());
        let spawn = |priority| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.acquire(priority, PATIENCE).await.map(|permit| permit.waited) })
        };
        let leaving = spawn(Priority::Effect);
        settle().await;
        let staying = spawn(Priority::Routine);
        settle().await;
        assert_eq!(gate.status().3, 2);
        leaving.abort();
        settle().await;
        assert_eq!(gate.status().3, 1);
        hand.advance(Duration::from_secs(2));
        assert_eq!(staying.await.unwrap().unwrap(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_freed_place_goes_to_the_next() {
        let (gate, _hand) = gate(100.0, 100, 1);
        let held = gate.acquire(Priority::Routine, PATIENCE).await.unwrap();
        let other = Arc::clone(&gate);
        let waiting = tokio::spawn(async move { other.acquire(Priority::Routine, PATIENCE).await.is_ok() });
        settle().await;
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_wait_beyond_patience_is_refused_at_once() {
        let (gate, _hand) = gate(1.0, 1, 10);
        gate.throttle(Some(Duration::from_secs(600)));
        let error = gate.acquire(Priority::Effect, Duration::from_secs(60)).await.map(|_| ()).unwrap_err();
        let ErrorKind::Throttled { retry_after } = error else { panic!("{error}") };
        assert!(retry_after >= Duration::from_secs(600), "{retry_after:?}");
        assert_eq!(gate.status().3, 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_patience_behind_others() {
        let (gate, hand) = gate(1.0, 1, 1);
        let _held = gate.acquire(Priority::Effect, PATIENCE).await.unwrap();
        let other = Arc::clone(&gate);
        let waiting = tokio::spawn(async move {
            other.acquire(Priority::Routine, Duration::from_secs(30)).await.map(|_| ()).unwrap_err()
        });
        settle().await;
        hand.advance(Duration::from_secs(31));
        assert!(matches!(waiting.await.unwrap(), ErrorKind::QuotaExhausted { .. }));
    }
}
