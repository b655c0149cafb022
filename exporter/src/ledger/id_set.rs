//! Many ids at once, as a list of users names them.

use std::sync::Arc;

use super::Id;

/// Ids, each once, in order. Half a million take 12 MiB, however often the set is cloned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet(Arc<Vec<Id>>);

impl IdSet {
    /// Whether the id is among them.
    pub fn contains(&self, id: &Id) -> bool {
        self.0.binary_search(id).is_ok()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Id> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Id>> for IdSet {
    fn from(mut ids: Vec<Id>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        ids.shrink_to_fit();
        Self(Arc::new(ids))
    }
}

impl FromIterator<Id> for IdSet {
    fn from_iter<I: IntoIterator<Item = Id>>(ids: I) -> Self {
        ids.into_iter().collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_there_once_whatever_the_order() {
        let ids = |text: &str| text.split(' ').filter_map(Id::parse).collect::<IdSet>();
        let set = ids("b a c b");
        assert_eq!((set.len(), &set), (3, &ids("c b a")));
        let is_in = |text: &str| Id::parse(text).is_some_and(|id| set.contains(&id));
        assert!(is_in("a") && is_in("c") && !is_in("d"));
        assert!(IdSet::default().is_empty());
    }
}
