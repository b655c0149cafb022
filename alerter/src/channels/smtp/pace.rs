//! How fast a relay may be used: a token bucket that a throttling relay halves.

use std::time::{Duration, Instant};

/// The slowest pace, in messages a second.
const FLOOR: f64 = 0.1;
/// After this long without throttling the pace doubles again.
const RECOVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Pace {
    ceiling: f64,
    burst: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
    changed: Instant,
}

impl Pace {
    /// `rate` messages a second, `burst` of them at once.
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { ceiling: rate, burst, rate, tokens: burst, at: now, changed: now }
    }

    /// Takes a place; the caller waits that long before it uses it.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        while self.rate < self.ceiling && now.duration_since(self.changed) >= RECOVERY {
            self.rate = (self.rate * 2.0).min(self.ceiling);
            self.changed += RECOVERY;
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.at = now;
        self.tokens -= 1.0;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.rate) }
    }

    /// The relay asked for less.
    pub(super) fn halve(&mut self, now: Instant) {
        self.rate = (self.rate / 2.0).max(FLOOR);
        self.tokens = self.tokens.min(0.0);
        self.changed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0, 5.0, start);
        for _ in 0..5 {
            assert_eq!(pace.take(start), Duration::ZERO);
        }
        assert_eq!(pace.take(start), Duration::from_millis(100));
        assert_eq!(pace.take(start), Duration::from_millis(200));
        assert_eq!(pace.take(start + Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn throttling_halves_the_rate_and_quiet_minutes_bring_it_back() {
        let start = Instant::now();
        let mut pace = Pace::new(8.0, 1.0, start);
        pace.halve(start);
        pace.halve(start);
        assert_eq!(pace.take(start), Duration::from_millis(500));
        let later = start + RECOVERY * 2;
        pace.take(later);
        assert_eq!(pace.take(later), Duration::from_millis(125));
        for _ in 0..100 {
            pace.halve(later);
        }
        assert!(pace.rate >= FLOOR);
    }
}
