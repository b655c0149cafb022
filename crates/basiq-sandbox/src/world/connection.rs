//! One connection as a state machine over its timeline. Nothing runs while nobody looks: [`Connection::due`] says what
//! comes next and when, [`Connection::apply`] does it, and the user's state is advanced to the present before each look.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    env::Env,
    events::Log,
    job::{DAYS_7, FailedStep, Job, Left},
    plan,
    trouble::Trouble,
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
    pub(super) troubles: Vec<Trouble>,
    deeds: Vec<(Timestamp, Act)>,
    next_deed: usize,
    next_update: Option<Timestamp>,
    every: SignedDuration,
    pub(super) mfa_answer: MfaAnswer,
    /// Indices of jobs that run or are queued.
    pub(super) open: Vec<usize>,
    pub(super) draw: Draw,
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
