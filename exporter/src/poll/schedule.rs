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
    /// Its place among others of the same need; not after `due`.
    rank: Ms,
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
    /// By need and rank; entries that changed since are skipped when they come up.
    heaps: [BinaryHeap<Reverse<(Ms, u32)>>; NEEDS.len()],
    /// How long a quiet user's turn may be overdue before suspects share with the quiet.
    patience: Ms,
    /// Whether the last of the looks they share was a quiet user's.
    quiet_had: bool,
}

impl Schedule {
    /// One in which every second look that suspects would have is a quiet user's, while one has waited for its turn
    /// for longer than `patience`: whatever happens at some banks, the others are still watched.
    pub fn new(patience: Ms) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Sets when `place` is next looked at, whatever was set before; while it is being looked at, when it is
    /// looked at after that, if that is sooner than what [`Schedule::done`] will say.
    pub fn set(&mut self, place: u32, need: Need, due: Ms) {
        self.set_ranked(place, need, due, due);
    }

    fn set_ranked(&mut self, place: u32, need: Need, rank: Ms, due: Ms) {
        let at = place as usize;
        if self.entries.len() <= at {
            self.entries.resize(at + 1, None);
        }
        let entry = self.entries[at].get_or_insert(Entry { rank, due, need, looking: false });
        if entry.looking {
            let again = self.again.entry(place).or_insert((need, due));
            *again = (again.0.min(need), again.1.min(due));
            return;
        }
        (entry.rank, entry.due, entry.need) = (rank, due, need);
        self.heaps[need as usize].push(Reverse((rank, place)));
    }

    /// Brings a look forward; never puts it off.
    pub fn hasten(&mut self, place: u32, need: Need, due: Ms) {
        match self.entries.get(place as usize).copied().flatten() {
            Some(entry) if !entry.looking && entry.need <= need && entry.due <= due => {}
            Some(entry) if !entry.looking => self.set(place, need.min(entry.need), due.min(entry.due)),
            _ => self.set(place, need, due),
        }
    }

    /// Brings a look forward of a user whose bank is in trouble since `now`: to `rank`, or to now where that has
    /// passed. Suspects come up in the order of their ranks, however late each is.
    pub fn suspect(&mut self, place: u32, rank: Ms, now: Ms) {
        let due = rank.max(now);
        match self.entries.get(place as usize).copied().flatten() {
            Some(entry) if !entry.looking && entry.need > Need::Suspect => {
                self.set_ranked(place, Need::Suspect, rank.min(entry.due), due.min(entry.due));
            }
            _ => self.hasten(place, Need::Suspect, due),
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
        let mut need =
            NEEDS.into_iter().find(|need| self.first(*need).is_some_and(|(rank, _)| rank <= now))?;
        if need == Need::Suspect && self.first(Need::Quiet).is_some_and(|(due, _)| due + self.patience < now)
        {
            self.quiet_had = !self.quiet_had;
            if self.quiet_had {
                need = Need::Quiet;
            }
        }
        let Reverse((_, place)) = self.heaps[need as usize].pop()?;
        let entry = self.entries.get_mut(place as usize)?.as_mut()?;
        entry.looking = true;
        Some((place, need, entry.due))
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
            if let Some((_, due)) = self.first(need) {
                next = Some(next.map_or(due, |found: Ms| found.min(due)));
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

    /// Rank and time of the first look of a need.
    fn first(&mut self, need: Need) -> Option<(Ms, Ms)> {
        let (heap, entries) = (&mut self.heaps[need as usize], &self.entries);
        while let Some(Reverse((rank, place))) = heap.peek() {
            let entry = entries.get(*place as usize).copied().flatten();
            if let Some(entry) = entry.filter(|e| e.rank == *rank && e.need == need && !e.looking) {
                return Some((*rank, entry.due));
            }
            heap.pop();
        }
        None
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
    fn suspects_come_up_by_rank_and_share_with_the_quiet_who_have_waited_for_long() {
        let mut schedule = Schedule::new(50);
        let taken = |schedule: &mut Schedule, now| {
            std::iter::from_fn(|| schedule.next(now)).map(|(place, ..)| place).collect::<Vec<_>>()
        };
        let fill = |schedule: &mut Schedule| {
            for place in 0..4 {
                schedule.set(place, Need::Quiet, 1000);
                schedule.suspect(place, 100 - Ms::from(place), 200);
                schedule.set(place + 4, Need::Quiet, 150);
            }
        };
        fill(&mut schedule);
        // In the past by their ranks, they are due since it is known that they should be.
        assert_eq!(schedule.next_due(), Some(150));
        assert_eq!(taken(&mut schedule, 200), [3, 2, 1, 0, 4, 5, 6, 7]);
        let mut schedule = Schedule::new(50);
        fill(&mut schedule);
        assert_eq!(taken(&mut schedule, 201), [4, 3, 5, 2, 6, 1, 7, 0]);
        // What is more needed than both does not share.
        let mut schedule = Schedule::new(50);
        fill(&mut schedule);
        schedule.hasten(0, Need::Hint, 200);
        assert_eq!(taken(&mut schedule, 201)[..3], [0, 4, 3]);
        // Who fails stays so.
        schedule.set(9, Need::Failing, 300);
        schedule.suspect(9, 0, 250);
        assert_eq!(schedule.next(250), Some((9, Need::Failing, 250)));
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
