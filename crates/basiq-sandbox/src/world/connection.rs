//! One connection as a state machine over its timeline. Nothing runs while nobody looks: [`Connection::due`] says what
//! comes next and when, [`Connection::apply`] does it, and the user's state is advanced to the present before each look.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    env::Env,
    events::Log,
    job::{DAYS_7, FailedStep, Job, Left, Queued, RETRY, Try},
    plan,
};
use crate::{
    draw::Draw,
    scenario::{self, Act, JobKind, Method, MfaAnswer, Queue, Until},
    switches::{ConnectionUpdated, RefreshInvalid},
};

/// Basiq's status of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It can be refreshed.
    Active,
    /// Being made.
    Pending,
    /// The bank refuses what the user gave.
    Invalid,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
        }
    }
}

/// A failure with its times resolved.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    from: Timestamp,
    until: Option<Timestamp>,
    ends_with: Until,
    on: Vec<JobKind>,
    failed: Arc<FailedStep>,
    queue: Queue,
}

/// What a refresh is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refreshed {
    /// 202: this job was made.
    Started(u32),
    /// 200: this job is queued or runs.
    Existing(u32),
    /// The connection is invalid, and Basiq refuses.
    Invalid,
    /// The 20 refreshes a day of open banking are used up.
    Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Made,
    TryEnds(usize),
    NextTry(usize),
    Expires(usize),
    Deed,
    Update,
    ConsentWarning,
    ConsentEnds,
}

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) number: u8,
    pub(crate) institution: String,
    pub(crate) method: Method,
    pub(crate) created: Timestamp,
    pub(crate) consent_expires: Timestamp,
    pub(crate) status: Status,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) jobs: Vec<Job>,
    made: bool,
    consent_warned: bool,
    consent_ended: bool,
    troubles: Vec<Trouble>,
    deeds: Vec<(Timestamp, Act)>,
    next_deed: usize,
    next_update: Option<Timestamp>,
    every: SignedDuration,
    mfa_answer: MfaAnswer,
    /// Indices of jobs that run or are queued.
    open: Vec<usize>,
    draw: Draw,
}

const DEFAULT_INSTITUTION: &str = "AU00000";
/// Open banking allows so many refreshes in a day.
const OPEN_BANKING_REFRESHES: usize = 20;

impl Connection {
    pub(super) fn new(env: &Env, user: u32, number: u8, told: &scenario::Connection) -> Self {
        let epoch = env.epoch;
        let created =
            told.created.map_or(epoch - SignedDuration::from_hours(24 * 30), |at| at.resolve(epoch));
        let made = created < env.origin();
        let mut deeds: Vec<_> = told.timeline.iter().map(|deed| (deed.at.resolve(epoch), deed.act)).collect();
        deeds.sort_by_key(|(at, _)| *at);
        Self {
            number,
            institution: told.institution.clone().unwrap_or_else(|| DEFAULT_INSTITUTION.to_owned()),
            method: told.method,
            created,
            consent_expires: told
                .consent_expires
                .map_or(created + SignedDuration::from_hours(24 * 365), |at| at.resolve(epoch)),
            status: if made { Status::Active } else { Status::Pending },
            last_used: made.then_some(created),
            deleted: None,
            jobs: Vec::new(),
            made,
            consent_warned: false,
            consent_ended: false,
            troubles: told.failures.iter().map(|failure| Trouble::new(failure, epoch)).collect(),
            deeds,
            next_deed: 0,
            next_update: told.updates.map(|updates| updates.first.resolve(epoch)),
            every: told.updates.map_or(SignedDuration::MAX, |updates| updates.every.0),
            mfa_answer: told.mfa_answer.unwrap_or(MfaAnswer::After(scenario::Span::seconds(10))),
            open: Vec::new(),
            draw: Draw::new(env.seed, "connection").with(u64::from(user)).with(u64::from(number)),
        }
    }

