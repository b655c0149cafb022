//! What is kept of users, connections and jobs. Everything here is stored as it stands.

use serde::{Deserialize, Serialize};

use super::{Id, Name, Scenario};

/// Milliseconds since the epoch; 0 means "never".
pub type Ms = i64;

/// Milliseconds of common spans.
pub mod span {
    use super::Ms;
    /// A minute.
    pub const MINUTE: Ms = 60_000;
    /// An hour.
    pub const HOUR: Ms = 60 * MINUTE;
    /// A day.
    pub const DAY: Ms = 24 * HOUR;
    /// How long Basiq lists a job, and how long its retry queue tries one.
    pub const WEEK: Ms = 7 * DAY;
}

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$doc])* $variant,)+ }
        impl $name {
            /// All, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The value of the label.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}
pub(crate) use labels;

labels! {
    /// How Basiq reaches the bank; for jobs that belong to no connection, their own kind.
    Method {
        /// Screen scraping with the user's credentials.
        Web = "web",
        /// Open banking with a consent.
        OpenBanking = "openbanking",
        /// Anything else, or not known.
        Other = "other",
        /// A job that reads bank statement files.
        Statement = "statement",
        /// A job that makes a report.
        Report = "report",
    }
}

labels! {
    /// Basiq's status of a connection.
    Status {
        /// It can be refreshed.
        Active = "active",
        /// Basiq is setting it up.
        Pending = "pending",
        /// Basiq cannot log in.
        Invalid = "invalid",
        /// Not set up yet.
        PreInit = "pre-init",
        /// A status not known here, or none.
        Unknown = "unknown",
    }
}

labels! {
    /// Why a connection no longer fails (behaviour, section 1).
    End {
        /// One of its jobs finished successfully.
        Recovered = "recovered",
        /// Another connection of the user at that institution succeeded later.
        Superseded = "superseded",
        /// The connection or its user is gone.
        Deleted = "deleted",
        /// The user's consent was revoked or expired.
        ConsentEnded = "consent-ended",
        /// 30 days without a job.
        Abandoned = "abandoned",
    }
}

labels! {
    /// How a job left Basiq's retry queue (behaviour, section 1).
    Left {
        /// A later try succeeded.
        Success = "success",
        /// Seven days without success.
        Expired = "expired",
        /// Another job or connection succeeded in its place.
        Superseded = "superseded",
        /// Its connection is gone or its consent ended.
        Deleted = "deleted",
        /// Its id is no longer readable.
        Unknown = "unknown",
    }
}

labels! {
    /// How a job ended.
    Outcome {
        /// All steps succeeded.
        Success = "success",
        /// A step failed.
        Failed = "failed",
    }
}

labels! {
    /// What a job is about.
    Kind {
        /// It sets up or refreshes a connection.
        Connection = "connection",
        /// It reads bank statement files.
        Statement = "statement",
        /// It makes a report.
        Report = "report",
        /// Anything else.
        Other = "other",
    }
}

/// A watched user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Basiq's id.
    pub id: Id,
    /// When a source first named it.
    pub discovered: Ms,
    /// Jobs that finished up to here and are not among `jobs` have been counted, or are older than what counts.
    pub watermark: Ms,
    /// When the newest complete list of jobs was asked for.
    pub jobs_listed: Ms,
    /// When the newest list of connections was asked for.
    pub connections_listed: Ms,
    /// The sources that name it, one bit each.
    pub sources: u32,
    /// The time at which the gauges include it; not stored.
    #[serde(skip)]
    pub settled: Ms,
    /// When it must be looked at again because time passes; not stored.
    #[serde(skip)]
    pub timer: Ms,
    /// Its connections.
    pub connections: Vec<Connection>,
    /// Jobs that are unfinished, failed, or too fresh for the watermark.
    pub jobs: Vec<Job>,
}

/// A connection of a user to a bank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Basiq's id.
    pub id: Id,
    /// The institution.
    pub institution: Name,
    /// How the bank is reached.
    pub method: Method,
    /// As last listed.
    pub status: Status,
    /// One of its jobs, its status or its last use shows that it once worked.
    pub succeeded: bool,
    /// When Basiq says it was made, in seconds.
    pub created: u32,
    /// When Basiq says it was last used, in seconds.
    pub last_used: u32,
    /// When its consent expires, in seconds; 0 for none.
    pub expiry: u32,
    /// Newest sign of a job of it, in seconds.
    pub last_job: u32,
    /// When its newest successful job finished.
    pub last_success: Ms,
    /// What is only known of few.
    pub trouble: Option<Box<Trouble>>,
}

