//! What answers, events and hints change.

use super::{
    Connection, ConnectionSeen, End, EventSeen, HintKind, Id, Job, JobSeen, Kind, Ledger, Left, Method, Ms,
    Name, Outcomes, Queue, Status, User, jobs, record::span, standing::GRACE, to_seconds,
};

/// Jobs of one user beyond these are ignored: no user has hundreds of jobs a day.
const JOBS: usize = 4096;
/// Connections of one user beyond these are ignored.
const CONNECTIONS: usize = 1024;
/// Jobs of one user that hints named and no answer has shown yet.
const HINTED: usize = 16;

impl Ledger {
    /// A list of the user's jobs. `complete`: all of the last 7 days, without a filter. Unknown users are ignored.
    pub fn observe_jobs(&mut self, user: &Id, seen: &[JobSeen], complete: bool, asked: Ms, now: Ms) {
        let Some(place) = self.place(user) else { return };
        self.change(place, now, |ledger, user| {
            if asked + GRACE < user.jobs_listed {
                // It may show jobs as running that have since been dropped as counted.
                return;
            }
            for job in seen.iter().take(JOBS) {
                ledger.take_job(user, job, asked, now);
            }
            ledger.count(user, now);
            if complete {
                user.jobs_listed = user.jobs_listed.max(asked);
                ledger.prune(user, asked, now);
            }
        });
    }

    /// A job's id can no longer be read.
    pub fn observe_job_gone(&mut self, user: &Id, job: &Id, now: Ms) {
        let Some(place) = self.place(user) else { return };
        self.change(place, now, |ledger, user| {
            // A hinted job that does not exist, or one whose end nobody will learn.
            user.jobs.retain(|kept| kept.id != *job || !kept.is_running());
            let Some(nth) = user.jobs.iter().position(|kept| kept.id == *job) else { return };
            let institution = ledger.attribution(&user.jobs[nth], user).0;
            let kept = &mut user.jobs[nth];
            kept.asked = kept.asked.max(now);
            if kept.is_queued() && now < kept.created + span::WEEK {
                kept.queue = Queue::Left(Left::Unknown);
                ledger.counters.count(super::Counter::Left(institution, Left::Unknown), now);
            }
        });
    }

    /// Whether a job names a connection that is not known, so that connections should be listed now.
    pub fn wants_connections(&self, user: &Id) -> bool {
        let Some(user) = self.place(user).and_then(|place| self.user(place)) else { return false };
        user.jobs.iter().any(|job| !jobs::is_attributable(job, user) && job.connection.is_some())
    }

    /// The complete list of the user's connections: those missing in it are gone.
    pub fn observe_connections(&mut self, user: &Id, seen: &[ConnectionSeen], asked: Ms, now: Ms) {
        let Some(place) = self.place(user) else { return };
        self.change(place, now, |ledger, user| {
            if asked < user.connections_listed {
                return;
            }
            user.connections_listed = asked;
            let mut old = std::mem::take(&mut user.connections);
            let mut new = Vec::with_capacity(seen.len().min(CONNECTIONS));
            for seen in seen.iter().take(CONNECTIONS) {
                if new.iter().any(|known: &Connection| known.id == seen.id) {
                    continue;
                }
                let institution = ledger.institutions.intern(&seen.institution);
                let known = old.iter().position(|known| known.id == seen.id);
                let mut connection = match known {
                    Some(at) => old.swap_remove(at),
                    None => Connection::first_seen(seen, institution),
                };
                connection.update(seen, institution, known.is_none(), asked, user.discovered);
                new.push(connection);
            }
            for gone in old {
                ledger.depart(user, &gone, End::Deleted, now);
                leave_queue(user, &gone.id);
            }
            user.connections = new;
            jobs::catch_up(user);
            ledger.count(user, now);
        });
    }

