//! The world behind the API: users and what happens to their connections, as a function of seed, scenario and time.
//!
//! Users of the scenario, and generated users that someone changed, are held in memory. All other generated users are
//! made from the seed for each look and forgotten again, so a population costs nothing.

pub(crate) mod connection;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod ids;
pub(crate) mod job;
mod plan;
mod running;
mod trouble;
pub(crate) mod user;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use env::Env;
use ids::{Id, Ids};
use jiff::{SignedDuration, Timestamp};
use user::User;

use crate::{
    connectors::CATALOGUE,
    scenario::{self, BadScenario, Scenario},
};

/// Numbers of generated users start here; those below are the scenario's.
const POPULATION: u32 = 1 << 20;

/// No try takes longer, with an unanswered MFA challenge.
const LONGEST_TRY: SignedDuration = SignedDuration::from_mins(6);

/// The world, shared by the routes, the admin interface and the sender of webhooks.
#[derive(Debug)]
pub(crate) struct World {
    env: RwLock<Arc<Env>>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    users: BTreeMap<u32, User>,
    /// Users whose id was told by the scenario.
    by_id: HashMap<String, u32>,
    by_name: HashMap<String, u32>,
    next: u32,
}

/// A job, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobRef {
    pub(crate) user: u32,
    pub(crate) connection: u8,
    pub(crate) job: u32,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, epoch: Timestamp) -> Result<Self, BadScenario> {
        let env = Env {
            seed: scenario.seed,
            ids: Ids::new(scenario.seed),
            epoch,
            outages: scenario.connectors.clone(),
            population: scenario.population.clone(),
            switches: scenario.switches.clone(),
        };
        let world = Self { env: RwLock::new(Arc::new(env)), held: Mutex::default() };
        for user in &scenario.users {
            world.add_user(user)?;
        }
        Ok(world)
    }

    pub(crate) fn env(&self) -> Arc<Env> {
        Arc::clone(&self.env.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what all share. What happened before stays as it was told: users that are held are advanced first.
    pub(crate) fn change_env<R>(&self, now: Timestamp, change: impl FnOnce(&mut Env) -> R) -> R {
        let mut held = self.held();
        let mut env = self.env.write().unwrap_or_else(PoisonError::into_inner);
        for user in held.users.values_mut() {
            user.advance(now, &env);
        }
        change(Arc::make_mut(&mut env))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a user of the scenario; its number.
    pub(crate) fn add_user(&self, told: &scenario::User) -> Result<u32, BadScenario> {
        told.check()?;
        let env = self.env();
        let mut held = self.held();
        let index = held.next;
        if index >= POPULATION {
            return Err(BadScenario(format!(
                "more than {POPULATION} users told one by one: use `population`"
            )));
        }
        let user = User::new(&env, index, told);
        if held.by_name.contains_key(&user.name) || held.by_id.contains_key(&user.id) {
            return Err(BadScenario(format!("there is a user {:?} already", user.name)));
        }
        held.next += 1;
        held.by_name.insert(user.name.clone(), index);
        held.by_id.insert(user.id.clone(), index);
        held.users.insert(index, user);
        Ok(index)
    }

    /// The number of the user with this id, or this name in the scenario.
    pub(crate) fn find_user(&self, id_or_name: &str) -> Option<u32> {
        let named = self.held().by_name.get(id_or_name).copied();
        named.or_else(|| self.user_number(id_or_name))
    }

    /// The id of a generated user.
    pub(crate) fn generated_id(&self, number: u32) -> Option<String> {
        let env = self.env();
        (number < env.population.users).then(|| env.ids.write(Id::User { user: POPULATION + number }))
    }

    /// The number of the user with this id.
    pub(crate) fn user_number(&self, id: &str) -> Option<u32> {
        if let Some(index) = self.held().by_id.get(id) {
            return Some(*index);
        }
        match self.env().ids.read(id) {
            Some(Id::User { user }) => Some(user),
            _ => None,
        }
    }

    /// The connection of a user that an id names.
    pub(crate) fn connection_number(&self, user: u32, id: &str) -> Option<u8> {
        match self.env().ids.read(id) {
            Some(Id::Connection { user: of, connection }) if of == user => Some(connection),
            _ => None,
        }
    }

    /// The job that an id names.
    pub(crate) fn job_number(&self, id: &str) -> Option<JobRef> {
        match self.env().ids.read(id) {
            Some(Id::Job { user, connection, job }) => Some(JobRef { user, connection, job }),
            _ => None,
        }
    }

    /// Looks at a user as of `now`; nothing if there is none.
    pub(crate) fn read<R>(
        &self,
        index: u32,
        now: Timestamp,
        look: impl FnOnce(&User, &Env) -> R,
    ) -> Option<R> {
        let env = self.env();
        let mut held = self.held();
        if let Some(user) = held.users.get_mut(&index) {
            user.advance(now, &env);
            return Some(look(user, &env));
        }
        drop(held);
        let mut user = Self::generate(&env, index)?;
        user.advance(now, &env);
        Some(look(&user, &env))
    }

    /// Changes a user as of `now`; from then on it is held.
    pub(crate) fn change<R>(
        &self,
        index: u32,
        now: Timestamp,
        change: impl FnOnce(&mut User, &Env) -> R,
    ) -> Option<R> {
        let env = self.env();
        let mut held = self.held();
        let user = match held.users.entry(index) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Self::generate(&env, index)?),
        };
        user.advance(now, &env);
        Some(change(user, &env))
    }

    fn generate(env: &Env, index: u32) -> Option<User> {
        let number = index.checked_sub(POPULATION).filter(|number| *number < env.population.users)?;
        Some(User::new(env, index, &env.population.user(env.seed, number, &CATALOGUE)))
    }

    /// The numbers of all users, from `from` on, in order; generated ones last.
    pub(crate) fn numbers(&self, from: u32) -> impl Iterator<Item = u32> + use<> {
        let told: Vec<u32> = self
            .held()
            .users
            .range(from..)
            .map(|(index, _)| *index)
            .filter(|index| *index < POPULATION)
            .collect();
        let generated = POPULATION.max(from)..POPULATION + self.env().population.users;
        told.into_iter().chain(generated)
    }

    /// The numbers of generated users that are not held and to whom something may have happened after `since`, up to `now`.
    pub(crate) fn busy_between(&self, since: Timestamp, now: Timestamp) -> Vec<u32> {
        let env = self.env();
        let ranges = env.population.busy_between(since - LONGEST_TRY, now, env.epoch);
        let held = self.held();
        let mut numbers: Vec<u32> = ranges
            .into_iter()
            .flatten()
            .map(|number| POPULATION + number)
            .filter(|number| !held.users.contains_key(number))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The numbers of the users that are held.
    pub(crate) fn held_numbers(&self) -> Vec<u32> {
        self.held().users.keys().copied().collect()
    }

    /// When something next happens to a user that is held.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.held().users.values().filter_map(User::next_due).min()
    }
}
