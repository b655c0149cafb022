//! Label texts and label sets that many series share, each kept once.

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::labels::{Label, Labels, pair_hash};

/// Makes label sets of which equal parts are the same memory, as long as anybody holds them.
#[derive(Default)]
pub struct Interner {
    names: HashSet<Arc<str>>,
    pairs: HashTable<Label>,
    sets: HashTable<Labels>,
}

impl Interner {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The label set of the given pairs, as [`Labels::new`].
    pub fn labels<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Labels {
        let pairs = pairs.into_iter().map(|(name, value)| self.pair(name.as_ref(), value.as_ref())).collect();
        self.set(Labels::from_labels(pairs))
    }

    /// An equal set that is known already, or this one from now on.
    pub fn set(&mut self, labels: Labels) -> Labels {
        let entry = self.sets.entry(labels.fingerprint(), |known| *known == labels, Labels::fingerprint);
        entry.or_insert(labels).get().clone()
    }

    /// Forgets what nobody else holds.
    pub fn sweep(&mut self) {
        self.sets.retain(|labels| !labels.unshared());
        self.pairs.retain(|label| !label.unshared());
        self.names.retain(|name| Arc::strong_count(name) > 1);
        if self.sets.len() < self.sets.capacity() / 4 {
            self.sets.shrink_to_fit(Labels::fingerprint);
        }
        if self.pairs.len() < self.pairs.capacity() / 4 {
            self.pairs.shrink_to_fit(Label::hash);
        }
    }

    /// An equal label that is known already, or this one from now on.
    pub(crate) fn share(&mut self, label: Label) -> Label {
        let entry = self.pairs.entry(label.hash(), |known| *known == label, Label::hash);
        entry.or_insert(label).get().clone()
    }

    fn pair(&mut self, name: &str, value: &str) -> Label {
        let hash = pair_hash(name, value);
        let same = |known: &Label| known.name() == name && known.value() == value;
        match self.pairs.entry(hash, same, Label::hash) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let name = match self.names.get(name) {
                    Some(name) => name.clone(),
                    None => {
                        let name: Arc<str> = name.into();
                        self.names.insert(name.clone());
                        name
                    }
                };
                place.insert(Label::shared(name, value, hash)).get().clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_one_while_somebody_holds_them() {
        let mut interner = Interner::new();
        let one = interner.labels([("b", "2"), ("a", "1"), ("c", "")]);
        let other = interner.labels([("a", "1"), ("b", "2")]);
        assert_eq!(one, Labels::new([("a", "1"), ("b", "2")]));
        assert!(std::ptr::eq(one.pairs(), other.pairs()));
        let wider = interner.labels([("a", "1"), ("b", "2"), ("d", "4")]);
        assert!(wider.pairs()[0].is(&one.pairs()[0]), "pairs are shared between sets");
        drop((one, wider));
        interner.sweep();
        assert_eq!((interner.sets.len(), interner.pairs.len(), interner.names.len()), (1, 2, 2));
        drop(other);
        interner.sweep();
        assert_eq!((interner.sets.len(), interner.pairs.len(), interner.names.len()), (0, 0, 0));
    }
}
