//! The samples that the loaded rules need, and nothing else.
//!
//! A series is kept only if a selector reads it, and only as far back as the longest of these selectors
//! reaches. For an instant selector that is one sample.

mod append;
mod by_hash;
mod samples;

pub use append::{Append, Appended};
pub(crate) use by_hash::ByHash;

use std::collections::{HashMap, HashSet};

use hashbrown::HashTable;
use samples::Samples;

use crate::interner::Interner;
use crate::labels::{Label, Labels, METRIC_NAME};
use crate::matcher::{Matcher, Selector, selects};
use crate::value::{Point, is_stale};

/// How far an instant selector looks back for a sample, in milliseconds: Prometheus's default of 5 minutes.
pub const LOOK_BACK_MS: i64 = 5 * 60 * 1000;

/// How many series a window holds unless told otherwise.
const MAX_SERIES: usize = 4_000_000;

/// One series and what is kept of it.
pub(crate) struct Stored {
    pub(crate) labels: Labels,
    samples: Samples,
    /// How far back samples are kept, in milliseconds.
    reach_ms: i64,
    /// The number of the target that it belongs to.
    target: u32,
    /// The append in which it was last seen.
    seen: u32,
}

impl Stored {
    pub(crate) fn points(&self) -> &[Point] {
        self.samples.as_slice()
    }
}

/// What one selector reads: the series it selects, kept up to date as series come and go.
struct Reader {
    selector: Selector,
    series: Vec<u32>,
}

/// Series of one target: what vanishes from its next append gets a staleness marker.
#[derive(Default)]
struct Target {
    series: Vec<u32>,
}

/// Samples in memory, one append at a time.
pub struct Window {
    readers: Option<Vec<Reader>>,
    /// The metrics that selectors name; nothing if one of them may read any.
    metrics_read: Option<HashSet<Box<str>>>,
    slack_ms: i64,
    max_series: usize,
    series: Vec<Option<Stored>>,
    free: Vec<u32>,
    /// Numbers of series by the fingerprints of their labels.
    by_fingerprint: HashTable<u32>,
    by_metric: HashMap<Box<str>, Vec<u32>>,
    targets: HashMap<Box<str>, u32>,
    members: Vec<Target>,
    labels: Interner,
    /// Only ever compared with those of series; that it wraps around does no harm.
    appends: u32,
}

/// About how many bytes a series takes beside its samples.
fn per_series(labels: usize) -> usize {
    let places = size_of::<Option<Stored>>() + 4 * size_of::<u32>();
    places + labels * size_of::<Label>() + 3 * size_of::<usize>()
}

impl Window {
    /// A window that keeps what these selectors read, for evaluation at the time of the newest append or later.
    pub fn new<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> Self {
        let mut readers: Vec<Reader> = Vec::new();
        for selector in selectors {
            match readers.iter_mut().find(|reader| reader.selector.matchers == selector.matchers) {
                Some(reader) if reader.selector.reach_ms() >= selector.reach_ms() => {}
                Some(reader) => reader.selector = selector.clone(),
                None => readers.push(Reader { selector: selector.clone(), series: Vec::new() }),
            }
        }
        Self::with_readers(Some(readers))
    }

    /// A window that keeps everything for ever: for tests and for scripts.
    pub fn unbounded() -> Self {
        Self::with_readers(None)
    }

    fn with_readers(readers: Option<Vec<Reader>>) -> Self {
        let named = |reader: &Reader| reader.selector.metric_name().map(Box::from);
        Self {
            metrics_read: readers.as_ref().and_then(|readers| readers.iter().map(named).collect()),
            readers,
            slack_ms: 0,
            max_series: MAX_SERIES,
            series: Vec::new(),
            free: Vec::new(),
            by_fingerprint: HashTable::new(),
            by_metric: HashMap::new(),
            targets: HashMap::new(),
            members: Vec::new(),
            labels: Interner::new(),
            appends: 0,
        }
    }

    /// Keeps samples so much longer, in milliseconds: as far as evaluations may lag behind appends
    /// (`query_offset`, a group evaluated at the start of its slot).
    #[must_use]
    pub fn slack(mut self, slack_ms: i64) -> Self {
        self.slack_ms = slack_ms.max(0);
        self
    }

