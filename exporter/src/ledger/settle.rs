//! After each change of a user, and when time alone changes something: queue, ends, sums, rows, timers.

use std::cmp::Reverse;

use super::{
    Connection, Contribution, Counter, End, Failing, Gauge, Id, Ledger, Left, Method, Ms, Name, Outcome,
    Owner, Queue, Rank, Row, Scenario, Standing, Status, User, is_baseline,
    record::span,
    standing,
    standing::{END_SHOWN, abandoned_at, seconds},
    to_seconds,
};

/// How long a first failure is new.
const NEWLY: Ms = 30 * span::MINUTE;
/// How long a job may run before it is stuck.
pub(super) const STUCK: Ms = span::HOUR;
/// How long before its end an expiring consent is counted.
const EXPIRING: Ms = span::WEEK;

impl Ledger {
    /// Changes a user, keeping everything that follows from it right.
    pub(super) fn change(&mut self, place: u32, now: Ms, change: impl FnOnce(&mut Self, &mut User)) {
        let Some(mut user) = self.users.get_mut(place as usize).and_then(Option::take) else { return };
        self.withdraw(&user);
        change(self, &mut user);
        self.settle(place, &mut user, now);
        self.users[place as usize] = Some(user);
        self.unstored.insert(place);
    }

    /// Lets time pass: what became stuck, stale, abandoned, old.
    pub fn tick(&mut self, now: Ms) {
        while let Some(Reverse((due, place))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            if self.user(place).is_some_and(|user| user.timer == due) {
                self.change(place, now, |_, _| {});
            }
        }
        self.drop_departed(now);
    }

    /// When time alone next changes something.
    pub fn next_tick(&self) -> Option<Ms> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes what the user contributes out of the sums.
    pub(super) fn withdraw(&mut self, user: &User) {
        let contribution = self.contribution(user, user.settled);
        self.gauges.remove(&contribution);
    }

    /// Derives everything about a user anew, at `now`.
    pub(super) fn settle(&mut self, place: u32, user: &mut User, now: Ms) {
        user.settled = now;
        self.settle_queue(user, now);
        let standings: Vec<Standing> =
            user.connections.iter().map(|connection| standing(user, connection, now)).collect();
        let mut fresh = Vec::new();
        for (connection, standing) in user.connections.iter_mut().zip(&standings) {
            let was = connection.trouble.as_ref().is_some_and(|trouble| trouble.failing);
            let success = connection.last_success;
            match standing {
                Standing::Failing(failing) => {
                    if !was && now - failing.since < NEWLY {
                        fresh.push((connection.institution, connection.method));
                    }
                    let trouble = connection.trouble();
                    (trouble.failing, trouble.ended) = (true, None);
                }
                Standing::Healthy if was => connection.trouble().end(End::Recovered, success),
                Standing::Ended(end, at) if was => connection.trouble().end(*end, *at),
                _ => {}
            }
            tidy(connection, now);
        }
        for bank in fresh {
            self.note_fresh(bank);
        }
        for bank in user.connections.iter().map(|connection| (connection.institution, connection.method)) {
            if self.banks.insert(bank) {
                self.seed(bank, now);
            }
        }
        let contribution = self.contribution(user, now);
        self.gauges.add(&contribution);
        let rows = self.rows_of(place, user, now);
        self.rows.set(Owner::User(place), rows);
        let timer = self.next_change(user, now);
        if timer != user.timer {
            user.timer = timer;
            if timer != Ms::MAX {
                self.timers.push(Reverse((timer, place)));
            }
        }
    }

    /// Two users newly failing at one bank are a reason to look at its other users.
    fn note_fresh(&mut self, bank: (Name, Method)) {
        let failing: i64 = Scenario::ALL
            .iter()
            .filter_map(|s| self.gauges.value(Gauge::NewlyFailing(bank.0, bank.1, *s)))
            .sum();
        if failing >= 1 && !self.alarms.contains(&bank) {
            self.alarms.push(bank);
        }
    }

