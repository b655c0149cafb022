//! Keys of groups and of matches: which labels of a set count, hashed without building that set.

use crate::labels::{Label, Labels, METRIC_NAME};
use crate::node::Grouping;
use crate::window::ByHash;

impl Grouping {
    fn counts(&self, name: &str) -> bool {
        let listed = self.names.iter().any(|listed| listed == name);
        if self.listed { listed } else { !listed && name != METRIC_NAME }
    }

    fn pairs<'l>(&self, labels: &'l Labels) -> impl Iterator<Item = &'l Label> {
        labels.pairs().iter().filter(|pair| self.counts(pair.name()))
    }

    /// The sum of the hashes of the labels that count.
    pub(super) fn key(&self, labels: &Labels) -> u64 {
        self.pairs(labels).fold(0u64, |sum, pair| sum.wrapping_add(pair.hash()))
    }

    /// Whether two sets agree in the labels that count.
    pub(super) fn same(&self, one: &Labels, other: &Labels) -> bool {
        self.pairs(one).eq(self.pairs(other))
    }

    /// The labels that count.
    pub(super) fn of(&self, labels: &Labels) -> Labels {
        if labels.pairs().iter().all(|pair| self.counts(pair.name())) {
            return labels.clone();
        }
        Labels::from_sorted(self.pairs(labels).cloned().collect())
    }
}

/// Numbers the groups of label sets in the order in which they first come.
pub(super) struct Groups<'g> {
    grouping: &'g Grouping,
    by_key: ByHash<u64, u32>,
    /// A label set of each group.
    members: Vec<Labels>,
}

impl<'g> Groups<'g> {
    pub(super) fn new(grouping: &'g Grouping) -> Self {
        Self { grouping, by_key: ByHash::default(), members: Vec::new() }
    }

    /// The number of the group of a label set, if there is one.
    pub(super) fn find(&self, labels: &Labels) -> Option<usize> {
        let mut key = self.grouping.key(labels);
        // Another group with the same key is one in 2^64; the next key is then as good.
        while let Some(number) = self.by_key.get(&key) {
            let number = *number as usize;
            if self.members.get(number).is_some_and(|member| self.grouping.same(member, labels)) {
                return Some(number);
            }
            key = key.wrapping_add(1);
        }
        None
    }

    /// The number of the group of a label set, and whether that group is new.
    pub(super) fn put(&mut self, labels: &Labels) -> (usize, bool) {
        let mut key = self.grouping.key(labels);
        while let Some(number) = self.by_key.get(&key) {
            let number = *number as usize;
            if self.members.get(number).is_some_and(|member| self.grouping.same(member, labels)) {
                return (number, false);
            }
            key = key.wrapping_add(1);
        }
        let number = self.members.len();
        self.by_key.insert(key, number as u32);
        self.members.push(labels.clone());
        (number, true)
    }
}
