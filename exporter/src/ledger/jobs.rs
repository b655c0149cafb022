//! What an answer about jobs changes, and what of it is counted.

use super::{
    Counter, Failure, Id, Job, JobSeen, Kind, Ledger, Mark, Method, Ms, Name, Outcome, Outcomes, Queue,
    StepStatus, User, names::UNKNOWN, record::span, scenario, standing::GRACE,
};

/// How long a job that may still change is kept: Basiq's 7 days and one more.
const KEPT: Ms = 8 * span::DAY;
/// How far `updated` of a failed job must move to be evidence of the retry queue.
const MOVED: Ms = span::HOUR;
/// Steps of a job beyond these are ignored.
const STEPS: usize = 64;

/// The state that one answer shows.
enum State {
    Open,
    Failed,
    Succeeded,
}

fn state(seen: &JobSeen) -> State {
    if seen.steps.iter().any(|step| matches!(step.status, StepStatus::Failed { .. })) {
        State::Failed
    } else if !seen.steps.is_empty() && seen.steps.iter().all(|step| step.status == StepStatus::Success) {
        State::Succeeded
    } else {
        State::Open
    }
}

impl Ledger {
    /// Takes over one job of `user` from an answer that was asked for at `asked`.
    pub(super) fn take_job(&mut self, user: &mut User, seen: &JobSeen, asked: Ms, now: Ms) {
        let state = state(seen);
        let at = match user.jobs.iter().position(|job| job.id == seen.id) {
            Some(at) if user.jobs[at].created != 0 => at,
            // A job that only a hint named so far may have been counted and dropped before the hint came.
            hinted => {
                let finished = !matches!(state, State::Open);
                let learned = finished && seen.updated <= user.watermark;
                let hinted = hinted.map(|at| user.jobs.swap_remove(at));
                if learned && (matches!(state, State::Succeeded) || seen.created + KEPT <= now) {
                    // Counted before or older than what counts; only how the connection stands may change.
                    note_activity(user, seen, seen.updated);
                    if matches!(state, State::Succeeded) {
                        note_success(user, seen.kind, seen.connection.as_ref(), seen.updated);
                    }
                    return;
                }
                let mut job = hinted.unwrap_or_else(|| Job::first_seen(seen, now));
                (job.created, job.kind) = (seen.created, seen.kind);
                if job.connection.is_none() {
                    job.connection.clone_from(&seen.connection);
                }
                job.institution = seen.institution.as_deref().map(|id| self.institutions.intern(id));
                if learned {
                    job.counted.insert(Outcome::Failed);
                    self.mark(&mut job, user, seen, now);
                    job.steps.iter_mut().for_each(|mark| mark.counted = mark.seen);
                }
                user.jobs.push(job);
                user.jobs.len() - 1
            }
        };
        note_activity(user, seen, seen.updated);
        let mut job = user.jobs.swap_remove(at);
        self.update(&mut job, user, seen, &state, asked, now);
        if matches!(state, State::Succeeded) {
            note_success(user, job.kind, job.connection.as_ref(), job.succeeded);
        }
        user.jobs.push(job);
    }

    fn update(&mut self, job: &mut Job, user: &User, seen: &JobSeen, state: &State, asked: Ms, now: Ms) {
        if job.connection.is_none() {
            job.connection.clone_from(&seen.connection);
        }
        if job.institution.is_none() {
            job.institution = seen.institution.as_deref().map(|id| self.institutions.intern(id));
        }
        let newest = (seen.updated, asked) >= (job.updated, job.asked);
        // A step that failed before and does not now: Basiq tries again.
        let left_failed = newest && job.failed != 0 && !matches!(state, State::Failed);
        match state {
            State::Failed if job.failed == 0 || seen.updated < job.failed => job.failed = seen.updated.max(1),
            State::Succeeded if job.succeeded == 0 || seen.updated < job.succeeded => {
                job.succeeded = seen.updated.max(1);
            }
            _ => {}
        }
        let moved = job.failed != 0 && matches!(state, State::Failed) && seen.updated >= job.failed + MOVED;
        if newest {
            (job.updated, job.asked) = (seen.updated, asked);
        }
        self.mark(job, user, seen, now);
        if (left_failed || moved) && job.queue == Queue::No {
            job.queue = Queue::Named;
        }
    }

