//! The one clock of a process.
//!
//! Everything that decides *when* takes `now` from here, so that the quickstart can run three
//! processes at 120 times the speed of the day with the shipped rules, and tests can move time by hand.
//! Deadlines of transport (connect, read, write) stay in real time and use tokio directly.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Where `now` and `sleep` come from. Cheap to clone; all clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// `anchor + (real time - anchor) * speed`; the system's clock is speed 1.
    Scaled { anchor: Timestamp, speed: f64 },
    /// Moved by a [`Hand`].
    Manual(watch::Receiver<Timestamp>),
}

/// Moves a manual clock forward; see [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct Hand(Arc<watch::Sender<Timestamp>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::scaled(Timestamp::UNIX_EPOCH, 1.0)
    }

    /// A clock that agreed with the system's at `anchor` and runs `speed` times as fast since.
    /// Processes given the same two values show the same time.
    pub fn scaled(anchor: Timestamp, speed: f64) -> Self {
        Self(Kind::Scaled { anchor, speed })
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(start: Timestamp) -> (Self, Hand) {
        let (sender, receiver) = watch::channel(start);
        (Self(Kind::Manual(receiver)), Hand(Arc::new(sender)))
    }

    /// The present time, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let exact = match &self.0 {
            Kind::Scaled { anchor, speed } if *speed == 1.0 => {
                let _ = anchor;
                Timestamp::now()
            }
            Kind::Scaled { anchor, speed } => {
                let passed = Timestamp::now().duration_since(*anchor).as_secs_f64();
                *anchor + SignedDuration::try_from_secs_f64(passed * speed).unwrap_or_default()
            }
            Kind::Manual(receiver) => *receiver.borrow(),
        };
        Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
    }

    /// Returns once `duration` of this clock's time has passed.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let until = self.now() + SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX / 4);
        self.sleep_until(until)
    }

    /// Returns once this clock shows `until` or later; at once if it already does.
    pub fn sleep_until(&self, until: Timestamp) -> impl Future<Output = ()> + Send + 'static {
        let clock = self.clone();
        async move {
            match clock.0.clone() {
                Kind::Scaled { speed, .. } => loop {
                    let left = until.duration_since(clock.now());
                    if left <= SignedDuration::ZERO {
                        return;
                    }
                    // Bounded, so that a step of the system's clock is noticed within a minute.
                    let real = (left.as_secs_f64() / speed).clamp(0.001, 60.0);
                    tokio::time::sleep(Duration::from_secs_f64(real)).await;
                },
                Kind::Manual(mut receiver) => {
                    if receiver.wait_for(|now| *now >= until).await.is_err() {
                        // The hand is gone: time stands still for good.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    /// How many seconds of this clock pass in one real second; 1 for a manual clock.
    pub fn speed(&self) -> f64 {
        match self.0 {
            Kind::Scaled { speed, .. } => speed,
            Kind::Manual(_) => 1.0,
        }
    }
}

impl Hand {
    /// Moves the clock forward and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::ZERO);
        self.0.send_modify(|now| *now += by);
    }

    /// Sets the clock, also backwards, as a stepped system clock would.
    pub fn set(&self, to: Timestamp) {
        self.0.send_replace(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_clocks_with_one_anchor_agree() {
        let anchor = Timestamp::now() - SignedDuration::from_secs(10);
        let (a, b) = (Clock::scaled(anchor, 120.0), Clock::scaled(anchor, 120.0));
        let passed = a.now().duration_since(anchor).as_secs();
        // Whole seconds, cut off.
        assert!((1199..1260).contains(&passed), "{passed}");
        assert!(b.now().duration_since(a.now()).abs() < SignedDuration::from_secs(12));
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_moved() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let sleeper = tokio::spawn(clock.sleep(Duration::from_secs(600)));
        hand.advance(Duration::from_secs(599));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hand.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now().as_second(), 600);
    }
}
