//! What the outbox asks of Basiq: to refresh a connection, and the facts that a ticket must state.
//! Implemented with `basiq::Client` beside the channels; tests implement it in memory.

use async_trait::async_trait;
use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use crate::channels::DeliveryError;

/// What Basiq answered to a refresh. Only [`Refreshed::Started`] spends an attempt of the incident
/// (behaviour, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refreshed {
    /// 202: a new job runs.
    Started {
        /// Its id.
        job: String,
    },
    /// 200: a job of this connection runs or is queued already.
    Existing {
        /// The id of the original job: evidence of Basiq's retry queue, which the executor hands to the
        /// exporter as a hint of kind `refreshed`.
        job: String,
    },
    /// The refresh was not asked for: a job runs, the connection's status forbids it, or a bound (per
    /// institution and day, open banking's 20 a day) is reached. Asked again after ten minutes.
    Withheld {
        /// A sentence for the timeline.
        why: String,
    },
    /// A 4xx that says no. Ends retrying for the incident.
    Refused {
        /// A sentence for the timeline.
        why: String,
    },
}

/// Asks Basiq to fetch a connection's data again.
#[async_trait]
pub trait Refresher: Send + Sync {
    /// Refreshes `connection` of `user`, after looking whether it may be (status, running or queued
    /// jobs, bounds). `after_unknown` says that an earlier call ended without an answer: the
    /// jobs are then read first, and one created since counts as [`Refreshed::Started`].
    ///
    /// # Errors
    /// [`DeliveryError::Retry`] or [`DeliveryError::Channel`] when Basiq could not be asked, and
    /// [`DeliveryError::Unknown`] when the answer to the POST never came.
    async fn refresh(
        &self,
        user: &str,
        connection: &str,
        after_unknown: Option<Timestamp>,
    ) -> Result<Refreshed, DeliveryError>;
}

/// What Basiq's support asks for in every report, read when a ticket is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Failed jobs of the connection since it fails, newest first, at most ten.
    pub jobs: Vec<FailedJob>,
    /// The `correlationId` of the last error answer about this connection, where there was one.
    pub correlation_id: Option<String>,
    /// The connection's status as Basiq lists it (`active`, `invalid`, …).
    pub connection_status: Option<String>,
}

/// One failed job in a [`Case`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FailedJob {
    /// Basiq's job id.
    pub job: String,
    /// The title of the failed step (`verify-credentials`, `retrieve-accounts`, …).
    pub step: String,
    /// The code of its result.
    pub code: String,
    /// The title of its result.
    pub title: String,
    /// The detail of its result, with digit runs of six or more and addresses masked.
    pub detail: String,
    /// When the job finished.
    pub finished: Option<Timestamp>,
}

/// Reads a [`Case`].
#[async_trait]
pub trait CaseFacts: Send + Sync {
    /// The failed jobs of `connection` that finished at or after `since`.
    ///
    /// # Errors
    /// Basiq could not be asked, or does not know the connection under that user
    /// ([`DeliveryError::Permanent`]).
    async fn case(&self, user: &str, connection: &str, since: Timestamp) -> Result<Case, DeliveryError>;
}
