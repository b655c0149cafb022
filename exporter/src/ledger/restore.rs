//! From what was stored back to a ledger, and what is to be stored next.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Cell, Counter, Departed, Durations, Forgotten, INSTITUTIONS, Ledger, Method, Ms, Names, Outcome, Rest,
    SOURCES, STEPS, Settings, User, VERBATIM, known_codes,
};

/// Everything that was stored, users apart.
#[derive(Debug, Default)]
pub struct Stored {
    /// When the ledger was born.
    pub born: Option<Ms>,
    /// Outages and connections that are gone.
    pub rest: Option<Rest>,
    /// Names by list, in the order of their places.
    pub names: BTreeMap<String, Vec<String>>,
    /// Counters.
    pub counters: Vec<(Counter, Cell)>,
    /// Users that must not come back.
    pub forgotten: Forgotten,
    /// Histograms.
    pub durations: Vec<((Method, Outcome), Durations)>,
}

impl Ledger {
    /// The ledger as it was stored, still without its users; a new one if nothing was.
    pub fn restore(settings: Settings, mut stored: Stored, now: Ms) -> Self {
        let mut ledger = Self::new(settings, stored.born.unwrap_or(now));
        let mut list = |name: &str| stored.names.remove(name).unwrap_or_default();
        ledger.institutions = Names::restore(list("institutions"), &[], INSTITUTIONS);
        ledger.steps = Names::restore(list("steps"), STEPS, VERBATIM);
        ledger.codes = Names::restore(list("codes"), &known_codes(), VERBATIM);
        ledger.sources = Names::restore(list("sources"), &[], SOURCES);
        ledger.forgotten = stored.forgotten;
        ledger.counters.restore(stored.counters, stored.durations);
        if let Some(rest) = stored.rest {
            ledger.outages = rest.outages;
            for departed in rest.departed {
                ledger.add_departed(departed);
            }
            ledger.unstored_rest = false;
        }
        ledger
    }

    /// Puts a user back at its place; places must come in ascending order.
    pub fn restore_user(&mut self, place: u32, user: Option<User>, now: Ms) {
        while self.users.len() <= place as usize {
            self.free.insert(self.users.len() as u32);
            self.users.push(None);
        }
        let Some(mut user) = user else { return };
        self.free.remove(&place);
        user.timer = Ms::MAX;
        user.connections.shrink_to_fit();
        self.settle(place, &mut user, now);
        self.users[place as usize] = Some(user);
        self.index.insert(place, &self.users);
    }

    /// Places of users that are not stored as they are.
    pub fn take_unstored(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.unstored)
    }

    /// What is stored beside users, names and counters, if it changed.
    pub fn take_unstored_rest(&mut self) -> Option<Rest> {
        let departed: Vec<Departed> = self.departed.values().cloned().collect();
        std::mem::take(&mut self.unstored_rest).then(|| Rest { outages: self.outages.clone(), departed })
    }
}
