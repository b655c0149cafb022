//! One incident and everything that was decided about it.

use std::{sync::Arc, time::Duration};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::Class;
use crate::{demand::Action, store::Phase};

/// Whether a connection still fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Status {
    /// It fails, as far as the newest evidence says.
    Open,
    /// There was positive evidence of an end.
    Ended {
        /// `recovered`, `superseded`, `deleted`, `consent-ended` or `abandoned`.
        reason: String,
        /// When, as the evidence dates it.
        at: Timestamp,
    },
}

/// Where the fault lies (behaviour, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// This connection.
    #[default]
    Connection,
    /// The bank has an outage.
    Bank,
    /// Basiq itself.
    Platform,
}

/// A major outage of the connector as it bears on one incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Set while the connector is in major outage.
    pub since: Option<Timestamp>,
    /// When waiting and escalation start anew after the last outage: its end, spread over an hour.
    pub restart: Option<Timestamp>,
    /// Time under outage so far, without the present one.
    pub total: Duration,
}

/// How far a message to the user has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum MessageState {
    /// Planned or on its way.
    Pending,
    /// Accepted by the relay; a closing message is owed.
    Told {
        /// When it was accepted.
        at: Timestamp,
    },
    /// Told, and told of the end.
    Closed {
        /// When the closing message was accepted.
        at: Timestamp,
    },
    /// Went the whole way in dry run: never counts as told.
    DryRun,
    /// It will not be told: dead, expired, unreachable, discarded by hand.
    Failed {
        /// Why.
        why: String,
    },
}

/// A message to the user about this incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Opening or gave-up.
    pub phase: Phase,
    /// What it asks of the user.
    pub class: Class,
    /// The template.
    pub template: String,
    /// The rule that asked for it; empty if an earlier version of the program planned it.
    #[serde(default)]
    pub rule: Arc<str>,
    /// The template of the closing message.
    pub closing_template: String,
    /// The effect that carries it (that of another incident where messages were merged).
    pub effect: String,
    /// Its Message-ID, which the closing message answers.
    pub message_id: String,
    /// How far it has come.
    pub state: MessageState,
    /// The effect of its closing message, once planned.
    pub closing: Option<String>,
    /// It told of an earlier incident of the connection, whose end could not be told before this one began. It says
    /// nothing of this one; its end is told with this one's.
    #[serde(default)]
    pub earlier: bool,
}

/// A refresh that spent an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the answer was taken in.
    pub at: Timestamp,
    /// The job it started.
    pub job: String,
    /// The newest failure that the evidence showed just before it, by Basiq's clock: a newer one is this
    /// attempt's own, however soon it came and however the clocks differ.
    pub before: Timestamp,
    /// When a job that finished after it was seen to have failed, outside major outage.
    pub failed: Option<Timestamp>,
    /// The incident ended while its job had not failed: what fails later is no failure of this attempt.
    #[serde(default)]
    pub over: bool,
}

/// How far a ticket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TicketState {
    /// Planned or on its way.
    Pending,
    /// The desk has it.
    Filed,
    /// A person closed it as "won't fix": final for the incident.
    WontFix,
    /// Went the whole way in dry run.
    DryRun,
    /// It will not be filed without a person.
    Failed,
}

/// The ticket of an incident, its own or one shared by a storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketLink {
    /// What a desk is searched by.
    pub key: String,
    /// The effect that files it.
    pub effect: String,
    /// The desk that has it, to which its comments go; empty means the desk of the routes.
    #[serde(default)]
    pub desk: String,
    /// The desk's own id, once it has it.
    pub remote: Option<String>,
    /// Whether it speaks for a storm.
    pub storm: bool,
    /// How far it has come.
    pub state: TicketState,
    /// Comments planned so far.
    pub comments: u32,
    /// A person closed it, as far as is known.
    #[serde(default)]
    pub closed: bool,
}