    /// What happens next, and when.
    pub(super) fn due(&self) -> Option<(Timestamp, Due)> {
        let mut next: Option<(Timestamp, Due)> = None;
        let mut offer = |at: Timestamp, due: Due| {
            if next.is_none_or(|(earliest, _)| at < earliest) {
                next = Some((at, due));
            }
        };
        if !self.made {
            offer(self.created, Due::Made);
        }
        for &index in &self.open {
            let job = &self.jobs[index];
            if let (false, Some(last)) = (job.settled, job.last()) {
                offer(last.ended(), Due::TryEnds(index));
            } else if let Some(queued) = job.queued {
                offer(queued.expires, Due::Expires(index));
                offer(queued.next_try, Due::NextTry(index));
            }
        }
        if self.deleted.is_none() {
            if let Some((at, _)) = self.deeds.get(self.next_deed) {
                offer(*at, Due::Deed);
            }
            if let Some(at) = self.next_update {
                offer(at, Due::Update);
            }
            if self.method == Method::Openbanking && !self.consent_ended {
                offer(self.consent_expires, Due::ConsentEnds);
                if !self.consent_warned {
                    offer(self.consent_expires - DAYS_7, Due::ConsentWarning);
                }
            }
        }
        next
    }

    /// Does what [`Connection::due`] said.
    pub(super) fn apply(&mut self, at: Timestamp, due: Due, env: &Env, log: &mut Log) {
        match due {
            Due::Made => {
                self.made = true;
                log.add(at, "connection.created", Some(self.number));
                if self.method == Method::Openbanking {
                    log.add(at, "consent.created", Some(self.number));
                }
                self.start(at, JobKind::Create, env);
            }
            Due::TryEnds(index) => self.settle(index, env, log),
            Due::NextTry(index) => self.try_again(index, at, env),
            Due::Expires(index) => self.leave(index, at, Left::Expired),
            Due::Deed => {
                if let Some(&(_, act)) = self.deeds.get(self.next_deed) {
                    self.next_deed += 1;
                    self.act(at, act, env, log);
                }
            }
            Due::Update => {
                self.next_update = at.checked_add(self.every).ok();
                self.update(at, env);
            }
            Due::ConsentWarning => {
                self.consent_warned = true;
                log.add(at, "consent.warning", Some(self.number));
            }
            Due::ConsentEnds => self.end_consent(at, "consent.expired", log),
        }
    }

    /// Something done to the connection, by its timeline or by the admin interface.
    pub(super) fn act(&mut self, at: Timestamp, act: Act, env: &Env, log: &mut Log) {
        match act {
            Act::Update => self.update(at, env),
            Act::Refresh => {
                self.refresh(at, env);
            }
            Act::GiveCredentials => {
                self.end_troubles(at, Until::Credentials);
                for index in self.open.clone() {
                    if self.jobs[index].queued.is_some() {
                        self.leave(index, at, Left::Superseded);
                    }
                }
                if env.switches.connection_updated == ConnectionUpdated::OnCredentials {
                    log.add(at, "connection.updated", Some(self.number));
                }
                self.start(at, JobKind::Credentials, env);
            }
            Act::ActAtBank => self.end_troubles(at, Until::Action),
            Act::Delete => {
                if self.deleted.is_none() {
                    self.deleted = Some(at);
                    log.add(at, "connection.deleted", Some(self.number));
                    for index in self.open.clone() {
                        self.leave(index, at, Left::Deleted);
                    }
                }
            }
            Act::RevokeConsent => self.end_consent(at, "consent.revoked", log),
            Act::ExpireConsent => self.end_consent(at, "consent.expired", log),
            Act::Report => self.start(at, JobKind::Report, env),
            Act::Statement => self.start(at, JobKind::Statement, env),
        }
    }

    /// Adds a failure while the sandbox runs.
    pub(super) fn add_failure(&mut self, failure: &scenario::Failure, epoch: Timestamp, now: Timestamp) {
        let mut trouble = Trouble::new(failure, epoch);
        trouble.from = trouble.from.max(now);
        self.troubles.insert(0, trouble);
    }

