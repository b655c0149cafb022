//! Users that must not come back: a keyed hash of each id, so that the file names nobody who was forgotten.

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Id;

/// What stays of a forgotten user.
pub type Tombstone = [u8; 16];

/// Everybody who was forgotten.
#[derive(Default)]
pub struct Forgotten {
    key: [u8; 32],
    hashes: HashSet<Tombstone>,
    unstored: Vec<Tombstone>,
}

impl std::fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forgotten").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

impl Forgotten {
    /// As it was stored, with the key that the file was made with.
    pub fn restore(key: [u8; 32], hashes: impl IntoIterator<Item = Tombstone>) -> Self {
        Self { key, hashes: hashes.into_iter().collect(), unstored: Vec::new() }
    }

    pub(super) fn add(&mut self, user: &Id) {
        let hash = self.hash(user);
        if self.hashes.insert(hash) {
            self.unstored.push(hash);
        }
    }

    /// Whether the user was forgotten.
    pub fn contains(&self, user: &Id) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hash(user))
    }

    /// What is not stored yet.
    pub fn take_unstored(&mut self) -> Vec<Tombstone> {
        std::mem::take(&mut self.unstored)
    }

    fn hash(&self, user: &Id) -> Tombstone {
        let mut hash = [0; 16];
        // HMAC takes keys of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) {
            mac.update(user.to_string().as_bytes());
            hash.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        hash
    }
}