    /// Moves failed jobs into and out of the retry queue (behaviour, section 1).
    fn settle_queue(&mut self, user: &mut User, now: Ms) {
        let mut left = Vec::new();
        let mut jobs = std::mem::take(&mut user.jobs);
        for job in &mut jobs {
            let service = job.failure.is_some_and(|failure| failure.scenario == Scenario::ServiceUnavailable);
            let candidate = job.kind == super::Kind::Connection && job.failed != 0 && service;
            let expires = job.created + span::WEEK;
            if job.queue == Queue::Named && candidate && job.failed < expires {
                // What is already a week old when the evidence comes has left before.
                if job.succeeded != 0 || now < expires {
                    job.queue = Queue::In;
                }
            }
            if job.queue != Queue::In {
                continue;
            }
            let owner = job.connection.as_ref().and_then(|id| user.connection(id));
            let succeeded_since = |at: &Connection| at.last_success > job.failed;
            let by_another = owner.is_some_and(|owner| {
                succeeded_since(owner)
                    || user
                        .connections
                        .iter()
                        .any(|c| c.institution == owner.institution && succeeded_since(c))
            });
            let consent_ended = owner.and_then(|owner| owner.trouble.as_ref()).map_or(0, |t| t.consent_ended);
            let reason = if job.succeeded != 0 {
                Left::Success
            } else if by_another {
                Left::Superseded
            } else if consent_ended > job.failed {
                Left::Deleted
            } else if job.asked >= expires {
                // Only an answer asked for after the seven days shows that the last try failed.
                Left::Expired
            } else {
                continue;
            };
            job.queue = Queue::Left(reason);
            left.push((self.attribution(job, user).0, reason));
        }
        user.jobs = jobs;
        for (institution, reason) in left {
            self.counters.count(Counter::Left(institution, reason), now);
        }
    }

    /// What a user adds to the sums at `now`.
    pub(super) fn contribution(&self, user: &User, now: Ms) -> Contribution {
        let mut found = Contribution::default();
        for connection in &user.connections {
            let bank = (connection.institution, connection.method);
            found.sums.push(Gauge::Connections(bank.0, bank.1, connection.status));
            match standing(user, connection, now) {
                Standing::Failing(failing) => {
                    found.sums.push(Gauge::Failing(bank.0, bank.1, failing.scenario));
                    if now < failing.since + NEWLY {
                        found.users.insert(Gauge::NewlyFailing(bank.0, bank.1, failing.scenario));
                    }
                }
                Standing::Healthy | Standing::Ended(..) => {
                    if self.stale_since(user, connection).is_some_and(|since| since <= now) {
                        found.sums.push(Gauge::Stale(bank.0));
                    }
                }
            }
            if let Some(from) = expiring_from(connection)
                && from <= now
                && now < seconds(connection.expiry)
            {
                found.sums.push(Gauge::Expiring(bank.0));
            }
        }
        for job in &user.jobs {
            let institution = self.attribution(job, user).0;
            if job.is_queued() {
                found.sums.push(Gauge::Queued(institution));
                found.queued.push((institution, job.created));
            } else if job.is_running() && job.created != 0 {
                let stuck = now >= job.created + STUCK;
                found.sums.push(if stuck { Gauge::Stuck(institution) } else { Gauge::Running(institution) });
            }
        }
        found
    }

    /// Since when a connection is stale, or when it will be; `None` where no refresh is expected.
    pub fn stale_since(&self, user: &User, connection: &Connection) -> Option<Ms> {
        let period = self.settings.expected_refresh?;
        let expected = matches!(connection.status, Status::Active | Status::Unknown);
        let seen = connection.last_success.max(seconds(connection.last_used));
        let from = if seen == 0 { user.discovered } else { seen };
        expected.then_some(from + 2 * period)
    }

