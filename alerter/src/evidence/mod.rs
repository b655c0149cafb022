//! What is known of connections and banks now, and how old that knowledge is.
//!
//! Labels of alerts are claims; this is what they are held against. The usual evidence is the
//! exporter's `/metrics/connections` and `/metrics`, scraped every few seconds into a [`Snapshot`].
//! The absence of a connection in it is never a recovery.

mod connections;
mod exporter;
mod page;
mod pages;
mod scrape;
mod traffic;

use std::{collections::HashMap, sync::Arc};

pub use connections::Connections;
pub use exporter::{ExporterConfig, Target};
pub use exporter::{HintTarget, hints};
pub(crate) use exporter::{Login, forget};
pub use page::{Page, Run};
pub(crate) use pages::EVIDENCE;
pub use pages::snapshot;
pub(crate) use scrape::why;
pub use scrape::{Look, ScrapeError, Scraper, Seen};
pub use traffic::{Bank, Traffic, Window};

use daemon::Timestamp;

/// What one look at the exporters showed. Swapped whole; never half a world.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When the oldest of its parts was read; `None` before the first successful look.
    pub as_of: Option<Timestamp>,
    /// Every exporter says that it has observed all that was due since its start (`basiq_exporter_warm`).
    pub warm: bool,
    /// Connections that need attention or ended within 24 h, by connection id. Shared with the snapshot before as far
    /// as the exporters say nothing else of them.
    pub connections: Connections,
    /// Connectors by institution and method.
    pub connectors: HashMap<(Arc<str>, Arc<str>), Connector>,
    /// Aggregates per institution, method and scenario that `plan` needs to name a cause.
    pub newly_failing: HashMap<Key, f64>,
    /// `basiq_jobs_finished_total` by institution, method and outcome.
    pub jobs_finished: HashMap<Key, f64>,
    /// `basiq_job_steps_failed_total` by institution, method and scenario.
    pub steps_failed: HashMap<Key, f64>,
    /// What these counters say of the last 30 minutes; empty while nobody knows ([`Window`]).
    pub traffic: HashMap<Bank, Traffic>,
}

/// Institution, method, and the scenario or outcome that is counted.
pub type Key = (Arc<str>, Arc<str>, Arc<str>);

/// What the exporter says of one connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Basiq's user id.
    pub user: Arc<str>,
    /// Basiq's institution id, `AU00000`.
    pub institution: Arc<str>,
    /// `web`, `openbanking` or `other`.
    pub method: Arc<str>,
    /// How it stands.
    pub state: State,
}

/// How a connection stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It fails.
    Failing {
        /// The scenario of `behaviour`'s section 2, as the exporter's label gives it.
        scenario: Arc<str>,
        /// Failed jobs in a row; 0 if it fails without a job.
        failed_jobs: u32,
        /// When it began to fail.
        since: Timestamp,
        /// When its newest failed job finished.
        last_failure: Timestamp,
        /// Its newest failure is older than what is news to the exporter: from before its user was discovered, or
        /// before the ledger was born.
        baseline: bool,
        /// Nothing shows that it ever worked: the user is still connecting it, in the partner's app.
        never_succeeded: bool,
    },
    /// No success for two expected periods. Never mailed to a user.
    Stale {
        /// Since when.
        since: Timestamp,
    },
    /// Positive evidence of an end.
    Ended {
        /// `recovered`, `superseded`, `deleted`, `consent-ended` or `abandoned`.
        reason: Arc<str>,
        /// When it ended.
        at: Timestamp,
    },
}

/// What Basiq says of one connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// Basiq's status (`operational`, `major-outage`, …) or `unknown`.
    pub status: Arc<str>,
    /// The institution's name, for messages.
    pub name: Arc<str>,
}

impl Snapshot {
    /// Whether the connector of this institution and method is in `major-outage`; `None` where nobody knows.
    pub fn major_outage(&self, institution: &Arc<str>, method: &Arc<str>) -> Option<bool> {
        let status = &self.connectors.get(&(institution.clone(), method.clone()))?.status;
        (&**status != "unknown").then(|| &**status == "major-outage")
    }

    /// When the newest failed job of a failing connection finished, by Basiq's clock.
    pub fn newest_failure(&self, connection: &str) -> Option<Timestamp> {
        match self.connections.get(connection)?.state {
            State::Failing { last_failure, .. } => Some(last_failure),
            State::Stale { .. } | State::Ended { .. } => None,
        }
    }

    /// Whether a connection fails that never worked, as far as anything shows.
    pub fn never_succeeded(&self, connection: &str) -> bool {
        self.connections
            .get(connection)
            .is_some_and(|facts| matches!(facts.state, State::Failing { never_succeeded: true, .. }))
    }

    /// The institution's name for people, or its id where the name is not known.
    pub fn institution_name(&self, institution: &Arc<str>, method: &Arc<str>) -> Arc<str> {
        self.connectors
            .get(&(institution.clone(), method.clone()))
            .map_or_else(|| institution.clone(), |connector| connector.name.clone())
    }
}
