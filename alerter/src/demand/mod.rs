//! What rules ask for, and the report in which a source says it.

mod annotations;
mod row;

use std::{sync::Arc, time::Duration};

use daemon::Timestamp;
use promql::Labels;
use serde::{Deserialize, Serialize};

pub(crate) use annotations::labels;
pub use annotations::{Annotations, Describe};
pub use row::StateRow;

/// The label `action` of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A message to the user whose connection it is.
    NotifyUser,
    /// A ticket with the connection id at a support desk.
    FileTicket,
    /// Ask Basiq to refresh the connection.
    RefreshConnection,
    /// A notice to the operators of this installation.
    NotifyOperator,
}

impl Action {
    /// All actions, in the order in which they are listed to people.
    pub const ALL: [Self; 4] =
        [Self::NotifyUser, Self::RefreshConnection, Self::FileTicket, Self::NotifyOperator];

    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotifyUser => "notify-user",
            Self::FileTicket => "file-ticket",
            Self::RefreshConnection => "refresh-connection",
            Self::NotifyOperator => "notify-operator",
        }
    }

    /// The action whose label value is `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// The numbers of a demand, from the annotations of its rule. `None` means the default of
/// `plan`, which also holds the limits that no rule can exceed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// How long what is wrong must have lasted before anything is sent.
    pub settle: Option<Duration>,
    /// How long after the newest failure a refresh is tried.
    pub retry_after: Option<Duration>,
    /// How many refreshes an incident gets.
    pub retry_max: Option<u32>,
    /// After how long outside a major outage a ticket is due without further retries.
    pub escalate_after: Option<Duration>,
    /// How long one person is left in peace after a message of the same template.
    pub cooldown: Option<Duration>,
    /// How long an effect may wait for its delivery before it expires.
    pub lifetime: Option<Duration>,
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// One connection of one user: labels `connection_id` and `user_id`, both as Basiq's ids.
    Connection {
        /// Basiq's connection id.
        connection: Arc<str>,
        /// Basiq's user id, as the alert claims it; checked against evidence before any effect.
        user: Arc<str>,
    },
    /// Anything else (an institution, the exporter, the whole).
    Other,
}

/// *This rule asks for this action for this connection.*
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// The source that reported it.
    pub source: Arc<str>,
    /// The alert's name (label `alertname`).
    pub rule: Arc<str>,
    /// What the rule evaluates, as far as the source knows it: another one is a changed rule.
    #[serde(default)]
    pub definition: Arc<str>,
    /// What is asked for.
    pub action: Action,
    /// For what.
    pub subject: Subject,
    /// All labels of the alert, `alertname` among them.
    #[serde(with = "annotations::labels")]
    pub labels: Labels,
    /// Its annotations (`summary`, `description`, `runbook_url`, …).
    pub annotations: Annotations,
    /// The message template asked for, where the action sends one.
    pub template: Option<Arc<str>>,
    /// The template of the closing message, where one is owed.
    pub closing_template: Option<Arc<str>>,
    /// The numbers of the rule.
    pub numbers: Arc<Numbers>,
    /// When the alert began to fire. Recorded, never part of a key.
    pub starts_at: Timestamp,
    /// Prometheus's fingerprint of the label set. Recorded, never part of a key.
    pub fingerprint: u64,
}

/// What a source knows after one evaluation or one push. State and plan are committed in one
/// transaction, after which `committed` is told.
#[derive(Debug)]
pub struct Report {
    /// The source that reports.
    pub source: Arc<str>,
    /// The time it speaks of.
    pub at: Timestamp,
    /// Demands that fire.
    pub firing: Vec<Demand>,
    /// Demands that ended on a successful evaluation without them, or by an explicit resolve.
    /// Demands that are in neither list are unchanged.
    pub ended: Vec<Demand>,
    /// State rows that changed.
    pub state: Vec<StateRow>,
    /// Where the report stands in its trace, if traces are on.
    pub traceparent: Option<String>,
    /// Told `()` once everything above is durable; dropped if it could not be made so.
    pub committed: Option<tokio::sync::oneshot::Sender<()>>,
}
