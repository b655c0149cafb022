//! What is due, the most needed first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use crate::ledger::Ms;

/// Why a user is looked at, in order of need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A hint, a webhook or an event named it.
    Hint,
    /// A job runs.
    Running,
    /// It was never looked at.
    New,
    /// A connection fails, or a job is in Basiq's retry queue.
    Failing,
    /// Its bank is in trouble.
    Suspect,
    /// Its turn in the pass has come.
    Quiet,
}

const NEEDS: [Need; 6] = [Need::Hint, Need::Running, Need::New, Need::Failing, Need::Suspect, Need::Quiet];

/// One user's next look. Users are known by their places in the ledger.
#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Ms,
    need: Need,
    looking: bool,
}

/// Everybody's next look.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Option<Entry>>,
    /// Asked for while a look was under way, which may not have seen why.
    again: HashMap<u32, (Need, Ms)>,
    /// By need; entries that changed since are skipped when they come up.
    heaps: [BinaryHeap<Reverse<(Ms, u32)>>; NEEDS.len()],
}

impl Schedule {
    /// Sets when `place` is next looked at, whatever was set before; while it is being looked at, when it is
    /// looked at after that, if that is sooner than what [`Schedule::done`] will say.
    pub fn set(&mut self, place: u32, need: Need, due: Ms) {
        let at = place as usize;
        if self.entries.len() <= at {
            self.entries.resize(at + 1, None);
        }
        let entry = self.entries[at].get_or_insert(Entry { due, need, looking: false });
        if entry.looking {
            let again = self.again.entry(place).or_insert((need, due));
            *again = (again.0.min(need), again.1.min(due));
            return;
        }
        (entry.due, entry.need) = (due, need);
        self.heaps[need as usize].push(Reverse((due, place)));
    }

    /// Brings a look forward; never puts it off.
    pub fn hasten(&mut self, place: u32, need: Need, due: Ms) {
        match self.entries.get(place as usize).copied().flatten() {
            Some(entry) if !entry.looking && entry.need <= need && entry.due <= due => {}
            Some(entry) if !entry.looking => self.set(place, need.min(entry.need), due.min(entry.due)),
            _ => self.set(place, need, due),
        }
    }

    /// Forgets a user.
    pub fn remove(&mut self, place: u32) {
        if let Some(entry) = self.entries.get_mut(place as usize) {
            *entry = None;
        }
        self.again.remove(&place);
    }

    /// Takes the most needed look that is due at `now`: place, need, and when it was due. [`Schedule::done`] must follow.
    pub fn next(&mut self, now: Ms) -> Option<(u32, Need, Ms)> {
        for need in NEEDS {
            self.skip_stale(need);
            let heap = &mut self.heaps[need as usize];
            if let Some(Reverse((due, place))) = heap.peek().copied()
                && due <= now
            {
                heap.pop();
                if let Some(Some(entry)) = self.entries.get_mut(place as usize) {
                    entry.looking = true;
                }
                return Some((place, need, due));
            }
        }
        None
    }

    /// A look has ended; the next is due then, or sooner if it was asked for meanwhile.
    pub fn done(&mut self, place: u32, need: Need, due: Ms) {
        let Some(Some(entry)) = self.entries.get_mut(place as usize) else { return };
        entry.looking = false;
        let (need, due) = match self.again.remove(&place) {
            Some((again, at)) if at < due => (again, at),
            _ => (need, due),
        };
        self.set(place, need, due);
    }

    /// When the next look is due.
    pub fn next_due(&mut self) -> Option<Ms> {
        let mut next: Option<Ms> = None;
        for need in NEEDS {
            self.skip_stale(need);
            if let Some(Reverse((due, _))) = self.heaps[need as usize].peek() {
                next = Some(next.map_or(*due, |found: Ms| found.min(*due)));
            }
        }
        next
    }

    /// Places whose look is due at `now`, those under way included.
    pub fn due(&self, now: Ms) -> impl Iterator<Item = u32> {
        let due = move |entry: &Entry| entry.looking || entry.due <= now;
        let entries = self.entries.iter().enumerate();
        entries.filter_map(move |(place, entry)| entry.filter(due).map(|_| place as u32))
    }

    fn skip_stale(&mut self, need: Need) {
        let (heap, entries) = (&mut self.heaps[need as usize], &self.entries);
        while let Some(Reverse((due, place))) = heap.peek() {
            let entry = entries.get(*place as usize).copied().flatten();
            if entry.is_some_and(|e| e.due == *due && e.need == need && !e.looking) {
                break;
            }
            heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn need_decides_and_then_who_is_due_first() {
        let mut schedule = Schedule::default();
        schedule.set(0, Need::Quiet, 1);
        schedule.set(1, Need::Failing, 5);
        schedule.set(2, Need::Failing, 4);
        schedule.set(3, Need::Hint, 90);
        assert_eq!(schedule.next_due(), Some(1));
        let taken: Vec<_> = std::iter::from_fn(|| schedule.next(10)).collect();
        assert_eq!(taken, [(2, Need::Failing, 4), (1, Need::Failing, 5), (0, Need::Quiet, 1)]);
        assert_eq!(schedule.next(90), Some((3, Need::Hint, 90)));
    }

    #[test]
    fn a_user_is_looked_at_once_at_a_time_and_again_if_asked_meanwhile() {
        let mut schedule = Schedule::default();
        schedule.set(0, Need::Quiet, 1);
        assert_eq!(schedule.next(1), Some((0, Need::Quiet, 1)));
        schedule.hasten(0, Need::Hint, 2);
        assert_eq!(schedule.next(2), None);
        assert_eq!(schedule.due(2).count(), 1);
        schedule.done(0, Need::Quiet, 100);
        assert_eq!(schedule.next(2), Some((0, Need::Hint, 2)));
        schedule.done(0, Need::Quiet, 100);
        assert_eq!((schedule.next(99), schedule.next_due()), (None, Some(100)));
    }

    #[test]
    fn hastening_never_puts_off_and_removing_forgets() {
        let mut schedule = Schedule::default();
        schedule.set(0, Need::Failing, 5);
        schedule.hasten(0, Need::Suspect, 9);
        assert_eq!(schedule.next_due(), Some(5));
        schedule.hasten(0, Need::Hint, 9);
        assert_eq!(schedule.next(5), Some((0, Need::Hint, 5)));
        schedule.remove(0);
        schedule.done(0, Need::Quiet, 6);
        assert_eq!((schedule.next(99), schedule.next_due()), (None, None));
    }
}
