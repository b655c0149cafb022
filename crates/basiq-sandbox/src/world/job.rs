//! A job: its tries and their steps, each decided when the try starts and seen as time passes.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::scenario::{Failure, JobKind, Queue, personas};

/// How a job that had entered Basiq's retry queue left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// A try succeeded.
    Success,
    /// It was 7 days old.
    Expired,
    /// The user gave credentials again, which made a new job.
    Superseded,
    /// The connection is gone.
    Deleted,
}

/// What a failed step says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedStep {
    pub(crate) step: String,
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) detail: String,
}

impl FailedStep {
    pub(crate) fn of_code(step: &str, code: &str) -> Self {
        let (title, detail) = personas::words(code);
        Self {
            step: step.to_owned(),
            code: code.to_owned(),
            title: title.to_owned(),
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn of(failure: &Failure) -> Self {
        let persona = failure.persona.map(crate::scenario::Persona::failure);
        let own = |given: &Option<String>, of_persona: Option<&str>, otherwise: &str| {
            given.clone().unwrap_or_else(|| of_persona.unwrap_or(otherwise).to_owned())
        };
        let code = own(&failure.code, persona.map(|words| words.1), "service-unavailable");
        let (title, detail) = personas::words(&code);
        Self {
            step: own(&failure.step, persona.map(|words| words.0), "verify-credentials"),
            title: own(&failure.title, persona.map(|words| words.2), title),
            detail: own(&failure.detail, persona.map(|words| words.3), detail),
            code,
        }
    }

    /// Whether it leaves the connection `invalid`.
    pub(crate) fn invalidates(&self) -> bool {
        matches!(
            self.code.as_str(),
            "invalid-credentials"
                | "invalid-username-or-password"
                | "locked-account"
                | "multifactor-required"
                | "invalid-connection"
                | "authorization-failed"
        )
    }
}

/// One run through the steps.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) started: Timestamp,
    /// When each executed step ends; steps after the last are never reached.
    pub(crate) ends: Vec<Timestamp>,
    /// Set if the last executed step fails.
    pub(crate) failed: Option<(Arc<FailedStep>, Queue)>,
}

impl Try {
    pub(crate) fn ended(&self) -> Timestamp {
        self.ends.last().copied().unwrap_or(self.started)
    }
}

/// A job's place in the retry queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) next_try: Timestamp,
    pub(crate) expires: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) number: u32,
    pub(crate) kind: JobKind,
    pub(crate) created: Timestamp,
    pub(crate) titles: Vec<String>,
    /// The step with the MFA challenge, if the bank asks.
    pub(crate) mfa: Option<usize>,
    pub(crate) tries: Vec<Try>,
    /// Whether the end of the last try was dealt with.
    pub(crate) settled: bool,
    pub(crate) queued: Option<Queued>,
    pub(crate) left: Option<(Timestamp, Left)>,
    /// When a refresh was last answered with this job's id.
    pub(crate) answered: Option<Timestamp>,
}

impl Job {
    pub(crate) fn last(&self) -> Option<&Try> {
        self.tries.last()
    }

    /// A try is under way. (State is advanced to the present before anyone looks.)
    pub(crate) fn is_running(&self) -> bool {
        !self.settled
    }

    /// Queued or running: a refresh is answered with this job.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_running() || self.queued.is_some()
    }

    /// Whether it is a job of the connection (and not one of a statement or report).
    pub(crate) fn is_of_connection(&self) -> bool {
        !matches!(self.kind, JobKind::Statement | JobKind::Report)
    }

    /// Basiq's list shows only jobs less than 7 days old.
    pub(crate) fn is_listed(&self, now: Timestamp) -> bool {
        self.created <= now && now.duration_since(self.created) < DAYS_7
    }
}

/// How long jobs are listed, and how long they stay in the retry queue.
pub(crate) const DAYS_7: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The time between the starts of two tries in the retry queue.
pub(crate) const RETRY: SignedDuration = SignedDuration::from_hours(2);
