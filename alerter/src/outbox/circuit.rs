//! Leaves a channel alone that is itself at fault.

use std::time::Duration;

use daemon::Timestamp;

use crate::plan::after;

const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(900);

/// Open for a minute after a fault of the channel, twice as long after each probe that fails.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    until: Option<Timestamp>,
    faults: u32,
}

impl Circuit {
    /// How many attempts may begin now, with `running` on their way: any, one probe, or none.
    pub(super) fn allows(&self, now: Timestamp, running: usize) -> bool {
        match self.until {
            None => true,
            Some(_) => !self.waits(now) && running == 0,
        }
    }

    /// When the next probe may begin: now, if the clock was set back since it was said.
    pub(super) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.map(|until| if self.waits(now) || until <= now { until } else { now })
    }

    /// Whether it is too early for a probe.
    fn waits(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until > now && until <= after(now, LONGEST))
    }

    /// The channel was at fault. True if that is news. What fails while it is too early for a probe began before the
    /// circuit opened: many attempts that fail at once are one fault.
    pub(super) fn fault(&mut self, now: Timestamp) -> bool {
        if self.waits(now) {
            return false;
        }
        let news = self.until.is_none();
        self.until = Some(after(now, FIRST.saturating_mul(1 << self.faults.min(10)).min(LONGEST)));
        self.faults += 1;
        news
    }

    /// The channel answered as it should. True if that is news.
    pub(super) fn well(&mut self) -> bool {
        self.faults = 0;
        self.until.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn opens_on_a_fault_probes_once_and_closes_on_success() {
        let mut circuit = Circuit::default();
        assert!(circuit.allows(at(0), 5));
        assert!(circuit.fault(at(0)));
        assert!(!circuit.allows(at(59), 0));
        assert!(circuit.allows(at(60), 0) && !circuit.allows(at(60), 1));
        assert!(!circuit.fault(at(60)), "no news");
        assert!(!circuit.allows(at(179), 0) && circuit.allows(at(180), 0), "twice as long");
        assert!(circuit.well());
        assert!(circuit.allows(at(180), 5) && !circuit.well());
    }

    #[test]
    fn attempts_that_fail_together_are_one_fault() {
        let mut circuit = Circuit::default();
        assert!(circuit.fault(at(0)));
        for _ in 0..7 {
            assert!(!circuit.fault(at(1)));
        }
        assert_eq!(circuit.until(at(1)), Some(at(60)), "a minute after the first");
        circuit.fault(at(61));
        assert_eq!(circuit.until(at(61)), Some(at(181)), "the probe counts");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_circuit_open_for_longer() {
        let mut circuit = Circuit::default();
        circuit.fault(at(100_000));
        assert!(!circuit.allows(at(100_000), 0));
        assert!(circuit.allows(at(5000), 0), "a day's mistake is not waited for");
        assert_eq!(circuit.until(at(5000)), Some(at(5000)));
        assert!(!circuit.fault(at(5000)) && circuit.until(at(5000)) == Some(at(5120)), "that probe failed");
    }
}