/// What is only known of connections that something is, or recently was, wrong with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when its status is `invalid`, as far as is known.
    pub invalid: Ms,
    /// That is a guess, since it was so when it was first listed.
    pub guessed: bool,
    /// When a list that showed it `invalid` was last asked for.
    pub invalid_seen: Ms,
    /// Newest `connection.invalidated`.
    pub invalidated: Ms,
    /// Newest `connection.activated`.
    pub activated: Ms,
    /// Newest `consent.revoked` or `consent.expired`.
    pub consent_ended: Ms,
    /// Failed jobs of the present run that are no longer kept singly.
    pub carried: Option<Carried>,
    /// It was failing when last settled.
    pub failing: bool,
    /// How and when it last ended.
    pub ended: Option<(End, Ms)>,
}

/// Failed jobs in a row of which only the sum is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// How many, outages apart.
    pub jobs: u32,
    /// When the first of them failed.
    pub since: Ms,
    /// When the last of them failed.
    pub last: Ms,
    /// What the last of them showed.
    pub scenario: Scenario,
}

/// A job that may still change what is counted or shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Basiq's id.
    pub id: Id,
    /// The connection it belongs to, as far as is known.
    pub connection: Option<Id>,
    /// The institution it names itself.
    pub institution: Option<Name>,
    /// What it is about.
    pub kind: Kind,
    /// When Basiq says it was created.
    pub created: Ms,
    /// When Basiq says it last changed, in the newest answer.
    pub updated: Ms,
    /// When the newest answer about it was asked for.
    pub asked: Ms,
    /// When it was first seen here.
    pub first_seen: Ms,
    /// When it first failed.
    pub failed: Ms,
    /// When it succeeded.
    pub succeeded: Ms,
    /// Its outcomes that were counted.
    pub counted: Outcomes,
    /// Its steps.
    pub steps: Vec<Mark>,
    /// What failed in it, as first seen.
    pub failure: Option<Failure>,
    /// Where it stands with Basiq's retry queue.
    pub queue: Queue,
}

/// A set of [`Outcome`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes(u8);

impl Outcomes {
    /// Adds one; whether it was new.
    pub fn insert(&mut self, outcome: Outcome) -> bool {
        let bit = 1 << outcome as u8;
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Whether it is in the set.
    pub fn contains(self, outcome: Outcome) -> bool {
        self.0 & (1 << outcome as u8) != 0
    }
}

/// Terminal outcomes of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Its title.
    pub title: Name,
    /// Outcomes that were seen.
    pub seen: Outcomes,
    /// Outcomes that were counted.
    pub counted: Outcomes,
    /// With what code and scenario it failed.
    pub failure: Option<Failure>,
}

/// What a failed step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The code, as a label.
    pub code: Name,
    /// What it means.
    pub scenario: Scenario,
    /// The code is in no table.
    pub unknown_code: bool,
    /// The institution was in major outage.
    pub outage: bool,
}

/// A job's way through Basiq's retry queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Queue {
    /// Nothing says that it is queued.
    #[default]
    No,
    /// It is named as an update or as what a refresh returned; queued once it fails.
    Named,
    /// It is in the queue.
    In,
    /// It was in the queue.
    Left(Left),
}

impl User {
    /// The connection with this id.
    pub fn connection(&self, id: &Id) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == *id)
    }
}

impl Connection {
    /// Its trouble, made if there is none.
    pub(super) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }
}

impl Job {
    /// It failed, and has not succeeded since.
    pub fn is_failed(&self) -> bool {
        self.failed != 0 && self.succeeded == 0
    }

    /// Neither failed nor succeeded yet.
    pub fn is_running(&self) -> bool {
        self.failed == 0 && self.succeeded == 0
    }

    /// It is in Basiq's retry queue.
    pub fn is_queued(&self) -> bool {
        self.queue == Queue::In
    }
}
