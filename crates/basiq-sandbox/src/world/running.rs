//! The jobs of a connection as they run: a try starts, ends, is queued, tried again, and leaves the queue.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    connection::{Connection, Status},
    env::Env,
    events::Log,
    job::{DAYS_7, FailedStep, Job, Left, Queued, RETRY, Try},
    plan,
};
use crate::{
    scenario::{JobKind, Queue},
    switches::ConnectionUpdated,
};

impl Connection {
    pub(super) fn start(&mut self, at: Timestamp, kind: JobKind, env: &Env) {
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

    pub(super) fn try_again(&mut self, index: usize, at: Timestamp, env: &Env) {
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

    pub(super) fn settle(&mut self, index: usize, env: &Env, log: &mut Log) {
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

    pub(super) fn leave(&mut self, index: usize, at: Timestamp, how: Left) {
        let job = &mut self.jobs[index];
        if job.queued.take().is_some() {
            job.left = Some((at, how));
        }
        if job.settled {
            self.open.retain(|open| *open != index);
        }
    }
}