    fn rows_of(&self, place: u32, user: &User, now: Ms) -> Vec<Row> {
        let rows = user.connections.iter().enumerate().filter_map(|(nth, connection)| {
            let (rank, since) = match standing(user, connection, now) {
                Standing::Failing(failing) if is_baseline(user, self.born, &failing) => {
                    (Rank::Baseline, failing.since)
                }
                Standing::Failing(failing) => (Rank::Failing, failing.since),
                _ => match connection.trouble.as_ref().and_then(|trouble| trouble.ended) {
                    Some((_, at)) => (Rank::Ended, at),
                    None => {
                        let since = self.stale_since(user, connection).filter(|since| *since <= now)?;
                        (Rank::Baseline, since)
                    }
                },
            };
            Some(Row { rank, order: -since, owner: Owner::User(place), place: nth as u16 })
        });
        rows.collect()
    }

    /// When time alone next changes what this user contributes or shows.
    fn next_change(&self, user: &User, now: Ms) -> Ms {
        let mut next = Ms::MAX;
        let mut consider = |at: Ms| {
            if at > now {
                next = next.min(at);
            }
        };
        for connection in &user.connections {
            if let Standing::Failing(Failing { since, .. }) = standing(user, connection, now) {
                consider(since + NEWLY);
                consider(abandoned_at(connection, since));
                standing::run(user, connection).for_each(|job| consider(job.created + span::WEEK));
            }
            if let Some((_, at)) = connection.trouble.as_ref().and_then(|trouble| trouble.ended) {
                consider(at + END_SHOWN);
            }
            if let Some(from) = expiring_from(connection) {
                consider(from);
                consider(seconds(connection.expiry));
            }
            if let Some(since) = self.stale_since(user, connection) {
                consider(since);
            }
        }
        for job in user.jobs.iter().filter(|job| job.is_running() && job.created != 0) {
            consider(job.created + STUCK);
        }
        next
    }

    /// Makes everything known that shows 0 for a bank with a watched connection.
    fn seed(&mut self, (institution, method): (Name, Method), now: Ms) {
        for outcome in Outcome::ALL {
            self.counters.seed(Counter::Finished(institution, method, *outcome), now);
        }
        for reason in Left::ALL {
            self.counters.seed(Counter::Left(institution, *reason), now);
        }
        for gauge in [
            Gauge::Stale(institution),
            Gauge::Expiring(institution),
            Gauge::Running(institution),
            Gauge::Stuck(institution),
            Gauge::Queued(institution),
        ] {
            self.gauges.seed(gauge);
        }
    }

    /// How a connection of a user stood when the user was last settled, which is what is shown.
    pub fn standing(&self, user: &User, connection: &Connection) -> Standing {
        standing(user, connection, user.settled)
    }

    /// Since when a connection is stale, if it is and does not fail.
    pub fn stale_now(&self, user: &User, connection: &Connection) -> Option<Ms> {
        self.stale_since(user, connection).filter(|since| *since <= user.settled)
    }

    /// Whether anything is known of this connection under this user.
    pub fn knows(&self, user: &Id, connection: &Id) -> bool {
        let user = self.place(user).and_then(|place| self.user(place));
        user.is_some_and(|user| user.connection(connection).is_some())
    }
}

impl super::Trouble {
    fn end(&mut self, end: End, at: Ms) {
        (self.failing, self.ended) = (false, Some((end, at)));
    }
}

/// Drops what says nothing any more.
fn tidy(connection: &mut Connection, now: Ms) {
    let success = connection.last_success;
    let Some(trouble) = connection.trouble.as_deref_mut() else { return };
    if trouble.ended.is_some_and(|(_, at)| at + END_SHOWN <= now) {
        trouble.ended = None;
    }
    if trouble.carried.as_ref().is_some_and(|carried| carried.last <= success) {
        trouble.carried = None;
    }
    let newest = [trouble.invalid_seen, trouble.invalidated, trouble.activated, trouble.consent_ended];
    let over = newest.into_iter().all(|at| at <= success);
    if over && !trouble.failing && trouble.ended.is_none() && trouble.carried.is_none() {
        connection.trouble = None;
    }
}

fn expiring_from(connection: &Connection) -> Option<Ms> {
    (connection.expiry != 0 && connection.expiry >= to_seconds(EXPIRING))
        .then(|| seconds(connection.expiry) - EXPIRING)
}