    /// Ends all failures while the sandbox runs.
    pub(super) fn heal(&mut self, now: Timestamp) {
        for trouble in &mut self.troubles {
            trouble.until = Some(trouble.until.map_or(now, |until| until.min(now)));
        }
    }

    /// `POST …/refresh`.
    pub(super) fn refresh(&mut self, at: Timestamp, env: &Env) -> Refreshed {
        if let Some(job) = self
            .open
            .iter()
            .map(|index| &self.jobs[*index])
            .find(|job| job.is_of_connection() && job.is_busy())
        {
            let number = job.number;
            if let Some(job) = self.job_mut(number) {
                job.answered = Some(at);
            }
            return Refreshed::Existing(number);
        }
        let day = SignedDuration::from_hours(24);
        let today = self
            .jobs
            .iter()
            .rev()
            .filter(|job| job.kind == JobKind::Refresh && at.duration_since(job.created) < day)
            .count();
        if self.method == Method::Openbanking && today >= OPEN_BANKING_REFRESHES {
            return Refreshed::Limit;
        }
        if self.status == Status::Invalid && env.switches.refresh_invalid != RefreshInvalid::Allowed {
            return Refreshed::Invalid;
        }
        self.start(at, JobKind::Refresh, env);
        Refreshed::Started(self.jobs.last().map_or(0, |job| job.number))
    }

    /// Answers the MFA challenge of a running job; false if none waits for an answer.
    pub(super) fn answer_mfa(&mut self, number: u32, at: Timestamp) -> bool {
        let draw = self.draw;
        self.job_mut(number).is_some_and(|job| plan::answer_mfa(job, at, draw))
    }

    pub(crate) fn job(&self, number: u32) -> Option<&Job> {
        self.jobs.get(usize::try_from(number).ok()?)
    }

    fn job_mut(&mut self, number: u32) -> Option<&mut Job> {
        self.jobs.get_mut(usize::try_from(number).ok()?)
    }

    fn update(&mut self, at: Timestamp, env: &Env) {
        let busy = self.open.iter().any(|index| self.jobs[*index].is_of_connection());
        if !busy && self.status == Status::Active {
            self.start(at, JobKind::Update, env);
        }
    }

    fn start(&mut self, at: Timestamp, kind: JobKind, env: &Env) {
        if self.deleted.is_some() {
            return;
        }
        let index = self.jobs.len();
        let (titles, mfa) = plan::steps(kind, self.method, &self.institution, self.draw.with(index as u64));
        self.jobs.push(Job {
            number: u32::try_from(index).unwrap_or(u32::MAX),
            kind,
            created: at,
            titles,
            mfa,
            tries: Vec::with_capacity(1),
            settled: true,
            queued: None,
            left: None,
            answered: None,
        });
        self.open.push(index);
        self.try_again(index, at, env);
    }

    fn try_again(&mut self, index: usize, at: Timestamp, env: &Env) {
        let kind = self.jobs[index].kind;
        let failure = match kind {
            JobKind::Report => None,
            JobKind::Statement => Some((
                Arc::new(FailedStep::of_code("verify-credentials", "bank-statement-not-supported")),
                Queue::Never,
            )),
            _ => self.failure(kind, at, env),
        };
        let draw = self.draw.with(index as u64);
        let job = &mut self.jobs[index];
        let planned: Try = plan::plan_try(job, at, failure, self.mfa_answer, draw);
        job.tries.push(planned);
        job.settled = false;
    }

    fn failure(&self, kind: JobKind, at: Timestamp, env: &Env) -> Option<(Arc<FailedStep>, Queue)> {
        let own = self.troubles.iter().find(|trouble| trouble.applies(kind, at));
        own.map(|trouble| (Arc::clone(&trouble.failed), trouble.queue))
            .or_else(|| env.failure(&self.institution, self.method, self.draw, at))
    }

