//! Appending what a target shows at one time.

use super::Window;
use crate::labels::{Labels, METRIC_NAME, pair_hash};
use crate::value::{Point, STALE, is_stale};

/// What an append did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples kept.
    pub kept: usize,
    /// Samples that no rule reads.
    pub unread: usize,
    /// New series left out because the window is full.
    pub over_limit: usize,
    /// Series that were there before and got a staleness marker.
    pub ended: usize,
}

/// One append under way: samples of one target at one time.
pub struct Append<'w> {
    pub(super) window: &'w mut Window,
    pub(super) target: u32,
    pub(super) at_ms: i64,
    pub(super) done: Appended,
}

impl Append<'_> {
    /// Whether any selector could read a series of this metric; see [`Window::reads`].
    pub fn reads(&self, metric: &str) -> bool {
        self.window.reads(metric)
    }

    /// Adds a sample. A value that is [`STALE`] ends the series.
    pub fn add(&mut self, labels: &Labels, value: f64) {
        match self.window.find(labels.fingerprint(), |kept| kept == labels) {
            Some(id) => self.push(id, value),
            None => self.admit(labels.clone(), value),
        }
    }

    /// Adds a sample whose labels are those of two sets that have no name in common: a series that is known
    /// already costs no allocation, and none of its texts is looked at while the sets are those that it was
    /// made of.
    pub fn add_joined(&mut self, labels: &Labels, more: &Labels, value: f64) {
        let both = || labels.pairs().iter().chain(more.pairs());
        let kept_whole = |kept: &Labels| {
            kept.len() == labels.len() + more.len()
                && (both().all(|pair| kept.pairs().iter().any(|kept| kept.is(pair)))
                    || both().all(|pair| kept.pairs().contains(pair)))
        };
        match self.window.find(labels.fingerprint().wrapping_add(more.fingerprint()), kept_whole) {
            Some(id) => self.push(id, value),
            None => self.admit(Labels::from_labels(both().cloned().collect()), value),
        }
    }

    /// Adds a sample whose labels are at hand as text, in any order, each name once: a series that is
    /// known already costs no allocation.
    pub fn add_pairs(&mut self, pairs: &[(&str, &str)], value: f64) {
        let metric = pairs.iter().find(|(name, _)| *name == METRIC_NAME);
        if !self.window.reads(metric.map_or("", |(_, metric)| metric)) {
            self.done.unread += 1;
            return;
        }
        let present = || pairs.iter().filter(|(_, value)| !value.is_empty());
        let fingerprint = present().fold(0u64, |sum, (name, value)| sum.wrapping_add(pair_hash(name, value)));
        let same = |kept: &Labels| {
            kept.len() == present().count() && present().all(|(name, value)| kept.get(name) == Some(value))
        };
        match self.window.find(fingerprint, same) {
            Some(id) => self.push(id, value),
            None => self.admit(Labels::new(pairs.iter().copied()), value),
        }
    }

    fn push(&mut self, id: u32, value: f64) {
        let (seen, target) = (self.window.appends, self.target);
        self.window.push(id, Point { at_ms: self.at_ms, value });
        self.done.kept += 1;
        let Some(stored) = self.window.stored_mut(id) else { return };
        stored.seen = seen;
        if stored.target != target {
            stored.target = target;
            if let Some(target) = self.window.members.get_mut(target as usize) {
                target.series.push(id);
            }
        }
    }

    fn admit(&mut self, labels: Labels, value: f64) {
        let pairs = labels.pairs().to_vec();
        let first = Point { at_ms: self.at_ms, value };
        self.window.admit(labels, pairs, self.target, first, &mut self.done);
    }

    /// Ends the append: series of the target that were not added get a staleness marker.
    pub fn finish(mut self) -> Appended {
        let Some(target) = self.window.members.get_mut(self.target as usize) else { return self.done };
        let mut ids = std::mem::take(&mut target.series);
        let window = &mut *self.window;
        ids.retain(|id| window.stored(*id).is_some_and(|stored| stored.target == self.target));
        for id in &ids {
            let Some(stored) = window.stored(*id) else { continue };
            let ended = stored.points().last().is_none_or(|last| is_stale(last.value));
            if stored.seen != window.appends && !ended {
                window.push(*id, Point { at_ms: self.at_ms, value: STALE });
                self.done.ended += 1;
            }
        }
        if let Some(target) = window.members.get_mut(self.target as usize) {
            target.series = ids;
        }
        self.done
    }
}
