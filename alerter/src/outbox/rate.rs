//! A token bucket in real time: relays count seconds of the day, whatever clock a process runs on.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate: rate.max(0.001), burst: burst.max(1.0), tokens: burst.max(1.0), filled: now }
    }

    /// Takes a token, or says how long there is none, where the rate is shared by so many.
    pub(super) fn take(&mut self, now: Instant, sharers: u32) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        let (rate, burst) = (self.rate / f64::from(sharers), (self.burst / f64::from(sharers)).max(1.0));
        self.tokens = (self.tokens + passed * rate).min(burst);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 3.0, start);
        assert_eq!((0..5).filter(|_| bucket.take(start, 1).is_ok()).count(), 3);
        let later = start + Duration::from_millis(1000);
        assert_eq!((0..20).filter(|_| bucket.take(later, 1).is_ok()).count(), 3, "no more than the burst");
        assert!(bucket.take(later, 1).unwrap_err() <= Duration::from_millis(100));
        // Two replicas keep to it together.
        let later = later + Duration::from_millis(100);
        assert!(bucket.take(later, 2).is_err());
        assert!(bucket.take(later + Duration::from_millis(100), 2).is_ok());
    }
}
