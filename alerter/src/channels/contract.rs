//! What flows through channels, and the small traits that their plugins implement.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use daemon::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

/// Whom a message goes to. Resolved at send time and kept no longer than needed.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The e-mail address, where there is one.
    pub address: Option<Secret>,
    /// The first name for the salutation, where there is one.
    pub name: Option<Secret>,
    /// A BCP 47 language tag.
    pub language: Option<String>,
    /// The partner's own id of the user.
    pub external_id: Option<String>,
}

/// A message to one user, as variables: bodies are rendered by the channel, never stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserMessage {
    /// The effect's key: the same for every attempt.
    pub key: String,
    /// Basiq's user id.
    pub user: String,
    /// The name of an installed template.
    pub template: String,
    /// The connections it speaks of, one or several of the same person.
    pub connections: Vec<MessageConnection>,
    /// Stable over attempts: `<…@…>`.
    pub message_id: String,
    /// The Message-ID of the opening, for a closing message.
    pub in_reply_to: Option<String>,
    /// The incident's reference, for the footer.
    pub reference: String,
    /// The time of the decision, for the Date header and for words like "since".
    pub at: Timestamp,
}

/// One connection in a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageConnection {
    /// Basiq's connection id.
    pub connection: String,
    /// Basiq's user id: that of the message, or of another user with the same address. Empty if not known.
    #[serde(default)]
    pub user: String,
    /// Basiq's institution id.
    pub institution: String,
    /// Its name for people.
    pub institution_name: String,
    /// The scenario, for variants of a template.
    pub scenario: String,
    /// Since when it fails.
    pub since: Timestamp,
}

/// A ticket for a support desk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// Opaque and unique per environment, tenant and incident: what a desk is searched by.
    pub key: String,
    /// One line.
    pub subject: String,
    /// Plain text: connection, user and job ids, step, code, title, detail (masked), attempts, times.
    pub body: String,
    /// The connection ids concerned.
    pub connections: Vec<String>,
    /// Basiq's institution id.
    pub institution: String,
    /// The scenario.
    pub scenario: String,
    /// The label `severity` of the rule that asked for it; empty where it has none.
    #[serde(default)]
    pub severity: String,
    /// The time of the decision.
    pub at: Timestamp,
}

/// A comment on a ticket.
#[derive(Clone, Debug)]
pub struct Comment<'a> {
    /// The effect's key: the same for every attempt.
    pub key: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// The time of the decision.
    pub at: Timestamp,
    /// What it says of the ticket.
    pub news: News,
}

/// How a ticket stands at its desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody may still work on it.
    Open,
    /// It is closed: solved, resolved, done.
    Closed,
    /// It is closed as something that nobody will mend ("won't fix").
    Declined,
}

/// What a comment says of its ticket: desks that are set so close it or open it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// How it goes on.
    #[default]
    Progress,
    /// All that it was filed for is over.
    Over,
    /// It is not over after all.
    Again,
}

/// Something operators should know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The same for every repetition of the same notice.
    pub key: String,
    /// One line.
    pub summary: String,
    /// What to know and do.
    pub description: String,
    /// Labels as of an alert (`alertname`, `severity`, `institution`, …).
    pub labels: std::collections::BTreeMap<String, String>,
    /// Since when.
    pub since: Timestamp,
    /// Set once it is over.
    pub ended: Option<Timestamp>,
}

/// What the other side said when it took something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The other side's own id: a ticket's number, a file's path, a queue id.
    pub remote: String,
    /// A sentence for the timeline. Holds no address and no secret.
    pub detail: String,
}

