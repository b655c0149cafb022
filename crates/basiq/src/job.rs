//! What a job is, whose it is, and how it ended: pure functions over [`Job`].
//!
//! What needs history (the retry queue, what is newest) lives in the exporter's ledger.

use jiff::Timestamp;

use crate::model::{Job, Place, Step, StepStatus};

/// What a job was made for. Only connection jobs make a connection fail or recover (behaviour, section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Making or refreshing a connection.
    Connection,
    /// Reading an uploaded statement.
    Statement,
    /// Making a report.
    Report,
    /// A type that the documents do not know.
    Other,
}

impl Kind {
    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Statement => "statement",
            Self::Report => "report",
            Self::Other => "other",
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Neither failed nor all done.
    Running,
    /// One step failed: the first that did. Those after it stay pending for ever.
    Failed(&'a Step),
    /// All steps succeeded.
    Succeeded,
}

impl Outcome<'_> {
    /// Whether the job has ended, either way. In Basiq's retry queue a failed job may still heal.
    pub fn is_finished(self) -> bool {
        self != Outcome::Running
    }
}

/// What a job was made for.
///
/// `jobType` says `connection` or `report` (`GET /jobs/{jobId}`, its schemas), but the examples of
/// statement jobs say `connection` as well and differ only in the code of their failure and in `sourceId`;
/// so the codes of statement files decide too. A list entry carries no `jobType` at all: it is a
/// connection's unless something says otherwise.
pub fn kind(job: &Job) -> Kind {
    let of_report = job.of_report || job.steps.iter().any(|step| step.title == "create-report");
    let of_file = job.steps.iter().any(|step| is_statement_code(step.code()));
    match job.job_type.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some(kind) if kind.contains("report") => Kind::Report,
        Some(kind) if kind.contains("statement") => Kind::Statement,
        _ if of_report => Kind::Report,
        _ if of_file => Kind::Statement,
        None | Some("" | "connection") => Kind::Connection,
        Some(_) if job.source.as_ref().is_some_and(|source| source.connection_id.is_some()) => {
            Kind::Connection
        }
        Some(_) => Kind::Other,
    }
}

/// Whether a code speaks of an uploaded file rather than of a connection (enum of `JobsResult.code`).
pub fn is_statement_code(code: &str) -> bool {
    code.starts_with("bank-statement-")
        || matches!(
            code,
            "empty-file"
                | "invalid-csv-row"
                | "row-count-exceeded"
                | "account-data-differs"
                | "txn-after-last-updated-date"
                | "missing-required-field"
                | "missing-required-field-value"
                | "invalid-field-value"
        )
}

/// How far a job is: finished when one step failed or all succeeded (Basiq's guide to failed jobs: steps
/// after a failed one stay `pending`). A job without steps has not begun; a step of a status that nobody
/// knows has not ended.
pub fn outcome(job: &Job) -> Outcome<'_> {
    if let Some(step) = job.steps.iter().find(|step| step.status == StepStatus::Failed) {
        return Outcome::Failed(step);
    }
    match job.steps.iter().all(|step| step.status == StepStatus::Success) {
        true if !job.steps.is_empty() => Outcome::Succeeded,
        _ => Outcome::Running,
    }
}

/// When a job finished: `updated`, which is what jobs are ordered by (behaviour, section 1); `created`
/// where a document has no other time. `None` while it runs.
pub fn finished_at(job: &Job) -> Option<Timestamp> {
    outcome(job).is_finished().then_some(job.updated.or(job.created)).flatten()
}

/// The user that `links.source` names, with the connection where it goes that far. Absent while in progress
/// in some examples; then only the list it came from, or our own refresh, tells whose it is.
pub fn source(job: &Job) -> Option<&Place> {
    job.source.as_ref()
}

/// The connection that `links.source` names, of a connection job.
pub fn connection_id(job: &Job) -> Option<&str> {
    if kind(job) != Kind::Connection {
        return None;
    }
    job.source.as_ref()?.connection_id.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StepResult;

    fn step(title: &str, status: StepStatus, code: Option<&str>) -> Step {
        let result = code.map(|code| StepResult { code: Some(code.to_owned()), ..StepResult::default() });
        Step { title: title.to_owned(), status, result }
    }

    fn job(steps: Vec<Step>) -> Job {
        Job {
            created: Some(Timestamp::UNIX_EPOCH),
            updated: Timestamp::from_second(60).ok(),
            steps,
            ..Job::default()
        }
    }

    #[test]
    fn a_job_fails_with_its_first_failed_step_though_others_stay_pending() {
        let job = job(vec![
            step("verify-credentials", StepStatus::Success, None),
            step("retrieve-accounts", StepStatus::Failed, Some("service-unavailable")),
            step("retrieve-transactions", StepStatus::Pending, None),
        ]);
        let Outcome::Failed(failed) = outcome(&job) else { panic!("{job:?}") };
        assert_eq!((failed.title.as_str(), failed.code()), ("retrieve-accounts", "service-unavailable"));
        assert_eq!(finished_at(&job).map(|at| at.as_second()), Some(60));
    }

    #[test]
    fn a_job_succeeds_only_when_all_steps_did() {
        let all = vec![step("a", StepStatus::Success, None), step("b", StepStatus::Success, None)];
        assert_eq!(outcome(&job(all.clone())), Outcome::Succeeded);
        for odd in [StepStatus::Pending, StepStatus::InProgress, StepStatus::Other] {
            let mut steps = all.clone();
            steps.push(step("c", odd, None));
            assert_eq!(outcome(&job(steps.clone())), Outcome::Running, "{odd:?}");
            assert_eq!(finished_at(&job(steps)), None);
        }
        assert_eq!(outcome(&job(vec![])), Outcome::Running);
    }

    #[test]
    fn kinds_are_told_by_type_step_source_and_code() {
        let of = |job_type: Option<&str>, steps: Vec<Step>| {
            kind(&Job { job_type: job_type.map(str::to_owned), ..job(steps) })
        };
        assert_eq!(of(None, vec![]), Kind::Connection);
        assert_eq!(of(Some("connection"), vec![]), Kind::Connection);
        assert_eq!(of(Some("report"), vec![]), Kind::Report);
        assert_eq!(of(Some("statement"), vec![]), Kind::Statement);
        assert_eq!(of(Some("affordability"), vec![]), Kind::Other);
        assert_eq!(of(None, vec![step("create-report", StepStatus::Pending, None)]), Kind::Report);
        let file = vec![step("verify-credentials", StepStatus::Failed, Some("bank-statement-not-supported"))];
        assert_eq!(of(Some("connection"), file), Kind::Statement);
        assert_eq!(kind(&Job { of_report: true, ..job(vec![]) }), Kind::Report);
    }

    #[test]
    fn only_connection_jobs_belong_to_a_connection() {
        let place = Place { user_id: "u".into(), connection_id: Some("c".into()) };
        let mut job = Job { source: Some(place), ..job(vec![]) };
        assert_eq!(connection_id(&job), Some("c"));
        job.job_type = Some("report".into());
        assert_eq!(connection_id(&job), None);
    }
}