    /// Notes which terminal outcomes of steps an answer shows.
    fn mark(&mut self, job: &mut Job, user: &User, seen: &JobSeen, now: Ms) {
        let attribution = self.attribution(job, user);
        let mut places: Vec<(Name, usize)> = Vec::new();
        for step in seen.steps.iter().take(STEPS) {
            let title = self.intern_open(&step.title, Open::Step);
            let nth = places.iter().filter(|(name, _)| *name == title).count();
            places.push((title, nth));
            let known = job.steps.iter().enumerate().filter(|(_, mark)| mark.title == title).nth(nth);
            let at = match known {
                Some((at, _)) => at,
                None => {
                    job.steps.push(Mark {
                        title,
                        seen: Outcomes::default(),
                        counted: Outcomes::default(),
                        failure: None,
                    });
                    job.steps.len() - 1
                }
            };
            match &step.status {
                StepStatus::Open => {}
                StepStatus::Success => {
                    job.steps[at].seen.insert(Outcome::Success);
                }
                StepStatus::Failed { code, detail } => {
                    if job.steps[at].seen.insert(Outcome::Failed) {
                        let (scenario, known) = scenario::classify(&step.title, code, detail, attribution.1);
                        let failure = Failure {
                            code: if code.is_empty() { UNKNOWN } else { self.intern_open(code, Open::Code) },
                            scenario,
                            unknown_code: !known && job.kind == Kind::Connection,
                            outage: self.outages.covers(attribution.0, attribution.1, seen.updated, now),
                        };
                        job.steps[at].failure = Some(failure);
                        job.failure.get_or_insert(failure);
                    }
                }
            }
        }
    }

    /// Under which institution and method a job is counted.
    pub(super) fn attribution(&self, job: &Job, user: &User) -> (Name, Method) {
        let institution = job.institution.unwrap_or(UNKNOWN);
        let owner = job.connection.as_ref().and_then(|id| user.connection(id));
        match (job.kind, owner) {
            (Kind::Statement, _) => (institution, Method::Statement),
            (Kind::Report, _) => (institution, Method::Report),
            (Kind::Other, _) => (institution, Method::Other),
            (Kind::Connection, Some(owner)) => (owner.institution, owner.method),
            (Kind::Connection, None) => (institution, Method::Other),
        }
    }

    /// Counts what was seen of the user's jobs and not counted yet, as far as it is known where to.
    pub(super) fn count(&mut self, user: &mut User, now: Ms) {
        let mut jobs = std::mem::take(&mut user.jobs);
        for job in jobs.iter_mut().filter(|job| job.created != 0) {
            if is_attributable(job, user) {
                self.count_job(job, user, now);
            }
        }
        user.jobs = jobs;
    }

    fn count_job(&mut self, job: &mut Job, user: &User, now: Ms) {
        let (institution, method) = self.attribution(job, user);
        for mark in &mut job.steps {
            if mark.seen.contains(Outcome::Success) && mark.counted.insert(Outcome::Success) {
                self.counters.count(Counter::Step(institution, method, mark.title), now);
            }
            if mark.seen.contains(Outcome::Failed) && mark.counted.insert(Outcome::Failed) {
                self.counters.count(Counter::Step(institution, method, mark.title), now);
                if let Some(failure) = mark.failure {
                    let label =
                        Counter::StepFailed(institution, method, mark.title, failure.code, failure.scenario);
                    self.counters.count(label, now);
                    if failure.unknown_code {
                        self.counters.count(Counter::CodesUnknown, now);
                    }
                }
            }
        }
        let first = job.counted == Outcomes::default();
        for (outcome, at) in [(Outcome::Failed, job.failed), (Outcome::Success, job.succeeded)] {
            if at != 0 && job.counted.insert(outcome) {
                self.counters.count(Counter::Finished(institution, method, outcome), now);
                if first && (outcome == Outcome::Failed || job.failed == 0) {
                    self.counters.observe((method, outcome), at - job.created);
                }
            }
        }
    }

    /// Drops jobs that can no longer change anything, after a complete list asked for at `asked`.
    pub(super) fn prune(&mut self, user: &mut User, asked: Ms, now: Ms) {
        let mut jobs = std::mem::take(&mut user.jobs);
        jobs.retain(|job| {
            let settled = job.succeeded != 0 && job.succeeded < asked - GRACE && is_counted(job);
            if settled && job.failed == 0 {
                user.watermark = user.watermark.max(job.succeeded);
                return false;
            }
            let born = if job.created == 0 { job.first_seen } else { job.created };
            if now < born + KEPT {
                return true;
            }
            carry(user, job);
            false
        });
        jobs.shrink_to_fit();
        user.jobs = jobs;
    }