    /// Holds at most so many series; further ones are left out and counted.
    #[must_use]
    pub fn limit(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Appends all samples of one target (a scrape, or the result of a recording rule) at one time. What
    /// the target had before and has no more gets a staleness marker.
    pub fn append<I>(&mut self, target: &str, at_ms: i64, samples: I) -> Appended
    where
        I: IntoIterator<Item = (Labels, f64)>,
    {
        let mut append = self.begin(target, at_ms);
        for (labels, value) in samples {
            append.add(&labels, value);
        }
        append.finish()
    }

    /// Begins an append sample by sample; see [`Append`].
    pub fn begin(&mut self, target: &str, at_ms: i64) -> Append<'_> {
        self.appends = self.appends.wrapping_add(1);
        let target = self.target(target);
        Append { window: self, target, at_ms, done: Appended::default() }
    }

    /// Ends all series of a target that is gone or could not be read.
    pub fn end(&mut self, target: &str, at_ms: i64) -> Appended {
        self.begin(target, at_ms).finish()
    }

    /// Writes one sample of no target, without any staleness handling; in any order of time.
    pub fn write(&mut self, labels: &Labels, at_ms: i64, value: f64) {
        let target = self.target("");
        self.put(labels, target, Point { at_ms, value });
    }

    /// Takes over what another window holds, as far as the selectors of this one read it: series stay
    /// with their targets, so that what vanishes from the next append of one still ends.
    pub fn take_over(&mut self, other: &Self) {
        let mut targets = vec![0; other.members.len()];
        for (name, id) in &other.targets {
            if let Some(target) = targets.get_mut(*id as usize) {
                *target = self.target(name);
            }
        }
        for stored in other.series.iter().flatten() {
            let Some(target) = targets.get(stored.target as usize) else { continue };
            for point in stored.points() {
                self.put(&stored.labels, *target, *point);
            }
        }
    }

    fn put(&mut self, labels: &Labels, target: u32, point: Point) {
        match self.find(labels.fingerprint(), |kept| kept == labels) {
            Some(id) => self.push(id, point),
            None => {
                let pairs = labels.pairs().to_vec();
                self.admit(labels.clone(), pairs, target, point, &mut Appended::default());
            }
        }
    }

    /// Forgets series that no evaluation at `now_ms` or later can see, and labels that nobody uses.
    pub fn gc(&mut self, now_ms: i64) {
        if self.readers.is_none() {
            return;
        }
        let mut dead = HashSet::new();
        for (id, slot) in (0u32..).zip(&self.series) {
            let Some(stored) = slot else { continue };
            let Some(last) = stored.points().last() else { continue };
            let reach = stored.reach_ms + self.slack_ms + if is_stale(last.value) { 0 } else { LOOK_BACK_MS };
            if last.at_ms < now_ms.saturating_sub(reach) {
                dead.insert(id);
            }
        }
        if dead.is_empty() {
            return;
        }
        for id in &dead {
            self.forget(*id);
        }
        let alive = |ids: &mut Vec<u32>| ids.retain(|id| !dead.contains(id));
        self.readers.iter_mut().flatten().for_each(|reader| alive(&mut reader.series));
        self.members.iter_mut().for_each(|target| alive(&mut target.series));
        self.by_metric.values_mut().for_each(alive);
        self.by_metric.retain(|_, ids| !ids.is_empty());
        self.labels.sweep();
    }

    /// Whether any selector could read a series of this metric: what it cannot read need not be appended.
    pub fn reads(&self, metric: &str) -> bool {
        match &self.metrics_read {
            Some(metrics) => metrics.contains(metric),
            None => true,
        }
    }

    /// How many series are held.
    pub fn series(&self) -> usize {
        self.series.len() - self.free.len()
    }

    /// How many samples are held.
    pub fn samples(&self) -> usize {
        self.series.iter().flatten().map(|stored| stored.points().len()).sum()
    }

    /// About how many bytes samples and series take, label texts not counted.
    pub fn bytes(&self) -> usize {
        let of = |stored: &Stored| per_series(stored.labels.len()) + stored.samples.heap();
        self.series.iter().flatten().map(of).sum()
    }

    /// About how many bytes a series with so many labels takes at most while so many samples of it are kept,
    /// label texts not counted.
    pub fn cost(labels: usize, samples: usize) -> usize {
        let heap = if samples > 1 { samples.next_power_of_two() * size_of::<Point>() } else { 0 };
        per_series(labels) + heap
    }

