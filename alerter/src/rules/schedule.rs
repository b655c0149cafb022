//! Which groups are due, and how long looks have gone on without a gap.

use super::{Group, Sight};

/// An evaluation may come this much early and still count for its interval: a tick is never exact.
const EARLY: f64 = 0.9;
/// So many intervals without a clear look are a gap.
const GAP: i64 = 4;

/// The times of a rule set's evaluations, all in milliseconds. Reads no clock.
#[derive(Debug)]
pub struct Schedule {
    /// When each group was evaluated last.
    evaluated: Vec<Option<i64>>,
    /// Clear looks without a gap.
    unbroken: Option<Unbroken>,
}

#[derive(Clone, Copy, Debug)]
struct Unbroken {
    since: i64,
    last: i64,
}

impl Schedule {
    /// Nothing was evaluated yet.
    pub fn new(groups: usize) -> Self {
        Self { evaluated: vec![None; groups], unbroken: None }
    }

    /// Goes over to another rule set, of which all is due; `wider` if it looks farther back.
    pub fn replace(&mut self, groups: usize, wider: bool) {
        self.evaluated = vec![None; groups];
        if wider {
            self.unbroken = None;
        }
    }

    /// Takes a look into account. After a gap, or a clock that was set back, a range holds less than it
    /// says, so what is absent from it proves nothing until it is filled again.
    pub fn look(&mut self, at: i64, interval: i64, sight: Sight) {
        let longest = GAP.saturating_mul(interval.max(1));
        let gap = |unbroken: Unbroken| at < unbroken.last || at.saturating_sub(unbroken.last) > longest;
        if self.unbroken.is_some_and(gap) {
            self.unbroken = None;
        }
        if sight == Sight::Clear {
            self.unbroken.get_or_insert(Unbroken { since: at, last: at }).last = at;
        }
    }

    /// Whether the absence of a result at `at` is evidence of an end, for a rule that reads so far back.
    pub fn may_end(&self, at: i64, range_ms: i64) -> bool {
        self.unbroken
            .is_some_and(|unbroken| unbroken.last == at && at.saturating_sub(unbroken.since) >= range_ms)
    }

    /// Whether the group of that number is due; if so, it counts as evaluated. `interval` is that of groups
    /// which name none.
    pub fn due(&mut self, number: usize, group: &Group, at: i64, interval: i64) -> bool {
        let every =
            group.interval.map_or(interval, |every| i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
        let Some(last) = self.evaluated.get_mut(number) else { return false };
        if last.is_some_and(|last| at >= last && ((at - last) as f64) < every as f64 * EARLY) {
            return false;
        }
        *last = Some(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn looked(looks: &[(i64, Sight)]) -> Schedule {
        let mut schedule = Schedule::new(0);
        looks.iter().for_each(|(at, sight)| schedule.look(*at, 15_000, *sight));
        schedule
    }

    #[test]
    fn a_range_must_have_been_filled_by_clear_looks() {
        let mut schedule = Schedule::new(0);
        for at in (0..=HOUR).step_by(15_000) {
            schedule.look(at, 15_000, Sight::Clear);
            assert!(schedule.may_end(at, 0));
            assert_eq!(schedule.may_end(at, HOUR), at == HOUR);
        }
    }

    #[test]
    fn a_short_blindness_ends_nothing_and_a_long_one_begins_anew() {
        let clear = |at| (at, Sight::Clear);
        let blind = |at| (at, Sight::Blind);
        let schedule = looked(&[clear(0), blind(15_000)]);
        assert!(!schedule.may_end(15_000, 0));
        let schedule = looked(&[clear(0), blind(15_000), clear(30_000)]);
        assert!(schedule.may_end(30_000, 30_000));
        let long: Vec<_> = (1..=5).map(|n| blind(n * 15_000)).collect();
        let mut schedule = looked(&[&[clear(0)], &*long].concat());
        schedule.look(90_000, 15_000, Sight::Clear);
        assert!(schedule.may_end(90_000, 0) && !schedule.may_end(90_000, 1));
    }

    #[test]
    fn gaps_and_clocks_set_back_begin_anew() {
        let clear = |at| (at, Sight::Clear);
        assert!(!looked(&[clear(0), clear(HOUR)]).may_end(HOUR, HOUR));
        let mut schedule = looked(&[clear(HOUR), clear(HOUR - 60_000)]);
        assert!(!schedule.may_end(HOUR - 60_000, 1));
        schedule.look(HOUR - 45_000, 15_000, Sight::Clear);
        assert!(schedule.may_end(HOUR - 45_000, 15_000));
    }
}
