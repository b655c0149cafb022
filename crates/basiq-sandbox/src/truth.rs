//! What really happened: the answers that tests compare the product's view with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    app::App,
    requests::{RefreshSeen, RouteCount},
    scenario::{JobKind, Method},
    world::{
        connection::Status,
        env::Env,
        ids::{Id, Ids},
        job::{Job as WorldJob, Left},
        user::User as WorldUser,
    },
};

/// All of it, for the users that are held in memory.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    /// The clock's time.
    pub now: Timestamp,
    /// The users of the scenario, and generated ones that someone changed.
    pub users: Vec<User>,
    /// Requests by route.
    pub requests: BTreeMap<&'static str, RouteCount>,
    /// The most requests in one second of the clock.
    pub peak_requests_per_second: u64,
    /// Refreshes, in the order in which they came.
    pub refreshes: Vec<RefreshSeen>,
}

/// A user.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// The scenario's name.
    pub name: String,
    /// Basiq's id.
    pub id: String,
    /// When the user was deleted.
    pub deleted: Option<Timestamp>,
    /// The user's connections.
    pub connections: Vec<Connection>,
    /// The types of the user's events of the last 7 days, oldest first, with the connection they are about.
    pub events: Vec<Event>,
}

/// An event.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Basiq's type, `connection.invalidated` say.
    pub kind: &'static str,
    /// The connection's id.
    pub connection_id: Option<String>,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Basiq's id.
    pub id: String,
    /// The bank.
    pub institution: String,
    /// How Basiq reaches it.
    pub method: Method,
    /// Basiq's status.
    pub status: Status,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// Its jobs, in the order in which they were made.
    pub jobs: Vec<Job>,
}

/// A job.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    /// Basiq's id.
    pub id: String,
    /// What it was for.
    pub kind: JobKind,
    /// When it was made.
    pub created: Timestamp,
    /// Its tries: more than one only in the retry queue.
    pub tries: Vec<Try>,
    /// Whether it is in the retry queue, and when the next try is.
    pub next_try: Option<Timestamp>,
    /// When and how it left the queue.
    pub left: Option<(Timestamp, Left)>,
}

/// One try of a job.
#[derive(Clone, Debug, Serialize)]
pub struct Try {
    /// When it started.
    pub started: Timestamp,
    /// When it ended; later than now if it runs.
    pub ended: Timestamp,
    /// Step and code, if it fails.
    pub failed: Option<(String, String)>,
    /// The titles of the steps that were reached.
    pub steps: Vec<String>,
}

impl Connection {
    /// The newest job of the connection itself that has finished by `now`, and whether it succeeded.
    pub fn newest_finished(&self, now: Timestamp) -> Option<(&Job, bool)> {
        let finished =
            self.jobs.iter().filter(|job| !matches!(job.kind, JobKind::Report | JobKind::Statement));
        finished
            .filter_map(|job| {
                job.tries
                    .iter()
                    .rev()
                    .find(|run| run.ended <= now)
                    .map(|run| (run.ended, job, run.failed.is_none()))
            })
            .max_by_key(|(ended, ..)| *ended)
            .map(|(_, job, succeeded)| (job, succeeded))
    }

    /// Whether its newest finished job failed.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        self.newest_finished(now).is_some_and(|(_, succeeded)| !succeeded)
    }
}

pub(crate) fn tell(app: &App) -> Truth {
    let now = app.clock.now();
    let users =
        app.world.held_numbers().into_iter().filter_map(|number| app.world.read(number, now, user)).collect();
    let requests = app.requests();
    Truth {
        now,
        users,
        requests: requests.routes.clone(),
        peak_requests_per_second: requests.peak_per_second,
        refreshes: requests.refreshes.clone(),
    }
}

pub(crate) fn of_user(app: &App, name_or_id: &str) -> Option<User> {
    app.world.read(app.world.find_user(name_or_id)?, app.clock.now(), user)
}

/// The id of a user number, without making a generated user for it.
pub(crate) fn user_id(app: &App, held: &[u32], ids: Ids, number: u32) -> String {
    let told = held.binary_search(&number).is_ok();
    let known = told.then(|| app.world.read(number, app.clock.now(), |user, _| user.id.clone())).flatten();
    known.unwrap_or_else(|| ids.write(Id::User { user: number }))
}

fn user(user: &WorldUser, env: &Env) -> User {
    let id = |connection: u8| env.ids.write(Id::Connection { user: user.index, connection });
    let connections = user.connections.iter().map(|connection| Connection {
        id: id(connection.number),
        institution: connection.institution.clone(),
        method: connection.method,
        status: connection.status,
        deleted: connection.deleted,
        jobs: connection
            .jobs
            .iter()
            .map(|told| {
                job(
                    env.ids.write(Id::Job {
                        user: user.index,
                        connection: connection.number,
                        job: told.number,
                    }),
                    told,
                )
            })
            .collect(),
    });
    User {
        name: user.name.clone(),
        id: user.id.clone(),
        deleted: user.deleted,
        connections: connections.collect(),
        events: user
            .log
            .from(0)
            .map(|event| Event { at: event.at, kind: event.kind, connection_id: event.connection.map(id) })
            .collect(),
    }
}

fn job(id: String, job: &WorldJob) -> Job {
    let tries = job.tries.iter().map(|run| Try {
        started: run.started,
        ended: run.ended(),
        failed: run.failed.as_ref().map(|(failed, _)| (failed.step.clone(), failed.code.clone())),
        steps: job.titles.iter().take(run.ends.len()).cloned().collect(),
    });
    Job {
        id,
        kind: job.kind,
        created: job.created,
        tries: tries.collect(),
        next_try: job.queued.map(|queued| queued.next_try),
        left: job.left,
    }
}