    /// An open set's name as a label: Basiq writes them in lower case, anything else is `other`.
    pub(super) fn intern_open(&mut self, text: &str, open: Open) -> Name {
        let names = match open {
            Open::Step => &mut self.steps,
            Open::Code => &mut self.codes,
        };
        if text.bytes().any(|c| c.is_ascii_uppercase()) { super::names::OTHER } else { names.intern(text) }
    }
}

/// Which open set a name is of.
#[derive(Clone, Copy)]
pub(super) enum Open {
    Step,
    Code,
}

/// Whether it is decided under which labels the job counts: its connection is listed, or was not when
/// connections were listed after it was seen, or it finished without naming one.
pub(super) fn is_attributable(job: &Job, user: &User) -> bool {
    match (&job.connection, job.kind) {
        (_, Kind::Statement | Kind::Report | Kind::Other) => true,
        (None, Kind::Connection) => !job.is_running(),
        (Some(id), Kind::Connection) => {
            user.connection(id).is_some() || user.connections_listed >= job.first_seen
        }
    }
}

fn is_counted(job: &Job) -> bool {
    job.steps.iter().all(|mark| mark.seen == mark.counted)
        && (job.failed == 0 || job.counted.contains(Outcome::Failed))
        && (job.succeeded == 0 || job.counted.contains(Outcome::Success))
}

/// Keeps the sum of a failed job of the present run that is dropped.
fn carry(user: &mut User, job: &Job) {
    if job.kind != Kind::Connection || job.failed == 0 {
        return;
    }
    let Some(owner) = user.connections.iter_mut().find(|c| job.connection.as_ref() == Some(&c.id)) else {
        return;
    };
    if job.failed <= owner.last_success {
        return;
    }
    let scenario = match job.queue {
        Queue::Left(super::Left::Expired) => super::Scenario::RetryExpired,
        _ => job.failure.map_or(super::Scenario::Unknown, |failure| failure.scenario),
    };
    let jobs = u32::from(!job.failure.is_some_and(|failure| failure.outage));
    let success = owner.last_success;
    let trouble = owner.trouble();
    let old = trouble.carried.take().filter(|carried| carried.last > success);
    trouble.carried = Some(match old {
        Some(old) => super::Carried {
            jobs: old.jobs + jobs,
            since: old.since.min(job.failed),
            scenario: if old.last > job.failed { old.scenario } else { scenario },
            last: old.last.max(job.failed),
        },
        None => super::Carried { jobs, since: job.failed, last: job.failed, scenario },
    });
}

fn note_success(user: &mut User, kind: Kind, connection: Option<&Id>, at: Ms) {
    if kind != Kind::Connection {
        return;
    }
    if let Some(owner) = user.connections.iter_mut().find(|owner| connection == Some(&owner.id)) {
        owner.succeeded = true;
        owner.last_success = owner.last_success.max(at);
    }
}

fn note_activity(user: &mut User, seen: &JobSeen, at: Ms) {
    if seen.kind != Kind::Connection {
        return;
    }
    if let Some(owner) = user.connections.iter_mut().find(|owner| seen.connection.as_ref() == Some(&owner.id))
    {
        owner.last_job = owner.last_job.max(super::to_seconds(at));
    }
}

/// What jobs say of a connection that was listed only after them.
pub(super) fn catch_up(user: &mut User) {
    let successes: Vec<_> = user
        .jobs
        .iter()
        .filter(|job| job.kind == Kind::Connection)
        .filter_map(|job| Some((job.connection.clone()?, job.succeeded, job.updated)))
        .collect();
    for (id, succeeded, updated) in successes {
        if let Some(owner) = user.connections.iter_mut().find(|owner| owner.id == id) {
            owner.last_job = owner.last_job.max(super::to_seconds(updated));
            if succeeded != 0 {
                owner.succeeded = true;
                owner.last_success = owner.last_success.max(succeeded);
            }
        }
    }
}

impl Job {
    fn first_seen(seen: &JobSeen, now: Ms) -> Self {
        Self {
            id: seen.id.clone(),
            connection: seen.connection.clone(),
            institution: None,
            kind: seen.kind,
            created: seen.created,
            updated: 0,
            asked: 0,
            first_seen: now,
            failed: 0,
            succeeded: 0,
            counted: Outcomes::default(),
            steps: Vec::new(),
            failure: None,
            queue: Queue::No,
        }
    }
}
