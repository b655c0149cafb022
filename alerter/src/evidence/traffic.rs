//! The last half hour of each bank's jobs, from counters that only grow.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use daemon::Timestamp;
use jiff::SignedDuration;

use super::Snapshot;
use crate::incidents::Class;

/// The window, which is also that of `basiq_users_newly_failing`.
const WINDOW: SignedDuration = SignedDuration::from_mins(30);
/// Counters are kept no closer together than this.
const APART: SignedDuration = SignedDuration::from_mins(1);
/// A gap in the looks may stretch the window so far; beyond, nothing is said of it.
const LONGEST: SignedDuration = SignedDuration::from_mins(40);
/// Finished jobs before the window below which nobody can say what is usual.
const ENOUGH: f64 = 100.0;

/// Institution and method.
pub type Bank = (Arc<str>, Arc<str>);

/// The jobs of one bank in the last 30 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Jobs that finished.
    pub finished: f64,
    /// Of these, jobs that failed in the service-unavailable class.
    pub failed: f64,
    /// Distinct users whose first failure in that class was in these 30 minutes.
    pub newly_failing: f64,
    /// The share of jobs that failed in that class before, of all that ever finished; `None` while there were
    /// too few to tell.
    pub usual: Option<f64>,
}

/// Counters of one look.
type Totals = HashMap<Bank, (f64, f64)>;

/// Remembers the counters of the last half hour.
#[derive(Debug, Default)]
pub struct Window {
    looks: VecDeque<(Timestamp, Totals)>,
}

impl Window {
    /// Adds what a look showed, and says what its last 30 minutes held. Nothing is said before there was a look
    /// 30 minutes ago, nor across a counter that fell or a clock that went back.
    pub fn add(&mut self, at: Timestamp, snapshot: &Snapshot) -> HashMap<Bank, Traffic> {
        let totals = totals(snapshot);
        if let Some((last, before)) = self.looks.back()
            && (at < *last || fell(before, &totals))
        {
            self.looks.clear();
        }
        while self.looks.get(1).is_some_and(|(next, _)| at.duration_since(*next) >= WINDOW) {
            self.looks.pop_front();
        }
        let mut traffic = HashMap::new();
        if let Some((from, before)) = self.looks.front()
            && (WINDOW..=LONGEST).contains(&at.duration_since(*from))
        {
            let newly = newly_failing(snapshot);
            for (bank, (finished, failed)) in &totals {
                let (finished_before, failed_before) = before.get(bank).copied().unwrap_or_default();
                let usual = (finished_before >= ENOUGH).then(|| failed_before / finished_before);
                traffic.insert(
                    bank.clone(),
                    Traffic {
                        finished: finished - finished_before,
                        failed: failed - failed_before,
                        newly_failing: newly.get(bank).copied().unwrap_or_default(),
                        usual,
                    },
                );
            }
        }
        if self.looks.back().is_none_or(|(last, _)| at.duration_since(*last) >= APART) {
            self.looks.push_back((at, totals));
        }
        traffic
    }
}

fn totals(snapshot: &Snapshot) -> Totals {
    let mut totals = Totals::new();
    for ((institution, method, _), count) in &snapshot.jobs_finished {
        totals.entry((institution.clone(), method.clone())).or_default().0 += count;
    }
    for ((institution, method, scenario), count) in &snapshot.steps_failed {
        if Class::of(scenario) == Class::Service {
            totals.entry((institution.clone(), method.clone())).or_default().1 += count;
        }
    }
    totals
}

fn newly_failing(snapshot: &Snapshot) -> HashMap<Bank, f64> {
    let mut newly = HashMap::new();
    for ((institution, method, scenario), users) in &snapshot.newly_failing {
        if Class::of(scenario) == Class::Service {
            *newly.entry((institution.clone(), method.clone())).or_default() += users;
        }
    }
    newly
}

fn fell(before: &Totals, now: &Totals) -> bool {
    before.iter().any(|(bank, (finished, failed))| {
        now.get(bank).is_none_or(|(finished_now, failed_now)| finished_now < finished || failed_now < failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap()
    }

    fn look(success: f64, failed: f64, newly: f64) -> Snapshot {
        let key = |last: &str| ("AU1".into(), "web".into(), last.into());
        Snapshot {
            jobs_finished: HashMap::from([(key("success"), success), (key("failed"), failed)]),
            steps_failed: HashMap::from([
                (key("service-unavailable"), failed),
                (key("invalid-credentials"), 1000.0),
            ]),
            newly_failing: HashMap::from([
                (key("service-unavailable"), newly - 1.0),
                (key("retry-queued"), 1.0),
                (key("invalid-credentials"), 99.0),
            ]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn says_what_finished_in_half_an_hour_and_what_was_usual_before() {
        let mut window = Window::default();
        for minute in 0..30 {
            assert!(window.add(at(minute), &look(1000.0, 20.0, 1.0)).is_empty(), "{minute}");
        }
        let traffic = window.add(at(30), &look(1060.0, 40.0, 18.0));
        let expected =
            Traffic { finished: 80.0, failed: 20.0, newly_failing: 18.0, usual: Some(20.0 / 1020.0) };
        assert_eq!(traffic[&("AU1".into(), "web".into())], expected);
    }

    #[test]
    fn says_nothing_across_a_reset_a_gap_or_a_clock_that_went_back() {
        let filled = || {
            let mut window = Window::default();
            for minute in 0..=30 {
                window.add(at(minute), &look(1000.0, 20.0, 1.0));
            }
            window
        };
        assert!(!filled().add(at(31), &look(1001.0, 20.0, 1.0)).is_empty());
        assert!(filled().add(at(31), &look(0.0, 0.0, 1.0)).is_empty());
        assert!(filled().add(at(29), &look(1001.0, 20.0, 1.0)).is_empty());
        assert!(filled().add(at(90), &look(1001.0, 20.0, 1.0)).is_empty());
    }

    #[test]
    fn too_few_jobs_leave_open_what_is_usual() {
        let mut window = Window::default();
        for minute in 0..=30 {
            window.add(at(minute), &look(50.0, 0.0, 1.0));
        }
        assert_eq!(window.add(at(31), &look(60.0, 30.0, 30.0))[&("AU1".into(), "web".into())].usual, None);
    }
}
