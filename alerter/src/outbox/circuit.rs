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
            Some(until) => until <= now && running == 0,
        }
    }

    /// When the next probe may begin.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The channel was at fault. True if that is news.
    pub(super) fn fault(&mut self, now: Timestamp) -> bool {
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

    #[test]
    fn opens_on_a_fault_probes_once_and_closes_on_success() {
        let at = |second| Timestamp::from_second(second).unwrap();
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
}
