//! Jobs: what Basiq did, or tries to do, for a connection.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{Named, Place, lenient};

/// A job as `/jobs/{id}` and `/users/{id}/jobs` show it.
///
/// The schemas spell `created`/`updated`, or `createdDate`/`updatedDate` (statement jobs); `links` may be
/// null (a failed report) and have no `source` (while in progress).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Job {
    /// The job's id. Empty only where a decoded document had none; the client fills in the id asked for.
    pub id: String,
    /// When Basiq made it.
    pub created: Option<Timestamp>,
    /// When it last changed: of a finished job, when it finished (behaviour, section 1).
    pub updated: Option<Timestamp>,
    /// `connection`, `report`, …, where given; see [`crate::job::kind`].
    pub job_type: Option<String>,
    /// Given by report jobs only; the steps are what counts.
    pub status: Option<String>,
    /// The institution (`AU00000`), where given.
    pub institution: Option<String>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// `links.source`, where it names a user: whose job it is, and which connection's.
    pub source: Option<Place>,
    /// Whether `links.source` names a report.
    pub of_report: bool,
}

/// One step of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// `verify-credentials`, `mfa-challenge`, `retrieve-accounts`, …: an open set.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub title: String,
    /// How far it is. Steps after a failed one stay pending for ever.
    #[serde(default)]
    pub status: StepStatus,
    /// What came out, of a failed step the reason; null of a failed report.
    #[serde(default, deserialize_with = "lenient::object")]
    pub result: Option<StepResult>,
}

impl Step {
    /// The code of the failure; empty where none is given.
    pub fn code(&self) -> &str {
        self.result.as_ref().and_then(|result| result.code.as_deref()).unwrap_or_default()
    }

    /// The wording of the failure; empty where none is given.
    pub fn detail(&self) -> &str {
        self.result.as_ref().and_then(|result| result.detail.as_deref()).unwrap_or_default()
    }
}

/// The status of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// Not begun, or never to begin after a failure.
    #[default]
    Pending,
    /// Running.
    InProgress,
    /// Done.
    Success,
    /// Failed.
    Failed,
    /// A status that the documents do not know; taken as not yet ended.
    Other,
}

impl<'de> Deserialize<'de> for StepStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match lenient::text(deserializer)?.as_deref() {
            None | Some("pending") => Self::Pending,
            Some("in-progress") => Self::InProgress,
            Some("success") => Self::Success,
            Some("failed") => Self::Failed,
            Some(_) => Self::Other,
        })
    }
}

/// The result of a step, without its link: links of steps are no evidence of anything (behaviour, section 1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawResult")]
pub struct StepResult {
    /// `link`, `mfa`, or absent for a failure.
    pub kind: Option<String>,
    /// The failure's code, an open set; see [`crate::scenario`].
    pub code: Option<String>,
    /// The failure in a few words.
    pub title: Option<String>,
    /// The failure in a sentence (`detail`, in the list schema `details`).
    pub detail: Option<String>,
}

/// What a refresh answers: which job, nothing of its state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct JobRef {
    /// The job's id.
    #[serde(deserialize_with = "lenient::id")]
    pub id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    id: String,
    #[serde(default, deserialize_with = "lenient::time")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    updated: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    updated_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::text")]
    job_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient::object")]
    institution: Option<Named>,
    #[serde(default, deserialize_with = "lenient::steps")]
    steps: Vec<Step>,
    #[serde(default, deserialize_with = "lenient::object")]
    links: Option<RawLinks>,
}

#[derive(Deserialize)]
struct RawLinks {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    source: String,
}

#[derive(Deserialize)]
struct RawResult {
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    detail: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    details: Option<String>,
}

impl From<RawResult> for StepResult {
    fn from(raw: RawResult) -> Self {
        Self { kind: raw.kind, code: raw.code, title: raw.title, detail: raw.detail.or(raw.details) }
    }
}

impl From<Raw> for Job {
    fn from(raw: Raw) -> Self {
        let source = raw.links.map(|links| links.source).unwrap_or_default();
        Self {
            id: raw.id,
            created: raw.created.or(raw.created_date),
            updated: raw.updated.or(raw.updated_date),
            job_type: raw.job_type,
            status: raw.status,
            institution: raw.institution.map(|named| named.id).filter(|id| !id.is_empty()),
            steps: raw.steps,
            of_report: source.split('/').any(|segment| segment == "reports"),
            source: Place::of_link(&source),
        }
    }
}
