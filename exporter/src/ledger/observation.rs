//! What is told to the ledger: the world in the ledger's own terms, borrowed from whoever saw it.

use super::{Id, Kind, Method, Ms, Status};

/// A job as one answer of Basiq showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSeen {
    /// Basiq's id.
    pub id: Id,
    /// What it is about.
    pub kind: Kind,
    /// The connection that `links.source`, or the filter of the list, names.
    pub connection: Option<Id>,
    /// The institution it names itself.
    pub institution: Option<String>,
    /// When it was created, by Basiq's clock.
    pub created: Ms,
    /// When it last changed, by Basiq's clock.
    pub updated: Ms,
    /// Its steps in their order.
    pub steps: Vec<StepSeen>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSeen {
    /// Its title, an open set.
    pub title: String,
    /// How it stands.
    pub status: StepStatus,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq)]
pub enum StepStatus {
    /// Not begun, running, or in a status not known here.
    Open,
    /// Done.
    Success,
    /// Failed; a failed report step has neither code nor detail.
    Failed {
        /// An open set; empty if there is none.
        code: String,
        /// For people. Only ever compared with the list of known wordings, never kept.
        detail: String,
    },
}

/// A connection as a list showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionSeen {
    /// Basiq's id.
    pub id: Id,
    /// The institution's id.
    pub institution: String,
    /// How the bank is reached.
    pub method: Method,
    /// Its status.
    pub status: Status,
    /// When it was made; 0 if not said.
    pub created: Ms,
    /// When it was last used; 0 if not said.
    pub last_used: Ms,
    /// When its consent expires; 0 if not said.
    pub expiry: Ms,
}

/// What an event of Basiq's says about a connection or a user's consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSeen {
    /// `connection.created`
    Created,
    /// `connection.invalidated`
    Invalidated,
    /// `connection.activated`
    Activated,
    /// `connection.deleted`
    Deleted,
    /// `consent.revoked` or `consent.expired`
    ConsentEnded,
}

/// What the partner's application says that it did to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HintKind {
    /// It created a connection.
    Created,
    /// It updated a connection's credentials: Basiq queues that job if the bank fails.
    Updated,
    /// A refresh was answered 200 with this job.
    Refreshed,
}
