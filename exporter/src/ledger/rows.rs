//! Which connections are shown singly: a bounded number, the newest troubles first.

use std::collections::{BTreeSet, HashMap};

use super::Ms;

/// What leaves last when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// It fails.
    Failing,
    /// It has failed since before it was news, or is stale.
    Baseline,
    /// Its trouble has ended.
    Ended,
}

/// A connection to show: rank, then the newest first, then its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// What leaves last.
    pub rank: Rank,
    /// The negative of when its trouble began.
    pub order: Ms,
    /// The owner: a user's place, or that of a connection that is gone.
    pub owner: Owner,
    /// The place of the connection among its owner's.
    pub place: u16,
}

/// Whose rows these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A user by its place in the ledger.
    User(u32),
    /// A connection that is gone.
    Departed(u32),
}

/// All rows, of which the first `bound` are shown.
#[derive(Debug)]
pub struct Rows {
    bound: usize,
    shown: BTreeSet<Row>,
    hidden: BTreeSet<Row>,
    of: HashMap<Owner, Vec<Row>>,
    changed: BTreeSet<Owner>,
}

impl Rows {
    /// No rows yet; at most `bound` will be shown.
    pub fn new(bound: usize) -> Self {
        Self {
            bound,
            shown: BTreeSet::new(),
            hidden: BTreeSet::new(),
            of: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Replaces the rows of one owner. Its shown values may have changed even if its rows have not.
    pub fn set(&mut self, owner: Owner, rows: Vec<Row>) {
        let old = self.of.remove(&owner).unwrap_or_default();
        if old.is_empty() && rows.is_empty() {
            return;
        }
        self.changed.insert(owner);
        for row in &old {
            if !self.shown.remove(row) {
                self.hidden.remove(row);
            }
        }
        for row in &rows {
            self.shown.insert(*row);
        }
        if !rows.is_empty() {
            self.of.insert(owner, rows);
        }
        while self.shown.len() > self.bound {
            let Some(last) = self.shown.pop_last() else { break };
            self.changed.insert(last.owner);
            self.hidden.insert(last);
        }
        while self.shown.len() < self.bound {
            let Some(first) = self.hidden.pop_first() else { break };
            self.changed.insert(first.owner);
            self.shown.insert(first);
        }
        // What was put in unasked may be worse than what is hidden.
        while let (Some(worst), Some(best)) = (self.shown.last().copied(), self.hidden.first().copied()) {
            if best >= worst {
                break;
            }
            self.shown.remove(&worst);
            self.hidden.remove(&best);
            self.shown.insert(best);
            self.hidden.insert(worst);
            self.changed.extend([worst.owner, best.owner]);
        }
    }

    /// Whether a row is shown.
    pub fn is_shown(&self, row: &Row) -> bool {
        self.shown.contains(row)
    }

    /// The rows of one owner, shown or not.
    pub fn of(&self, owner: Owner) -> &[Row] {
        self.of.get(&owner).map_or(&[], Vec::as_slice)
    }

    /// How many are hidden.
    pub fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// How many are shown.
    pub fn shown(&self) -> usize {
        self.shown.len()
    }

    /// Owners whose rows must be shown anew.
    pub fn take_changed(&mut self) -> BTreeSet<Owner> {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rank: Rank, since: Ms, owner: u32) -> Row {
        Row { rank, order: -since, owner: Owner::User(owner), place: 0 }
    }

    #[test]
    fn ended_and_baseline_leave_first_then_the_longest_failing() {
        let mut rows = Rows::new(2);
        let all = [
            row(Rank::Ended, 900, 1),
            row(Rank::Baseline, 950, 2),
            row(Rank::Failing, 100, 3),
            row(Rank::Failing, 200, 4),
            row(Rank::Failing, 300, 5),
        ];
        let shown = |rows: &Rows| all.iter().map(|row| rows.is_shown(row)).collect::<Vec<_>>();
        for row in &all {
            rows.set(row.owner, vec![*row]);
        }
        assert_eq!(shown(&rows), [false, false, false, true, true]);
        assert_eq!(rows.hidden(), 3);
        rows.take_changed();
        rows.set(all[4].owner, vec![]);
        assert_eq!(shown(&rows), [false, false, true, true, false]);
        assert_eq!(rows.take_changed(), BTreeSet::from([all[2].owner, all[4].owner]));
        rows.set(all[3].owner, vec![]);
        assert_eq!(shown(&rows), [false, true, true, false, false]);
        assert_eq!((rows.shown(), rows.hidden()), (2, 1));
    }
}
