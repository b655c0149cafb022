//! What is kept, in the words of behaviour's sections 3 and 4: the read models of the page and the tools,
//! and the rows that the planner writes.

use std::{fmt, sync::Arc};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::to_time;
use crate::{
    channels::{News, Notice, Ticket, UserMessage},
    demand::Action,
    incidents::{Class, Incident},
};

/// How far an effect has come (behaviour, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectState {
    /// Waits for its time or for a free worker.
    Planned,
    /// Waits longer than planned: the channel asked for it, evidence is missing, or a circuit is open.
    Deferred,
    /// Waits for a person: released or cancelled by hand.
    Held,
    /// Handed to the channel; its outcome is not known yet.
    Attempting,
    /// Handed to the channel, and nobody knows whether it was taken.
    Unknown,
    /// Taken by the other side.
    Delivered,
    /// The reason for it went away before it was sent.
    Obsolete,
    /// Its lifetime ended before it could be sent.
    Expired,
    /// It will never be taken.
    Dead,
    /// Withdrawn: the incident ended otherwise, the rule was removed, or a person decided so.
    Cancelled,
    /// Everything but the last write was done; see the switches of behaviour's section 8.
    DryRun,
    /// There is no address.
    Unreachable,
}

impl EffectState {
    /// All states, in the order in which they are listed to people.
    pub const ALL: [Self; 12] = [
        Self::Planned,
        Self::Deferred,
        Self::Held,
        Self::Attempting,
        Self::Unknown,
        Self::Delivered,
        Self::Obsolete,
        Self::Expired,
        Self::Dead,
        Self::Cancelled,
        Self::DryRun,
        Self::Unreachable,
    ];

    /// The name in metrics, tools and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Attempting => "attempting",
            Self::Unknown => "unknown",
            Self::Delivered => "delivered",
            Self::Obsolete => "obsolete",
            Self::Expired => "expired",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::DryRun => "dry-run",
            Self::Unreachable => "unreachable",
        }
    }

    /// The state called `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing will follow.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Planned | Self::Deferred | Self::Held | Self::Attempting | Self::Unknown)
    }
}

impl fmt::Display for EffectState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an effect is within its incident; part of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The first message to a user about what is wrong.
    Opening,
    /// "We could not": Basiq's retry queue has expired.
    GaveUp,
    /// The data is ready again; owed to those whose opening was accepted.
    Closing,
    /// Ask Basiq to refresh.
    Refresh,
    /// File the ticket.
    Ticket,
    /// Add to the ticket.
    Comment,
    /// Tell operators.
    Notice,
}

impl Phase {
    /// The name in keys, tools and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::GaveUp => "gave-up",
            Self::Closing => "closing",
            Self::Refresh => "refresh",
            Self::Ticket => "ticket",
            Self::Comment => "comment",
            Self::Notice => "notice",
        }
    }
}

/// What is to be done. Holds variables, never a rendered body, an address or a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Payload {
    /// A message to a user.
    Message(UserMessage),
    /// A refresh of one connection.
    Refresh {
        /// Basiq's user id.
        user: String,
        /// Basiq's connection id.
        connection: String,
        /// What it failed as when the refresh was planned; a refresh for one class mends no other.
        class: Class,
    },
    /// A ticket. Its body gets the facts of [`crate::refresh::CaseFacts`] when it is written.
    Ticket {
        /// What the desk is given; the body holds what the planner knows.
        ticket: Ticket,
        /// Whose jobs to read: user, connection, and since when it fails. At most 20.
        cases: Vec<(String, String, Timestamp)>,
    },
    /// A comment on the ticket with this key.
    Comment {
        /// The ticket's key.
        ticket: String,
        /// The desk's own id of the ticket.
        remote: String,
        /// Plain text.
        text: String,
        /// The bank that it is about; empty if it is about several, or planned by an earlier version.
        #[serde(default)]
        institution: String,
        /// Basiq's id of the user that it is about; empty if it is about several.
        #[serde(default)]
        user: String,
        /// What it says of the ticket.
        #[serde(default)]
        news: News,
    },
    /// A notice to operators.
    Notice(Notice),
}

