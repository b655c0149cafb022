//! How much may be asked now: arithmetic over time, without waiting and without a clock.

use std::{collections::VecDeque, time::Duration};

use daemon::Timestamp;
use jiff::SignedDuration;

use super::{Priority, Quota};

/// The longest that one `Retry-After` is believed.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// The slowest pace after repeated throttling, as a part of the quota.
const SLOWEST: f64 = 0.05;

/// How long it takes to go from standstill to full pace again.
const RECOVERY: Duration = Duration::from_secs(300);

const HOUR: i64 = 3600;

/// A token bucket for the rate, an hourly ring for the day, a pause and a pace for throttling.
#[derive(Debug)]
pub(super) struct Meter {
    quota: Quota,
    tokens: f64,
    refilled: Timestamp,
    /// Requests by hour since the epoch, oldest first.
    hours: VecDeque<(i64, u64)>,
    in_flight: usize,
    paused_until: Option<Timestamp>,
    /// Pace right after the last throttling, and when that was.
    slowed: Option<(f64, Timestamp)>,
    strikes: u32,
}

/// Why nothing may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The rate or the day has no room before then.
    Until(Timestamp),
    /// Basiq has asked for a pause until then.
    Paused(Timestamp),
    /// As many requests as allowed are under way.
    Slot,
}

impl Meter {
    pub(super) fn new(quota: Quota, now: Timestamp) -> Self {
        Self {
            quota,
            tokens: f64::from(quota.burst.max(1)),
            refilled: now,
            hours: VecDeque::new(),
            in_flight: 0,
            paused_until: None,
            slowed: None,
            strikes: 0,
        }
    }

    /// Adds what an earlier process used, by hour since the epoch.
    pub(super) fn resume(&mut self, spent: &[(i64, u64)]) {
        for (hour, count) in spent {
            match self.hours.iter_mut().find(|(known, _)| known == hour) {
                Some((_, known)) => *known = known.saturating_add(*count),
                None => self.hours.push_back((*hour, *count)),
            }
        }
        self.hours.make_contiguous().sort_unstable();
    }

    /// What was used in the last 24 hours, by hour since the epoch, oldest first.
    pub(super) fn spent(&mut self, now: Timestamp) -> Vec<(i64, u64)> {
        self.forget_hours(now);
        self.hours.iter().copied().collect()
    }

    /// Takes a place for one request, to be given back by [`Self::release`], or says what to wait for.
    pub(super) fn take(&mut self, now: Timestamp, priority: Priority) -> Result<(), Wait> {
        if let Some(until) = self.paused_until(now) {
            return Err(Wait::Paused(until));
        }
        if self.in_flight >= self.quota.concurrency.max(1) {
            return Err(Wait::Slot);
        }
        let hour = self.forget_hours(now);
        if self.used() >= allowance(self.quota.per_day, priority) {
            let oldest = self.hours.front().map_or(hour, |(hour, _)| *hour);
            return Err(Wait::Until(seconds((oldest + 25) * HOUR).max(now + SignedDuration::from_secs(60))));
        }
        self.refill(now);
        if self.tokens < 1.0 {
            let missing = (1.0 - self.tokens) / self.rate(now);
            return Err(Wait::Until(now + signed(missing) + SignedDuration::from_millis(1)));
        }
        self.tokens -= 1.0;
        self.in_flight += 1;
        match self.hours.back_mut() {
            Some((last, count)) if *last == hour => *count += 1,
            _ => self.hours.push_back((hour, 1)),
        }
        Ok(())
    }

    /// A request has ended.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Basiq asked for less: pauses for `retry_after`, or for an ever longer time where it names none, and
    /// halves the pace. Answers to requests that were under way when the pause began extend it at most.
    /// `jitter` is between 0 and 1. Returns the end of the pause.
    pub(super) fn throttle(
        &mut self,
        now: Timestamp,
        retry_after: Option<Duration>,
        jitter: f64,
    ) -> Timestamp {
        let pausing = self.paused_until(now);
        if pausing.is_none() {
            let pace = (self.pace(now) / 2.0).max(SLOWEST);
            self.slowed = Some((pace, now));
            self.strikes = (self.strikes + 1).min(8);
        }
        let pause = match retry_after {
            // Never earlier than asked for, and not all clients at the same moment.
            Some(asked) => asked.min(MAX_PAUSE).mul_f64(1.0 + jitter / 10.0),
            None => Duration::from_secs(1).mul_f64(2f64.powi(self.strikes as i32) * (0.5 + jitter / 2.0)),
        };
        self.hold(now, pause)
    }

