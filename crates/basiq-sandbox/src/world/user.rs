//! A user with connections and events, advanced to the present before each look.

use jiff::{SignedDuration, Timestamp};

use super::{
    connection::{Connection, Refreshed},
    env::Env,
    events::Log,
    ids::Id,
};
use crate::scenario::{self, Act, Failure};

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) index: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) mobile: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) log: Log,
    created: Timestamp,
    made: bool,
    delete_at: Option<Timestamp>,
}

impl User {
    /// The user at the beginning of what is told; advance it to see the present.
    pub(crate) fn new(env: &Env, index: u32, told: &scenario::User) -> Self {
        let full_name = told.full_name.as_deref().unwrap_or(&told.name);
        let (first_name, last_name) = full_name.split_once(' ').unwrap_or((full_name, ""));
        let connections = told
            .connections
            .iter()
            .zip(0_u8..)
            .map(|(connection, number)| Connection::new(env, index, number, connection))
            .collect();
        let created =
            told.created.map_or(env.epoch - SignedDuration::from_hours(24 * 60), |at| at.resolve(env.epoch));
        Self {
            index,
            id: told.id.clone().unwrap_or_else(|| env.ids.write(Id::User { user: index })),
            name: told.name.clone(),
            email: told.email.clone(),
            mobile: told.mobile.clone(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            deleted: None,
            connections,
            log: Log::default(),
            created,
            made: created < env.origin(),
            delete_at: told.deleted.map(|at| at.resolve(env.epoch)),
        }
    }

    /// When something happens next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let own = (!self.made)
            .then_some(self.created)
            .into_iter()
            .chain(self.delete_at.filter(|_| self.deleted.is_none()));
        own.chain(self.connections.iter().filter_map(|connection| connection.due().map(|(at, _)| at))).min()
    }

    /// Lets everything happen that was due by `now`, in order.
    pub(crate) fn advance(&mut self, now: Timestamp, env: &Env) {
        loop {
            let due = self
                .connections
                .iter()
                .enumerate()
                .filter_map(|(index, connection)| connection.due().map(|(at, due)| (at, index, due)));
            let next = due.min_by_key(|(at, index, _)| (*at, *index));
            let limit = next.map_or(now, |(at, ..)| at.min(now));
            if !self.made && self.created <= limit {
                self.made = true;
                self.log.add(self.created, "user.created", None);
                continue;
            }
            if let Some(at) = self.delete_at.filter(|at| *at <= limit && self.deleted.is_none()) {
                self.delete(at, env);
                continue;
            }
            match next {
                Some((at, index, due)) if at <= now => {
                    self.connections[index].apply(at, due, env, &mut self.log)
                }
                _ => return,
            }
        }
    }

    /// Deletes the user with all connections.
    pub(crate) fn delete(&mut self, at: Timestamp, env: &Env) {
        if self.deleted.is_none() {
            self.deleted = Some(at);
            for connection in &mut self.connections {
                connection.act(at, Act::Delete, env, &mut self.log);
            }
            self.log.add(at, "user.deleted", None);
        }
    }

    /// Whether Basiq knows the user at `now`.
    pub(crate) fn exists(&self, now: Timestamp) -> bool {
        self.created <= now && self.deleted.is_none()
    }

    /// The connections that exist.
    pub(crate) fn living(&self, now: Timestamp) -> impl Iterator<Item = &Connection> {
        self.connections
            .iter()
            .filter(move |connection| connection.deleted.is_none() && connection.created <= now)
    }

    pub(crate) fn act(&mut self, connection: u8, at: Timestamp, act: Act, env: &Env) -> bool {
        let Some(connection) = self.connections.get_mut(usize::from(connection)) else { return false };
        connection.act(at, act, env, &mut self.log);
        true
    }

    pub(crate) fn refresh(&mut self, connection: u8, at: Timestamp, env: &Env) -> Option<Refreshed> {
        let connection = self
            .connections
            .get_mut(usize::from(connection))
            .filter(|connection| connection.deleted.is_none() && connection.created <= at)?;
        Some(connection.refresh(at, env))
    }

    pub(crate) fn answer_mfa(&mut self, connection: u8, job: u32, at: Timestamp) -> bool {
        self.connections
            .get_mut(usize::from(connection))
            .is_some_and(|connection| connection.answer_mfa(job, at))
    }

    pub(crate) fn fail(&mut self, connection: u8, failure: &Failure, at: Timestamp, env: &Env) -> bool {
        let Some(connection) = self.connections.get_mut(usize::from(connection)) else { return false };
        connection.add_failure(failure, env.epoch, at);
        true
    }

    pub(crate) fn heal(&mut self, connection: u8, at: Timestamp) -> bool {
        let Some(connection) = self.connections.get_mut(usize::from(connection)) else { return false };
        connection.heal(at);
        true
    }

    /// Adds a connection while the sandbox runs; its number.
    pub(crate) fn connect(&mut self, told: &scenario::Connection, env: &Env) -> Option<u8> {
        let number = u8::try_from(self.connections.len()).ok().filter(|number| *number <= 250)?;
        self.connections.push(Connection::new(env, self.index, number, told));
        Some(number)
    }
}