/// Something to be done once, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// `environment/incident/action/phase/n`: planned once, whatever restarts, repeats or re-fires.
    pub key: String,
    /// References of the incidents it speaks of; the first is the one in its key. Empty for a notice
    /// about no connection.
    pub incidents: Vec<String>,
    /// What was asked for.
    pub action: Action,
    /// What it is within its incident.
    pub phase: Phase,
    /// The name of the channel, desk or operators' channel of the configuration; `basiq` for a refresh.
    pub channel: String,
    /// How far it has come.
    pub state: EffectState,
    /// Why it is in that state, as a sentence.
    pub reason: String,
    /// The rule whose demand it follows.
    pub rule: String,
    /// When it became due: what urgency is measured from.
    pub due: Timestamp,
    /// Not before this time.
    pub next_attempt: Timestamp,
    /// Ends `expired` then.
    pub expires: Timestamp,
    /// Attempts spent.
    pub attempts: u32,
    /// How often it was marked as being attempted. What is known of an earlier attempt never
    /// overwrites what is known of a later one.
    pub marks: u32,
    /// Attempts whose outcome stayed unknown.
    pub unknowns: u32,
    /// When it was planned.
    pub created: Timestamp,
    /// When `state` last changed.
    pub changed: Timestamp,
    /// The other side's own id, once it was taken.
    pub remote: Option<String>,
    /// Where the demand that it follows stands in its trace (the W3C's `traceparent`), if traces were on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What is to be done.
    pub payload: Payload,
}

/// One line of an incident's story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The incident's reference; empty for what concerns none.
    pub incident: String,
    /// When.
    pub at: Timestamp,
    /// The effect it speaks of, if any.
    pub effect: Option<String>,
    /// A word for programs: `opened`, `planned`, `delivered`, `deferred`, `ended`, `told`, ….
    pub what: String,
    /// A sentence for people: what, and why. No address, no secret.
    pub text: String,
}

/// Which incidents to list. `Default` lists all, newest change first.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Only open, or only ended ones.
    pub open: Option<bool>,
    /// Of this Basiq user.
    pub user: Option<String>,
    /// Of this connection.
    pub connection: Option<String>,
    /// At this institution.
    pub institution: Option<String>,
    /// In this scenario.
    pub scenario: Option<String>,
    /// At most so many; 0 means 100, and no more than 1,000 are given.
    pub limit: u32,
    /// Skip so many.
    pub offset: u32,
}

/// Which effects to list. `Default` lists all, newest change first.
#[derive(Clone, Debug, Default)]
pub struct EffectFilter {
    /// In this state.
    pub state: Option<EffectState>,
    /// Of this action.
    pub action: Option<Action>,
    /// Through this channel.
    pub channel: Option<String>,
    /// About this incident.
    pub incident: Option<String>,
    /// At most so many; 0 means 100, and no more than 1,000 are given.
    pub limit: u32,
    /// Skip so many.
    pub offset: u32,
}

/// Counts for the page and the metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Open incidents that are not baseline, by scenario.
    pub open: Vec<(String, u64)>,
    /// Open incidents that are baseline.
    pub baseline: u64,
    /// Effects by channel and state.
    pub effects: Vec<(String, EffectState, u64)>,
}

impl Counts {
    /// From what databases count.
    pub(super) fn of(open: Vec<(String, i64)>, baseline: i64, effects: Vec<(String, String, i64)>) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Self {
            open: open.into_iter().map(|(scenario, number)| (scenario, count(number))).collect(),
            baseline: count(baseline),
            effects: effects
                .into_iter()
                .filter_map(|(channel, state, number)| {
                    Some((channel, EffectState::parse(&state)?, count(number)))
                })
                .collect(),
        }
    }
}

/// A ticket that a desk has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketRow {
    /// What the desk is searched by.
    pub key: String,
    /// The desk's name in the configuration.
    pub desk: String,
    /// The desk's own id.
    pub remote: String,
    /// When it was taken.
    pub created: Timestamp,
}

impl TicketRow {
    pub(super) fn of((key, desk, remote, created): (String, String, String, i64)) -> Self {
        Self { key, desk, remote, created: to_time(created) }
    }
}

/// A person to whom no mail is sent any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The keyed hash of the address.
    pub person: String,
    /// The relay's enhanced status code.
    pub code: String,
    /// Since when.
    pub at: Timestamp,
}

impl Suppression {
    pub(super) fn of((person, code, at): (String, String, i64)) -> Self {
        Self { person, code, at: to_time(at) }
    }
}

/// An incident as the page shows it.
pub type IncidentRow = Arc<Incident>;