    fn settle(&mut self, index: usize, env: &Env, log: &mut Log) {
        let job = &mut self.jobs[index];
        job.settled = true;
        let (kind, created) = (job.kind, job.created);
        let Some((started, ended, failed)) =
            job.last().map(|last| (last.started, last.ended(), last.failed.clone()))
        else {
            return;
        };
        if !job.is_of_connection() {
            self.open.retain(|open| *open != index);
            return;
        }
        let Some((failed, queue)) = failed else {
            if self.jobs[index].queued.is_some() {
                self.leave(index, ended, Left::Success);
            }
            self.open.retain(|open| *open != index);
            self.succeed(ended, env, log);
            return;
        };
        if failed.invalidates() && self.status != Status::Invalid && self.deleted.is_none() {
            self.status = Status::Invalid;
            log.add(ended, "connection.invalidated", Some(self.number));
        }
        if env.switches.connection_updated == ConnectionUpdated::OnEveryJob {
            log.add(ended, "connection.updated", Some(self.number));
        }
        let enters = match queue {
            Queue::Updates => kind == JobKind::Update && failed.code == "service-unavailable",
            Queue::Always => true,
            Queue::Never => false,
        };
        let job = &mut self.jobs[index];
        if job.queued.is_some() || enters && job.left.is_none() {
            job.queued = Some(Queued { next_try: started + RETRY, expires: created + DAYS_7 });
        } else {
            self.open.retain(|open| *open != index);
        }
    }

    fn succeed(&mut self, at: Timestamp, env: &Env, log: &mut Log) {
        if self.deleted.is_some() {
            return;
        }
        if self.status != Status::Active {
            self.status = Status::Active;
            log.add(at, "connection.activated", Some(self.number));
        }
        self.last_used = Some(at);
        if matches!(
            env.switches.connection_updated,
            ConnectionUpdated::OnSuccess | ConnectionUpdated::OnEveryJob
        ) {
            log.add(at, "connection.updated", Some(self.number));
        }
        log.add(at, "account.updated", Some(self.number));
        log.add(at, "transactions.updated", Some(self.number));
    }

    fn leave(&mut self, index: usize, at: Timestamp, how: Left) {
        let job = &mut self.jobs[index];
        if job.queued.take().is_some() {
            job.left = Some((at, how));
        }
        if job.settled {
            self.open.retain(|open| *open != index);
        }
    }

    fn end_troubles(&mut self, at: Timestamp, by: Until) {
        for trouble in self
            .troubles
            .iter_mut()
            .filter(|trouble| trouble.ends_with == by && trouble.from <= at && trouble.until.is_none())
        {
            trouble.until = Some(at);
        }
    }

    fn end_consent(&mut self, at: Timestamp, event: &'static str, log: &mut Log) {
        if self.consent_ended || self.deleted.is_some() {
            return;
        }
        self.consent_ended = true;
        self.consent_expires = self.consent_expires.min(at);
        log.add(at, event, Some(self.number));
        if self.status != Status::Invalid {
            self.status = Status::Invalid;
            log.add(at, "connection.invalidated", Some(self.number));
        }
        self.troubles.insert(
            0,
            Trouble {
                from: at,
                until: None,
                ends_with: Until::Credentials,
                on: Vec::new(),
                failed: Arc::new(FailedStep::of_code("verify-credentials", "authorization-failed")),
                queue: Queue::Never,
            },
        );
    }
}

impl Trouble {
    fn new(failure: &scenario::Failure, epoch: Timestamp) -> Self {
        Self {
            from: failure.from.resolve(epoch),
            until: match failure.until {
                Until::At(at) => Some(at.resolve(epoch)),
                _ => None,
            },
            ends_with: failure.until,
            on: failure.on.clone(),
            failed: Arc::new(FailedStep::of(failure)),
            queue: failure.queue,
        }
    }

    fn applies(&self, kind: JobKind, at: Timestamp) -> bool {
        self.from <= at
            && self.until.is_none_or(|until| at < until)
            && (self.on.is_empty() || self.on.contains(&kind))
    }
}
