//! Connections by id, in parts that looks share: what is new since an earlier look stands in parts that differ.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    ops::Index,
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;

use super::Facts;

/// At 100,000 connections a part has about a hundred.
const PARTS: usize = 1 << 10;

type Part = HashMap<Arc<str>, Facts, RandomState>;

/// Finds the part of a connection; the same in all looks, so that their parts can be compared. The ids come from
/// outside, so its seed is random.
static PLACES: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// What is known of connections, by id. Cheap to clone; a clone that is changed copies what it changes only.
#[derive(Clone, Debug, PartialEq)]
pub struct Connections {
    parts: Arc<[Arc<Part>]>,
    len: usize,
}

impl Default for Connections {
    fn default() -> Self {
        static NONE: LazyLock<Arc<[Arc<Part>]>> =
            LazyLock::new(|| std::iter::repeat_n(Arc::new(Part::default()), PARTS).collect());
        Self { parts: NONE.clone(), len: 0 }
    }
}

impl Connections {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is known of one.
    pub fn get(&self, id: &str) -> Option<&Facts> {
        self.parts.get(place(id))?.get(id)
    }

    /// Whether anything is known of one.
    pub fn contains_key(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// Notes what is known of one.
    pub fn insert(&mut self, id: Arc<str>, facts: Facts) {
        if let Some(part) = Arc::make_mut(&mut self.parts).get_mut(place(&id)) {
            let known = Arc::make_mut(part).insert(id, facts);
            self.len += usize::from(known.is_none());
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, id: &str) {
        if let Some(part) = Arc::make_mut(&mut self.parts).get_mut(place(id))
            && part.contains_key(id)
        {
            Arc::make_mut(part).remove(id);
            self.len -= 1;
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Facts)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// Shares with an earlier look the parts that say the same.
    pub fn share(&mut self, earlier: &Self) {
        for (new, old) in Arc::make_mut(&mut self.parts).iter_mut().zip(&*earlier.parts) {
            if new == old {
                new.clone_from(old);
            }
        }
    }

    /// Those of which an earlier look said something else, or nothing. Costs no more than what differs, where the
    /// parts are shared.
    pub fn news<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = (&'a Arc<str>, &'a Facts)> {
        let parts = self.parts.iter().zip(&*earlier.parts).filter(|(new, old)| !Arc::ptr_eq(new, old));
        parts.flat_map(|(new, old)| new.iter().filter(|(id, facts)| old.get(*id) != Some(*facts)))
    }
}

impl FromIterator<(Arc<str>, Facts)> for Connections {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Facts)>>(all: I) -> Self {
        let mut connections = Self::default();
        all.into_iter().for_each(|(id, facts)| connections.insert(id, facts));
        connections
    }
}

impl Index<&str> for Connections {
    type Output = Facts;

    /// # Panics
    /// Nothing is known of it.
    fn index(&self, id: &str) -> &Facts {
        &self.parts[place(id)][id]
    }
}

fn place(id: &str) -> usize {
    PLACES.hash_one(id) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use daemon::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::State;

    fn facts(since: i64) -> Facts {
        let state = State::Stale { since: Timestamp::from_second(since).unwrap() };
        Facts { user: "u".into(), institution: "AU1".into(), method: "web".into(), state }
    }

    fn id(number: u16) -> Arc<str> {
        format!("c{number}").into()
    }

    fn change(connections: &mut Connections, model: &mut BTreeMap<Arc<str>, Facts>, changes: &[(u16, i64)]) {
        for (number, since) in changes {
            if *since == 0 {
                connections.remove(&id(*number));
                model.remove(&id(*number));
            } else {
                connections.insert(id(*number), facts(*since));
                model.insert(id(*number), facts(*since));
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_knows_what_is_new(
            first in prop::collection::vec((0_u16..3_000, 0_i64..4), 0..400),
            then in prop::collection::vec((0_u16..3_000, 0_i64..4), 0..100),
        ) {
            let (mut connections, mut model) = (Connections::default(), BTreeMap::new());
            change(&mut connections, &mut model, &first);
            let (earlier, known) = (connections.clone(), model.clone());
            change(&mut connections, &mut model, &then);
            for (connections, model) in [(&connections, &model), (&earlier, &known)] {
                prop_assert_eq!(connections.len(), model.len());
                let all: BTreeMap<_, _> = connections.iter().map(|(id, of)| (id.clone(), of.clone())).collect();
                prop_assert_eq!(&all, model);
                prop_assert!(model.iter().all(|(id, of)| connections.get(id) == Some(of)));
            }
            let new: BTreeMap<_, _> = model.iter().filter(|(id, of)| known.get(*id) != Some(of)).collect();
            prop_assert_eq!(&connections.news(&earlier).collect::<BTreeMap<_, _>>(), &new);
            // One that was read anew says the same, and shares what did not change.
            let mut read: Connections = model.clone().into_iter().collect();
            prop_assert!(read == connections);
            read.share(&earlier);
            prop_assert!(read == connections);
            prop_assert_eq!(&read.news(&earlier).collect::<BTreeMap<_, _>>(), &new);
            let apart = read.parts.iter().zip(&*earlier.parts).filter(|(new, old)| !Arc::ptr_eq(new, old));
            prop_assert!(apart.count() <= then.len());
        }
    }
}
