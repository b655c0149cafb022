//! How a connection stands: a pure function of what is kept of it and of the time.
//!
//! Everything it reads only ever grows (newest success, first failure of each job, newest event), so that the
//! order in which answers arrive does not matter.

use super::{
    Connection, End, Job, Kind, Ms, Queue, Scenario, Status, Trouble, User,
    record::{Left, span},
};

/// How long a connection may be without a job before it is abandoned.
pub(super) const ABANDONED: Ms = 30 * span::DAY;
/// How long an end is shown.
pub(super) const END_SHOWN: Ms = span::DAY;
/// How far before its user's discovery a failure may lie and still be new.
pub(super) const GRACE: Ms = span::HOUR;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known to be wrong.
    Healthy,
    /// It fails.
    Failing(Failing),
    /// It failed, until this; `at` is by Basiq's clock.
    Ended(End, Ms),
}

/// What is wrong with a failing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// What it means.
    pub scenario: Scenario,
    /// Job ids in a row that ended failed, outages apart.
    pub jobs: u32,
    /// When it began.
    pub since: Ms,
    /// When the newest failed job finished; when it was found invalid if there is none.
    pub last: Ms,
}

/// What is known to be wrong, before anything that may have ended it.
struct Evidence<'a> {
    newest: Option<&'a Job>,
    trouble: Option<&'a Trouble>,
    invalid: Option<Ms>,
    jobs: u32,
    since: Ms,
    last: Ms,
}

/// The failed jobs of a connection since its newest success.
pub(super) fn run<'a>(user: &'a User, connection: &'a Connection) -> impl Iterator<Item = &'a Job> {
    user.jobs.iter().filter(|job| {
        job.kind == Kind::Connection
            && job.failed > connection.last_success
            && job.connection.as_ref() == Some(&connection.id)
    })
}

impl Trouble {
    /// Since when status or event say that it is invalid, if they do so after `success`.
    pub(super) fn invalid_since(&self, success: Ms) -> Option<Ms> {
        let status = (self.invalid_seen > success).then_some(self.invalid);
        let event = (self.invalidated > success).then_some(self.invalidated);
        match (status, event) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl<'a> Evidence<'a> {
    fn of(user: &'a User, connection: &'a Connection) -> Option<Self> {
        let trouble = connection.trouble.as_deref();
        let success = connection.last_success;
        let carried = trouble.and_then(|t| t.carried.as_ref()).filter(|carried| carried.last > success);
        let invalid = trouble.and_then(|t| t.invalid_since(success));
        let mut found = Self { newest: None, trouble, invalid, jobs: 0, since: Ms::MAX, last: 0 };
        for job in run(user, connection) {
            found.jobs += u32::from(!job.failure.is_some_and(|failure| failure.outage));
            found.since = found.since.min(job.failed);
            if (job.failed, &job.id) > found.newest.map_or((0, &job.id), |newest| (newest.failed, &newest.id))
            {
                found.newest = Some(job);
            }
        }
        found.last = found.newest.map_or(0, |job| job.failed);
        if let Some(carried) = carried {
            found.jobs += carried.jobs;
            found.since = found.since.min(carried.since);
            found.last = found.last.max(carried.last);
        }
        // A guess gives way to what jobs say.
        let guessed = trouble.is_some_and(|trouble| trouble.guessed) && found.since != Ms::MAX;
        if let Some(since) = invalid.filter(|_| !guessed) {
            found.since = found.since.min(since);
        }
        (found.since != Ms::MAX).then_some(found)
    }

    /// When the newest sign of failure was.
    fn newest_sign(&self) -> Ms {
        self.last.max(self.invalid.unwrap_or(0))
    }

    fn scenario(&self, connection: &Connection) -> Scenario {
        let carried = self.trouble.and_then(|trouble| trouble.carried.as_ref());
        match (self.newest, carried) {
            (Some(job), _) => match job.queue {
                Queue::In => Scenario::RetryQueued,
                Queue::Left(Left::Expired) => Scenario::RetryExpired,
                _ => job.failure.map_or(Scenario::Unknown, |failure| failure.scenario),
            },
            (None, Some(carried)) if carried.last == self.last => carried.scenario,
            (None, _) => Scenario::of_invalid(connection.method),
        }
    }
}

/// How `connection` of `user` stands at `now` (behaviour, section 1).
pub fn standing(user: &User, connection: &Connection, now: Ms) -> Standing {
    let Some(evidence) = Evidence::of(user, connection) else { return Standing::Healthy };
    let trouble = evidence.trouble;
    let sign = evidence.newest_sign();
    // While the failed job is listed, only a job's success is evidence of recovery.
    if evidence.newest.is_none_or(|job| job.created + span::WEEK <= now) {
        let used = if connection.status == Status::Active { seconds(connection.last_used) } else { 0 };
        let soft = trouble.map_or(0, |trouble| trouble.activated).max(used);
        if soft > sign {
            return Standing::Ended(End::Recovered, soft);
        }
    }
    let others = user.connections.iter().filter(|other| other.id != connection.id);
    let same_bank = others.filter(|other| other.institution == connection.institution);
    if let Some(at) = same_bank.map(|other| other.last_success).max().filter(|at| *at > sign) {
        return Standing::Ended(End::Superseded, at);
    }
    if let Some(at) = trouble.map(|trouble| trouble.consent_ended).filter(|at| *at > connection.last_success)
    {
        return Standing::Ended(End::ConsentEnded, at);
    }
    let abandoned = abandoned_at(connection, evidence.since);
    if abandoned <= now {
        return Standing::Ended(End::Abandoned, abandoned);
    }
    let last = if evidence.last == 0 { sign } else { evidence.last };
    let scenario = evidence.scenario(connection);
    Standing::Failing(Failing { scenario, jobs: evidence.jobs, since: evidence.since, last })
}

/// When a connection that goes on failing without any job is abandoned.
pub(super) fn abandoned_at(connection: &Connection, since: Ms) -> Ms {
    seconds(connection.last_job).max(since) + ABANDONED
}

/// Whether the newest failure is older than what is news: before the ledger was born, or more than an hour
/// before its user was first discovered.
pub fn is_baseline(user: &User, born: Ms, failing: &Failing) -> bool {
    failing.last < counted_from(user.discovered, born)
}

/// Jobs of a user that finished before this are learned, not counted.
pub fn counted_from(discovered: Ms, born: Ms) -> Ms {
    (discovered - GRACE).max(born)
}

/// Seconds as they are kept, in milliseconds.
pub(super) fn seconds(seconds: u32) -> Ms {
    Ms::from(seconds) * 1000
}
