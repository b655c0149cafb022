//! What only ever grows, and when it is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Left, Method, Ms, Name, Outcome, Scenario, record::span};

/// The label set of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Counter {
    /// `basiq_job_steps_total`: institution, method, step.
    Step(Name, Method, Name),
    /// `basiq_job_steps_failed_total`: institution, method, step, code, scenario.
    StepFailed(Name, Method, Name, Name, Scenario),
    /// `basiq_jobs_finished_total`.
    Finished(Name, Method, Outcome),
    /// `basiq_job_codes_unknown_total`.
    CodesUnknown,
    /// `basiq_retry_queue_jobs_left_total`.
    Left(Name, Left),
}

/// How long a new counter shows 0 before its first count, so that `increase()` sees that count.
pub(super) const SEED: Ms = span::MINUTE;

/// Upper bounds of the buckets of `basiq_job_duration_seconds`.
pub const BUCKETS: [f64; 12] =
    [5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 2700.0, 3600.0];

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// How often it happened.
    pub value: u64,
    /// When its label set was first known.
    pub born: Ms,
}

/// One histogram of durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// Observations per bucket (not cumulative), the last for what is over all bounds.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// Sum in milliseconds.
    pub sum: u64,
}

/// All counters, which of them changed since they were last stored, and which since last shown.
#[derive(Debug, Default)]
pub struct Counters {
    cells: BTreeMap<Counter, Cell>,
    durations: BTreeMap<(Method, Outcome), Durations>,
    unstored: BTreeSet<Counter>,
    unstored_durations: BTreeSet<(Method, Outcome)>,
    unshown: BTreeSet<Counter>,
    unshown_durations: BTreeSet<(Method, Outcome)>,
    /// Counters that show 0 until they are old enough.
    seeding: BTreeMap<Ms, Vec<Counter>>,
}

impl Counters {
    /// Makes the label set known, with 0 if it is new.
    pub fn seed(&mut self, counter: Counter, now: Ms) {
        self.cells.entry(counter).or_insert_with(|| {
            self.unstored.insert(counter);
            self.unshown.insert(counter);
            self.seeding.entry(now + SEED).or_default().push(counter);
            Cell { value: 0, born: now }
        });
    }

    /// Counts once.
    pub fn count(&mut self, counter: Counter, now: Ms) {
        self.seed(counter, now);
        if let Some(cell) = self.cells.get_mut(&counter) {
            cell.value += 1;
            self.unstored.insert(counter);
            self.unshown.insert(counter);
        }
    }

    /// Counts one duration.
    pub fn observe(&mut self, key: (Method, Outcome), duration: Ms) {
        let durations = self.durations.entry(key).or_insert_with(Durations::empty);
        let duration = u64::try_from(duration).unwrap_or(0);
        let seconds = duration as f64 / 1000.0;
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        durations.buckets[bucket] += 1;
        durations.sum += duration;
        self.unstored_durations.insert(key);
        self.unshown_durations.insert(key);
    }

    /// Makes a histogram known.
    pub fn seed_durations(&mut self, key: (Method, Outcome)) {
        self.durations.entry(key).or_insert_with(|| {
            self.unstored_durations.insert(key);
            self.unshown_durations.insert(key);
            Durations::empty()
        });
    }

    /// The value to show: 0 during a new label set's first minute.
    pub fn shown(&self, counter: Counter, now: Ms) -> Option<u64> {
        let cell = self.cells.get(&counter)?;
        Some(if now < cell.born + SEED { 0 } else { cell.value })
    }

    /// The value itself.
    pub fn value(&self, counter: Counter) -> u64 {
        self.cells.get(&counter).map_or(0, |cell| cell.value)
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (&Counter, &Cell)> {
        self.cells.iter()
    }

    /// A histogram.
    pub fn durations(&self, key: (Method, Outcome)) -> Option<&Durations> {
        self.durations.get(&key)
    }

    /// Counters and histograms to show anew at `now`.
    pub fn take_unshown(&mut self, now: Ms) -> (BTreeSet<Counter>, BTreeSet<(Method, Outcome)>) {
        while let Some(due) = self.seeding.first_entry().filter(|entry| *entry.key() <= now) {
            self.unshown.extend(due.remove());
        }
        (std::mem::take(&mut self.unshown), std::mem::take(&mut self.unshown_durations))
    }

    /// Counters to store, with their cells.
    pub fn take_unstored(&mut self) -> Vec<(Counter, Cell)> {
        let cells = &self.cells;
        std::mem::take(&mut self.unstored)
            .into_iter()
            .filter_map(|counter| cells.get(&counter).map(|cell| (counter, *cell)))
            .collect()
    }

    /// Histograms to store.
    pub fn take_unstored_durations(&mut self) -> Vec<((Method, Outcome), Durations)> {
        let durations = &self.durations;
        std::mem::take(&mut self.unstored_durations)
            .into_iter()
            .filter_map(|key| durations.get(&key).map(|found| (key, found.clone())))
            .collect()
    }

    /// Takes over what was stored.
    pub fn restore(
        &mut self,
        cells: impl IntoIterator<Item = (Counter, Cell)>,
        durations: impl IntoIterator<Item = ((Method, Outcome), Durations)>,
    ) {
        for (counter, cell) in cells {
            self.cells.insert(counter, cell);
            self.unshown.insert(counter);
            self.seeding.entry(cell.born + SEED).or_default().push(counter);
        }
        for (key, found) in durations {
            self.durations.insert(key, found);
            self.unshown_durations.insert(key);
        }
    }

    /// Whether something waits to be stored.
    pub fn is_dirty(&self) -> bool {
        !(self.unstored.is_empty() && self.unstored_durations.is_empty())
    }
}

impl Durations {
    fn empty() -> Self {
        Self { buckets: [0; BUCKETS.len() + 1], sum: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_label_set_shows_0_for_a_minute_before_its_first_count() {
        let mut counters = Counters::default();
        counters.count(Counter::CodesUnknown, 1000);
        assert_eq!(counters.value(Counter::CodesUnknown), 1);
        assert_eq!(counters.shown(Counter::CodesUnknown, 60_999), Some(0));
        assert_eq!(counters.take_unshown(1000).0.len(), 1);
        assert!(counters.take_unshown(60_999).0.is_empty());
        assert_eq!(counters.take_unshown(61_000).0.len(), 1, "shown anew when the minute is over");
        assert_eq!(counters.shown(Counter::CodesUnknown, 61_000), Some(1));
    }

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let mut counters = Counters::default();
        let key = (Method::Web, Outcome::Success);
        for duration in [5000, 5001, 3_600_000, 3_600_001, -4] {
            counters.observe(key, duration);
        }
        let found = counters.durations(key).unwrap();
        assert_eq!((found.buckets[0], found.buckets[1], found.buckets[11], found.buckets[12]), (2, 1, 1, 1));
    }
}