    /// Pauses without slowing down.
    pub(super) fn hold(&mut self, now: Timestamp, pause: Duration) -> Timestamp {
        let until = now + signed(pause.min(MAX_PAUSE.mul_f64(1.1)).as_secs_f64());
        let until = self.paused_until(now).map_or(until, |earlier| earlier.max(until));
        self.paused_until = Some(until);
        until
    }

    /// Basiq answered: the next throttling starts with a short pause again.
    pub(super) fn succeeded(&mut self) {
        self.strikes = 0;
    }

    /// The end of the pause, while there is one.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        // A clock stepped back must not turn a short pause into a long one.
        let latest = now + signed(MAX_PAUSE.as_secs_f64() * 1.1);
        self.paused_until.filter(|until| *until > now).map(|until| until.min(latest))
    }

    /// What is left of the last 24 hours.
    pub(super) fn remaining(&mut self, now: Timestamp) -> u64 {
        self.forget_hours(now);
        self.quota.per_day.saturating_sub(self.used())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How long `waiting` requests take at the present pace.
    pub(super) fn estimate(&self, now: Timestamp, waiting: usize) -> Duration {
        Duration::try_from_secs_f64(waiting as f64 / self.rate(now)).unwrap_or(MAX_PAUSE).min(MAX_PAUSE)
    }

    fn used(&self) -> u64 {
        self.hours.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Drops hours that ended 24 hours ago; returns the present one. The hour 24 hours ago still counts in
    /// full, so that no 24 hours exceed the quota whatever their beginning.
    fn forget_hours(&mut self, now: Timestamp) -> i64 {
        let hour = now.as_second().div_euclid(HOUR);
        while self.hours.front().is_some_and(|(oldest, _)| *oldest < hour - 24) {
            self.hours.pop_front();
        }
        // After the clock was stepped back, what was counted ahead of it counts now.
        let mut ahead = 0;
        while let Some((_, count)) = self.hours.pop_back_if(|(last, _)| *last > hour) {
            ahead += count;
        }
        match self.hours.back_mut() {
            _ if ahead == 0 => {}
            Some((last, count)) if *last == hour => *count += ahead,
            _ => self.hours.push_back((hour, ahead)),
        }
        hour
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = now.duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        if passed > 0.0 {
            self.tokens = (self.tokens + passed * self.rate(now)).min(f64::from(self.quota.burst.max(1)));
        }
    }

    fn rate(&self, now: Timestamp) -> f64 {
        (self.quota.per_second * self.pace(now)).max(1e-6)
    }

    fn pace(&self, now: Timestamp) -> f64 {
        self.slowed.map_or(1.0, |(pace, since)| {
            let passed = now.duration_since(since).as_secs_f64().max(0.0);
            (pace + passed / RECOVERY.as_secs_f64()).min(1.0)
        })
    }
}

/// How much of the day a priority may use; see [`Priority`].
fn allowance(per_day: u64, priority: Priority) -> u64 {
    let percent = match priority {
        Priority::Effect => 100,
        Priority::Running => 95,
        Priority::Routine => 90,
        Priority::Background => 80,
    };
    (u128::from(per_day) * percent / 100).try_into().unwrap_or(per_day)
}

fn signed(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_hours(24))
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    fn quota(per_second: f64, burst: u32, per_day: u64, concurrency: usize) -> Quota {
        Quota { per_second, burst, per_day, concurrency }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut meter = Meter::new(quota(2.0, 3, 1000, 100), at(0));
        for _ in 0..3 {
            meter.take(at(0), Priority::Routine).unwrap();
        }
        let Err(Wait::Until(next)) = meter.take(at(0), Priority::Routine) else { panic!() };
        assert_eq!(next, at(501));
        assert!(meter.take(at(499), Priority::Routine).is_err());
        assert!(meter.take(next, Priority::Routine).is_ok());
    }

    #[test]
    fn no_more_at_once_than_allowed() {
        let mut meter = Meter::new(quota(100.0, 100, 1000, 2), at(0));
        meter.take(at(0), Priority::Routine).unwrap();
        meter.take(at(0), Priority::Routine).unwrap();
        assert_eq!(meter.take(at(0), Priority::Effect), Err(Wait::Slot));
        meter.release();
        assert!(meter.take(at(0), Priority::Effect).is_ok());
    }

    #[test]
    fn the_last_parts_of_the_day_are_kept_for_greater_need() {
        let mut meter = Meter::new(quota(1e6, 1000, 100, 1000), at(0));
        let mut used = 0;
        for (priority, limit) in [
            (Priority::Background, 80),
            (Priority::Routine, 90),
            (Priority::Running, 95),
            (Priority::Effect, 100),
        ] {
            while meter.take(at(0), priority).is_ok() {
                used += 1;
            }
            assert_eq!(used, limit, "{priority:?}");
        }
        assert_eq!(meter.remaining(at(0)), 0);
        let Err(Wait::Until(next)) = meter.take(at(0), Priority::Effect) else { panic!() };
        assert!(next > at(24 * 3_600_000), "{next}");
        assert!(meter.take(next, Priority::Effect).is_ok());
    }

    #[test]
    fn what_an_earlier_process_used_counts_until_it_is_a_day_old() {
        let mut before = Meter::new(quota(1e6, 1000, 100, 1000), at(0));
        while before.take(at(0), Priority::Effect).is_ok() {}
        let mut after = Meter::new(quota(1e6, 1000, 100, 1000), at(1000));
        after.take(at(1000), Priority::Effect).unwrap();
        after.resume(&before.spent(at(1000)));
        assert_eq!(after.remaining(at(1000)), 0);
        assert!(matches!(after.take(at(1000), Priority::Effect), Err(Wait::Until(_))));
        assert!(after.take(at(25 * 3_600_000), Priority::Effect).is_ok());
    }

    #[test]
    fn throttling_pauses_everybody_then_slows_and_recovers() {
        let mut meter = Meter::new(quota(10.0, 1, 100_000, 100), at(0));
        let until = meter.throttle(at(0), Some(Duration::from_secs(30)), 0.5);
        assert_eq!(until, at(31_500));
        assert_eq!(meter.take(at(31_000), Priority::Effect), Err(Wait::Paused(until)));
        // Others that were under way do not halve the pace again, and do not shorten the pause.
        assert_eq!(meter.throttle(at(10), Some(Duration::from_secs(1)), 0.0), until);
        assert!((meter.pace(at(0)) - 0.5).abs() < 1e-9);
        assert!(meter.take(until, Priority::Effect).is_ok());
        assert!(meter.pace(at(60_000)) < 1.0);
        assert!((meter.pace(at(300_000)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn pauses_without_a_given_time_grow_until_an_answer_comes() {
        let mut meter = Meter::new(quota(10.0, 1, 100_000, 100), at(0));
        let mut now = at(0);
        let mut last = SignedDuration::ZERO;
        for _ in 0..6 {
            let until = meter.throttle(now, None, 1.0);
            assert!(until.duration_since(now) > last);
            last = until.duration_since(now);
            now = until;
        }
        meter.succeeded();
        assert_eq!(meter.throttle(now, None, 1.0).duration_since(now), SignedDuration::from_secs(2));
    }

    #[test]
    fn an_absurd_pause_is_bounded() {
        let mut meter = Meter::new(Quota::default(), at(0));
        let until = meter.throttle(at(0), Some(Duration::MAX), 1.0);
        assert!(until.duration_since(at(0)) <= SignedDuration::from_mins(66));
        // Nor does a clock that is stepped back by a year make it one.
        let back = at(-31_536_000_000);
        assert!(meter.paused_until(back).unwrap().duration_since(back) <= SignedDuration::from_mins(66));
    }

    proptest! {
        /// Whatever is asked when, also across throttling: in no window are there more requests than the burst
        /// and the rate allow, in no 24 hours more than the day's, and never more at once than allowed.
        #[test]
        fn the_quota_is_never_exceeded(
            per_second in 0.1f64..50.0,
            burst in 1u32..20,
            per_day in 1u64..300,
            concurrency in 1usize..5,
            steps in proptest::collection::vec((0i64..40_000, 0usize..4, 0u8..20), 1..800),
        ) {
            let mut meter = Meter::new(quota(per_second, burst, per_day, concurrency), at(0));
            let mut taken: Vec<i64> = Vec::new();
            let (mut now, mut under_way) = (0i64, 0usize);
            for (step, priority, action) in steps {
                // Mostly small steps; some jump by hours.
                now += if action == 19 { step * 1000 } else { step / 40 };
                match action {
                    0..=2 if under_way > 0 => { meter.release(); under_way -= 1; }
                    3 => { meter.throttle(at(now), Some(Duration::from_millis(step as u64)), 0.3); }
                    _ => if meter.take(at(now), Priority::ALL[priority]).is_ok() {
                        taken.push(now);
                        under_way += 1;
                    }
                }
                prop_assert!(under_way <= concurrency);
            }
            for (first, start) in taken.iter().enumerate() {
                let mut in_day = 0;
                for (n, end) in taken[first..].iter().enumerate() {
                    let allowed = f64::from(burst) + per_second * (end - start) as f64 / 1000.0;
                    prop_assert!((n + 1) as f64 <= allowed + 1.0 + 1e-6, "{} in {} ms", n + 1, end - start);
                    in_day += u64::from(end - start < 86_400_000);
                }
                prop_assert!(in_day <= per_day);
            }
        }
    }
}