    /// What an event says of a connection, or, if it names none, of all consents of the user.
    pub fn observe_event(&mut self, user: &Id, connection: Option<&Id>, event: EventSeen, at: Ms, now: Ms) {
        let Some(place) = self.place(user) else { return };
        self.change(place, now, |ledger, user| {
            let known = |id: &Id| user.connections.iter().any(|known| known.id == *id);
            if event == EventSeen::Created && connection.is_some_and(|id| !known(id)) {
                // Only a list tells at which bank it is.
                user.connections_listed = 0;
            }
            let listed = user.connections_listed;
            let mut gone = None;
            for (nth, known) in user.connections.iter_mut().enumerate() {
                if connection.is_some_and(|id| known.id != *id) {
                    continue;
                }
                match event {
                    EventSeen::Deleted if connection.is_some() => gone = Some(nth),
                    EventSeen::Deleted | EventSeen::Created => {}
                    EventSeen::Invalidated => {
                        let trouble = known.trouble();
                        trouble.invalidated = trouble.invalidated.max(at);
                        if at > listed && at > trouble.activated {
                            known.status = Status::Invalid;
                        }
                    }
                    EventSeen::Activated => {
                        known.succeeded = true;
                        let trouble = known.trouble();
                        trouble.activated = trouble.activated.max(at);
                        if at > listed && at >= trouble.invalidated {
                            known.status = Status::Active;
                        }
                    }
                    EventSeen::ConsentEnded if known.method == Method::OpenBanking => {
                        let trouble = known.trouble();
                        trouble.consent_ended = trouble.consent_ended.max(at);
                    }
                    EventSeen::ConsentEnded => {}
                }
            }
            if let Some(nth) = gone {
                let gone = user.connections.swap_remove(nth);
                ledger.depart(user, &gone, End::Deleted, now);
                leave_queue(user, &gone.id);
            }
        });
    }

    /// What the partner's application did. The user must be known; see [`Ledger::discover`].
    pub fn observe_hint(
        &mut self,
        user: &Id,
        connection: Option<&Id>,
        job: Option<&Id>,
        kind: HintKind,
        now: Ms,
    ) {
        let (Some(place), Some(job)) = (self.place(user), job) else { return };
        self.change(place, now, |_, user| {
            let hinted = user.jobs.iter().filter(|known| known.created == 0).count();
            if !user.jobs.iter().any(|known| known.id == *job) {
                if hinted == HINTED {
                    return;
                }
                user.jobs.push(Job::hinted(job, now));
            }
            let Some(known) = user.jobs.iter_mut().find(|known| known.id == *job) else { return };
            if known.connection.is_none() && kind == HintKind::Refreshed {
                known.connection = connection.cloned();
            }
            if kind != HintKind::Created && known.queue == Queue::No {
                known.queue = Queue::Named;
            }
        });
    }

    /// Which connectors are in major outage now.
    pub fn observe_outages(&mut self, down: &[(Name, Method)], now: Ms) {
        self.unstored_rest |= self.outages.observe(down, now);
    }
}

/// The queued jobs of a connection that is gone have left the queue; `depart` counted them.
fn leave_queue(user: &mut User, connection: &Id) {
    for job in
        user.jobs.iter_mut().filter(|job| job.connection.as_ref() == Some(connection) && job.is_queued())
    {
        job.queue = Queue::Left(Left::Deleted);
    }
}

impl Connection {
    fn first_seen(seen: &ConnectionSeen, institution: Name) -> Self {
        Self {
            id: seen.id.clone(),
            institution,
            method: seen.method,
            status: seen.status,
            succeeded: false,
            created: to_seconds(seen.created),
            last_used: 0,
            expiry: 0,
            last_job: 0,
            last_success: 0,
            trouble: None,
        }
    }

    fn update(&mut self, seen: &ConnectionSeen, institution: Name, first: bool, asked: Ms, discovered: Ms) {
        (self.institution, self.method, self.status) = (institution, seen.method, seen.status);
        self.last_used = self.last_used.max(to_seconds(seen.last_used));
        self.expiry = to_seconds(seen.expiry);
        self.succeeded |= seen.status == Status::Active || seen.last_used != 0;
        if seen.status == Status::Invalid {
            let success = self.last_success;
            let trouble = self.trouble();
            if trouble.invalid_seen <= success || trouble.invalid_seen == 0 {
                // At first sight nobody knows since when; what is not known to be new is not new.
                let known = [seen.last_used, seen.created].into_iter().find(|at| *at != 0);
                trouble.guessed = first;
                trouble.invalid = if first { known.unwrap_or(1).min(discovered) } else { asked };
            }
            trouble.invalid_seen = asked;
        }
    }
}

impl Job {
    fn hinted(id: &Id, now: Ms) -> Self {
        Self {
            id: id.clone(),
            connection: None,
            institution: None,
            kind: Kind::Connection,
            created: 0,
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