    /// Every series with its points in order of time.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &[Point])> {
        self.series.iter().flatten().map(|stored| (&stored.labels, stored.points()))
    }

    /// The series that all matchers accept.
    pub(crate) fn select<'m, 'w: 'm>(
        &'w self,
        matchers: &'m [Matcher],
    ) -> Box<dyn Iterator<Item = &'w Stored> + 'm> {
        let reader = self.readers.iter().flatten().find(|reader| reader.selector.matchers == matchers);
        if let Some(reader) = reader {
            return Box::new(reader.series.iter().filter_map(|id| self.stored(*id)));
        }
        let metric = matchers.iter().find(|matcher| {
            matcher.name == METRIC_NAME
                && matches!(matcher.op, crate::matcher::Op::Equal)
                && !matcher.value.is_empty()
        });
        let chosen = move |stored: &&Stored| selects(matchers, &stored.labels);
        match metric {
            Some(metric) => {
                let ids = self.by_metric.get(metric.value.as_str()).map(Vec::as_slice).unwrap_or_default();
                Box::new(ids.iter().filter_map(|id| self.stored(*id)).filter(chosen))
            }
            None => Box::new(self.series.iter().flatten().filter(chosen)),
        }
    }

    fn stored(&self, id: u32) -> Option<&Stored> {
        self.series.get(id as usize).and_then(Option::as_ref)
    }

    fn stored_mut(&mut self, id: u32) -> Option<&mut Stored> {
        self.series.get_mut(id as usize).and_then(Option::as_mut)
    }

    fn target(&mut self, name: &str) -> u32 {
        if let Some(target) = self.targets.get(name) {
            return *target;
        }
        let target = self.members.len() as u32;
        self.members.push(Target::default());
        self.targets.insert(name.into(), target);
        target
    }

    fn find(&self, fingerprint: u64, same: impl Fn(&Labels) -> bool) -> Option<u32> {
        let found = |id: &u32| {
            let labels = self.stored(*id).map(|stored| &stored.labels);
            labels.is_some_and(|labels| labels.fingerprint() == fingerprint && same(labels))
        };
        self.by_fingerprint.find(fingerprint, found).copied()
    }

    fn push(&mut self, id: u32, point: Point) {
        let slack = self.slack_ms;
        let bounded = self.readers.is_some();
        if let Some(stored) = self.stored_mut(id) {
            let horizon =
                if bounded { point.at_ms.saturating_sub(stored.reach_ms + slack) } else { i64::MIN };
            stored.samples.push(point, horizon);
        }
    }

    /// Takes in a new series if a selector reads it and there is room.
    fn admit(&mut self, labels: Labels, pairs: Vec<Label>, target: u32, first: Point, done: &mut Appended) {
        let mut reach_ms = i64::MAX;
        if let Some(readers) = &self.readers {
            let reach = readers
                .iter()
                .filter(|reader| reader.selector.selects(&labels))
                .map(|reader| reader.selector.reach_ms());
            match reach.max() {
                Some(reach) => reach_ms = reach,
                None => {
                    done.unread += 1;
                    return;
                }
            }
        }
        if self.series() >= self.max_series {
            done.over_limit += 1;
            return;
        }
        let labels = Labels::from_sorted(pairs.into_iter().map(|pair| self.labels.share(pair)).collect());
        let id = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            (self.series.len() - 1) as u32
        });
        for reader in self.readers.iter_mut().flatten() {
            if reader.selector.selects(&labels) {
                reader.series.push(id);
            }
        }
        if let Some(target) = self.members.get_mut(target as usize) {
            target.series.push(id);
        }
        let metric = labels.metric_name().unwrap_or("");
        match self.by_metric.get_mut(metric) {
            Some(ids) => ids.push(id),
            None => {
                self.by_metric.insert(metric.into(), vec![id]);
            }
        }
        let fingerprint = labels.fingerprint();
        let (seen, samples) = (self.appends, Samples::new(first));
        if let Some(slot) = self.series.get_mut(id as usize) {
            *slot = Some(Stored { labels, samples, reach_ms, target, seen });
        }
        let series = &self.series;
        let fingerprint_of = |id: &u32| {
            let stored = series.get(*id as usize).and_then(Option::as_ref);
            stored.map_or(0, |stored| stored.labels.fingerprint())
        };
        self.by_fingerprint.insert_unique(fingerprint, id, fingerprint_of);
        done.kept += 1;
    }

    fn forget(&mut self, id: u32) {
        let Some(stored) = self.series.get_mut(id as usize).and_then(Option::take) else { return };
        self.free.push(id);
        if let Ok(entry) = self.by_fingerprint.find_entry(stored.labels.fingerprint(), |known| *known == id) {
            entry.remove();
        }
    }
}
