//! Label sets: sorted, shared, hashed once.
//!
//! A pair of name and value is one allocation with its own hash; the hash of a set is the sum of the
//! hashes of its pairs. So a grouping key (`by`, `without`, `on`, `ignoring`) is hashed by adding or
//! subtracting a few numbers, and no label set is built until it is known that it is needed.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, OnceLock};

use triomphe::ThinArc;

/// The label that holds the name of a metric.
pub const METRIC_NAME: &str = "__name__";

/// Labels that describe the metric itself.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// One label: a name and a value that is never empty, shared by the sets that carry it.
#[derive(Clone)]
pub(crate) struct Label(Arc<Pair>);

struct Pair {
    hash: u64,
    name: Arc<str>,
    value: Arc<str>,
}

/// The hash of a pair, keyed by a secret of this process: whoever names labels cannot choose collisions.
pub(crate) fn pair_hash(name: &str, value: &str) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one((name, value))
}

impl Label {
    pub(crate) fn new(name: &str, value: &str) -> Self {
        Self::shared(Arc::from(name), value, pair_hash(name, value))
    }

    /// A label from a name that is already shared and a hash that is already known.
    pub(crate) fn shared(name: Arc<str>, value: &str, hash: u64) -> Self {
        Self(Arc::new(Pair { hash, name, value: value.into() }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn value(&self) -> &str {
        &self.0.value
    }

    pub(crate) fn shared_value(&self) -> &Arc<str> {
        &self.0.value
    }

    pub(crate) fn hash(&self) -> u64 {
        self.0.hash
    }

    /// Whether both are the same allocation.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether nothing but one holder keeps this label.
    pub(crate) fn unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash && self.0.name == other.0.name && self.0.value == other.0.value)
    }
}

impl Eq for Label {}

/// A label set, sorted by name, without empty values (in Prometheus an empty value is an absent label).
///
/// One pointer, since there are very many; a clone copies it. Equality looks at a hash first, then at pointers, and
/// at text last.
#[derive(Clone)]
pub struct Labels(ThinArc<u64, Label>);

impl Labels {
    /// The label set of the given pairs, in any order. Empty values are left out; of a name that comes
    /// twice the last value counts.
    pub fn new<I, N, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let pairs = pairs.into_iter().map(|(name, value)| Label::new(name.as_ref(), value.as_ref()));
        Self::from_labels(pairs.collect())
    }

    /// The set without labels.
    pub fn empty() -> Self {
        static EMPTY: OnceLock<Labels> = OnceLock::new();
        EMPTY.get_or_init(|| Self::from_sorted(Vec::new())).clone()
    }