/// Why something was not delivered. No variant carries an address or a secret.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryError {
    /// Worth another attempt: throttled, deferred, or the connection failed before anything was taken.
    Retry {
        /// What the other side asked for (`Retry-After`).
        after: Option<Duration>,
        /// A sentence for the timeline.
        why: String,
    },
    /// The channel itself is at fault (authentication, policy, 5.7.x): its circuit opens and no attempt is spent.
    Channel {
        /// A sentence for the timeline.
        why: String,
    },
    /// This recipient does not exist; suppress a user's address. Only for a reply to RCPT that says so.
    Recipient {
        /// The enhanced status code, e.g. `5.1.1`.
        code: String,
    },
    /// There is nobody to deliver to: no address.
    Unreachable {
        /// A sentence for the timeline.
        why: String,
    },
    /// Nobody knows whether it was taken: the reply never came after the end of DATA or of a POST.
    Unknown {
        /// A sentence for the timeline.
        why: String,
    },
    /// It will never be taken as it is.
    Permanent {
        /// A sentence for the timeline.
        why: String,
    },
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { why, after: Some(after) } => {
                write!(f, "{why}; asked to wait {} s", after.as_secs())
            }
            Self::Retry { why, .. }
            | Self::Channel { why }
            | Self::Unreachable { why }
            | Self::Unknown { why }
            | Self::Permanent { why } => f.write_str(why),
            Self::Recipient { code } => write!(f, "the recipient was refused with {code}"),
        }
    }
}

impl std::error::Error for DeliveryError {}

/// Takes messages to users.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Delivers one message to one person. Called again with the same `key` and `message_id` after a failure.
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError>;

    /// Whether the channel needs a resolved address (a partner's own platform does not).
    fn needs_address(&self) -> bool {
        true
    }

    /// Whether what it takes leaves this machine.
    fn leaves(&self) -> bool {
        true
    }
}

/// Takes tickets.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Whether [`Desk::find`] can be relied on after an unknown outcome.
    fn searchable(&self) -> bool;
    /// Files a ticket.
    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError>;
    /// The ticket with this key, if the desk has one.
    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError>;
    /// Adds a comment to the ticket that `create` or `find` named by its `remote`. Where that one is closed for good,
    /// the receipt names the ticket that goes on for it.
    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError>;
    /// The comment with this key on that ticket, if the desk has it; asked for before a second attempt.
    async fn find_comment(&self, _remote: &str, _key: &str) -> Result<Option<Receipt>, DeliveryError> {
        Ok(None)
    }
    /// How the ticket stands; `None` from a desk that cannot tell, or that no longer has it. Asked now and then for
    /// tickets of what still fails, so that a person who closes one need not tell the alerter as well.
    async fn standing(&self, _remote: &str) -> Result<Option<Standing>, DeliveryError> {
        Ok(None)
    }
    /// How many characters it takes in a description or a comment, where it takes only so many; the rest of a ticket's
    /// text goes on in comments.
    fn longest(&self) -> Option<usize> {
        None
    }
    /// How many new tickets a day it takes, where it takes only so many; the rest of the day is one digest.
    fn daily(&self) -> Option<u32> {
        None
    }
    /// Closes the ticket or opens it again after a comment, where the desk is set to do so. Asking again
    /// does no more than asking once.
    async fn turn(&self, _remote: &str, _news: News) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// Takes notices to operators.
#[async_trait]
pub trait Operators: Send + Sync {
    /// Delivers a notice, or its repetition, or its end.
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError>;

    /// Whether notices are to be sent again while they last. Not by default: once is enough.
    fn repeat(&self) -> Option<Repeat> {
        None
    }
}

/// How a channel to operators wants notices repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The time between repetitions.
    pub every: Duration,
    /// Only while sources of demands report: what nobody evaluates any more is not repeated.
    pub only_while_heard: bool,
}

/// Knows how to reach a user.
#[async_trait]
pub trait Contacts: Send + Sync {
    /// The contact of Basiq's user `user`; `None` if the user is not known there.
    async fn resolve(&self, user: &str) -> Result<Option<Contact>, DeliveryError>;

    /// The contact, where it can be said without waiting for anything; `None` where it must be looked up.
    fn at_hand(&self, _user: &str) -> Option<Contact> {
        None
    }

    /// Basiq's user whom the partner knows by `external_id`; `None` where the source does not know, or cannot be asked
    /// so.
    async fn user_of(&self, _external_id: &str) -> Result<Option<String>, DeliveryError> {
        Ok(None)
    }
}