/// One incident (behaviour, section 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Short and stable: `INC-7K3QM-2X94T`.
    pub reference: String,
    /// Environment, connection and first failure.
    pub key: String,
    /// Basiq's connection id.
    pub connection: String,
    /// Basiq's user id, as the evidence gives it.
    pub user: String,
    /// Basiq's institution id.
    pub institution: String,
    /// Its name for people.
    pub institution_name: String,
    /// `web`, `openbanking` or `other`.
    pub method: String,
    /// The scenario now; it may change while one thing is wrong.
    pub scenario: String,
    /// What the scenario asks of people.
    pub class: Class,
    /// Since when the class is what it is.
    pub class_since: Timestamp,
    /// Since when the scenario is what it is.
    pub scenario_since: Timestamp,
    /// Since when the connection fails.
    pub failing_since: Timestamp,
    /// When its newest failed job finished.
    pub last_failure: Timestamp,
    /// Failed jobs in a row; 0 if it fails without a job.
    pub failed_jobs: u32,
    /// When the alerter opened it.
    pub opened: Timestamp,
    /// When anything about it last changed.
    pub changed: Timestamp,
    /// Open or ended.
    pub status: Status,
    /// Where the fault lies.
    pub cause: Cause,
    /// Shown and counted, but of no effect until released; the reason why.
    pub baseline: Option<String>,
    /// Actions that went live while this was failing: of no effect for them.
    pub muted: Vec<Action>,
    /// How often it failed again within 24 hours of an end.
    pub reopened: u32,
    /// Major outages of its connector.
    pub outage: Outage,
    /// What the user was told or is about to be.
    pub messages: Vec<Message>,
    /// Effects planned so far: the `n` of the next one's key.
    pub planned: u32,
    /// No opening before this time: the last one was obsolete when it was about to be sent.
    pub message_after: Option<Timestamp>,
    /// Until when the cooldown defers its opening.
    pub deferred: Option<Timestamp>,
    /// A person released its message from a hold.
    pub released: bool,
    /// Refreshes that spent an attempt.
    pub attempts: Vec<Attempt>,
    /// Refreshes that went the whole way in dry run.
    pub dry_refreshes: u32,
    /// The effect of a refresh that is planned or on its way.
    pub refresh: Option<String>,
    /// No refresh before this time: the last was withheld, or answered with an existing job.
    pub refresh_after: Option<Timestamp>,
    /// Why the last refresh did not spend an attempt.
    pub withheld: Option<String>,
    /// Why there will be no more refreshes.
    pub refresh_refused: Option<String>,
    /// Seen in Basiq's retry queue.
    pub queued: bool,
    /// Its ticket.
    pub ticket: Option<TicketLink>,
    /// No ticket before this time: the last one was obsolete when it was about to be filed.
    #[serde(default)]
    pub ticket_after: Option<Timestamp>,
    /// The number of the hold that keeps its message back.
    pub hold: Option<u64>,
    /// A person said that the bank's pop-up is dealt with: one refresh follows.
    pub done: Option<Timestamp>,
}

impl Incident {
    /// Whether it fails, as far as the newest evidence says.
    pub fn is_open(&self) -> bool {
        self.status == Status::Open
    }

    /// Whether a message about it was accepted and its end has not been told.
    pub fn owes_closing(&self) -> bool {
        self.messages.iter().any(|message| matches!(message.state, MessageState::Told { .. }))
    }

    /// Leaves what can be counted and nothing that says whose it was.
    pub fn erase(&mut self, now: Timestamp) {
        self.status = Status::Ended { reason: "forgotten".to_owned(), at: now };
        self.changed = now;
        for id in [&mut self.connection, &mut self.user, &mut self.key] {
            id.clear();
        }
        for message in &mut self.messages {
            message.message_id.clear();
        }
        for attempt in &mut self.attempts {
            attempt.job.clear();
        }
        (self.withheld, self.refresh_refused, self.baseline, self.done) = (None, None, None, None);
    }

    /// Refreshes that ended in a failed job.
    pub fn failed_attempts(&self) -> u32 {
        u32::try_from(self.attempts.iter().filter(|attempt| attempt.failed.is_some()).count())
            .unwrap_or(u32::MAX)
    }
}