    pub(crate) fn from_labels(mut pairs: Vec<Label>) -> Self {
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut sorted: Vec<Label> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match sorted.last_mut() {
                Some(last) if last.name() == pair.name() => *last = pair,
                _ => sorted.push(pair),
            }
        }
        sorted.retain(|pair| !pair.value().is_empty());
        Self::from_sorted(sorted)
    }

    /// A set from labels that are sorted by name, differ in name and have values.
    pub(crate) fn from_sorted(pairs: Vec<Label>) -> Self {
        let hash = pairs.iter().fold(0u64, |sum, pair| sum.wrapping_add(pair.hash()));
        Self(ThinArc::from_header_and_iter(hash, pairs.into_iter()))
    }

    pub(crate) fn pairs(&self) -> &[Label] {
        &self.0.slice
    }

    /// Whether both are the same allocation.
    fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&self.0.header, &other.0.header)
    }

    /// Whether nothing but one holder keeps this set.
    pub(crate) fn unshared(&self) -> bool {
        ThinArc::strong_count(&self.0) == 1
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.label(name).map(Label::value)
    }

    /// The value of a label, to be shared.
    pub fn get_shared(&self, name: &str) -> Option<&Arc<str>> {
        self.label(name).map(Label::shared_value)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&Label> {
        // Sets are small: a scan beats a binary search over pointers.
        self.pairs().iter().find(|pair| pair.name() == name)
    }

    /// The name of the metric, which is the value of [`METRIC_NAME`].
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs().iter().map(|pair| (pair.name(), pair.value()))
    }

    /// How many labels there are, the name of the metric included.
    pub fn len(&self) -> usize {
        self.pairs().len()
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    /// The same set with a label added or replaced; an empty value removes it.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        match self.get(name) {
            Some(old) if old == value => self.clone(),
            None if value.is_empty() => self.clone(),
            _ => self.with_label(Label::new(name, value)),
        }
    }

    pub(crate) fn with_label(&self, label: Label) -> Self {
        let mut pairs: Vec<Label> = Vec::with_capacity(self.pairs().len() + 1);
        pairs.extend(self.pairs().iter().filter(|pair| pair.name() != label.name()).cloned());
        if !label.value().is_empty() {
            let at = pairs.partition_point(|pair| pair.name() < label.name());
            pairs.insert(at, label);
        }
        Self::from_sorted(pairs)
    }

    /// The labels of both sets; of a name that both have, the value of `more` counts. Shares the texts of both.
    #[must_use]
    pub fn with_all(&self, more: &Self) -> Self {
        let other = self.pairs().iter().filter(|pair| more.label(pair.name()).is_none());
        let mut pairs: Vec<Label> = other.chain(more.pairs()).cloned().collect();
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        Self::from_sorted(pairs)
    }

    /// The same set without the labels named.
    #[must_use]
    pub fn without<N: AsRef<str>>(&self, names: &[N]) -> Self {
        self.filtered(|pair| !names.iter().any(|name| name.as_ref() == pair.name()))
    }

    /// Just the labels named.
    #[must_use]
    pub fn only<N: AsRef<str>>(&self, names: &[N]) -> Self {
        self.filtered(|pair| names.iter().any(|name| name.as_ref() == pair.name()))
    }

    /// The same set without the name of the metric.
    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        self.filtered(|pair| pair.name() != METRIC_NAME)
    }

    /// The same set without what describes the metric itself and does not fit a value calculated from
    /// it: its name, and Prometheus's reserved labels for type and unit.
    pub(crate) fn without_metadata(&self) -> Self {
        self.filtered(|pair| !METADATA.contains(&pair.name()))
    }

    pub(crate) fn has_metadata(&self) -> bool {
        self.pairs().iter().any(|pair| pair.name().starts_with("__") && METADATA.contains(&pair.name()))
    }

    fn filtered(&self, keep: impl Fn(&Label) -> bool) -> Self {
        if self.pairs().iter().all(&keep) {
            return self.clone();
        }
        Self::from_sorted(self.pairs().iter().filter(|pair| keep(pair)).cloned().collect())
    }

    /// A hash of the whole set, equal for equal sets within one run of the process only.
    pub fn fingerprint(&self) -> u64 {
        self.0.header.header
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || (self.fingerprint() == other.fingerprint() && self.pairs() == other.pairs())
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
    }
}

impl Ord for Labels {
    /// By the pairs in order, as Prometheus sorts series.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints a label set: `{a="b", c="d"}`, the name of the metric among the labels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
                write!(f, "{name}={value:?}")?;
            } else {
                write!(f, "{name:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::new(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_without_empty_values_and_the_last_of_a_name_counts() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.with("c.d", "4").to_string(), r#"{a="2", b="3", "c.d"="4"}"#);
    }

    #[test]
    fn equal_sets_have_equal_hashes_however_they_were_made() {
        let one = Labels::new([("a", "1"), ("b", "2")]);
        let other = Labels::new([("b", "2")]).with("a", "1").with("c", "3").without(&["c"]);
        assert_eq!(one, other);
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert_ne!(one, one.with("a", "2"));
    }

    #[test]
    fn names_and_values_do_not_run_into_each_other() {
        assert_ne!(Labels::new([("a", "bb")]).fingerprint(), Labels::new([("ab", "b")]).fingerprint());
    }

    #[test]
    fn an_empty_value_removes_a_label() {
        let labels = Labels::new([("a", "1"), ("b", "2")]);
        assert_eq!(labels.with("a", ""), Labels::new([("b", "2")]));
        assert_eq!(labels.only(&["a"]), Labels::new([("a", "1")]));
    }

    #[test]
    fn of_two_sets_the_values_of_the_second_count() {
        let all = Labels::new([("a", "1"), ("c", "2")]).with_all(&Labels::new([("b", "3"), ("c", "4")]));
        assert_eq!(all, Labels::new([("a", "1"), ("b", "3"), ("c", "4")]));
    }
}
