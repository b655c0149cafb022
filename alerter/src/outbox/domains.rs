//! Which users share a mail domain, as keyed hashes: what lines take turns by. A hint that may be missing.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use super::queue::{ANY, Domain};
use crate::{
    channels::Contact,
    store::{Effect, Payload},
};

/// Users remembered; beyond that all are forgotten and learnt again.
const USERS: usize = 200_000;

/// What is remembered. Cheap to clone. Holds no name and no address, and hashes that mean nothing elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    hasher: RandomState,
    known: Arc<Mutex<HashMap<u64, u64>>>,
}

impl Domains {
    /// Remembers the domain of a contact that was looked up.
    pub(super) fn learn(&self, user: &str, contact: &Contact) {
        let Some(address) = &contact.address else { return };
        let Some((_, domain)) = address.expose().rsplit_once('@') else { return };
        let domain = self.hasher.hash_one(domain.trim().to_ascii_lowercase());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= USERS {
            known.clear();
        }
        known.insert(self.hasher.hash_one(user), domain);
    }

    /// The domain of a user, or one of its own where it is not known.
    fn of(&self, user: &str) -> u64 {
        let user = self.hasher.hash_one(user);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&user).copied().unwrap_or(user)
    }

    /// The domain of whom an effect is for.
    pub(super) fn of_effect(&self, effect: &Effect) -> Domain {
        match &effect.payload {
            Payload::Message(message) => self.of(&message.user),
            _ => ANY,
        }
    }
}
