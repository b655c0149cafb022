//! Where users are, by their id, without a second copy of the ids: half a million of them take 5 MiB, not 35.

use hashbrown::HashTable;

use super::{Id, User};

/// Places of users, found by id.
#[derive(Debug, Default)]
pub(super) struct Index(HashTable<u32>);

impl Index {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of the user of that id.
    pub(super) fn get(&self, id: &Id, users: &[Option<User>]) -> Option<u32> {
        let is_of = |place: &u32| user(users, *place).is_some_and(|user| user.id == *id);
        self.0.find(id.spread(), is_of).copied()
    }

    /// Takes in the user at a place, who must be there already and not be known.
    pub(super) fn insert(&mut self, place: u32, users: &[Option<User>]) {
        let hash = |place: &u32| user(users, *place).map_or(0, |user| user.id.spread());
        self.0.insert_unique(hash(&place), place, hash);
    }

    /// Forgets the user of that id, who was at that place.
    pub(super) fn remove(&mut self, id: &Id, place: u32) {
        if let Ok(entry) = self.0.find_entry(id.spread(), |found| *found == place) {
            entry.remove();
        }
    }
}

fn user(users: &[Option<User>], place: u32) -> Option<&User> {
    users.get(place as usize)?.as_ref()
}
