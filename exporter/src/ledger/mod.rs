//! What is known of users, connections and jobs, and what was counted.
//!
//! The core of the exporter: it does no I/O and reads no clock. Answers of Basiq come in as observations with
//! the time at which they were asked for; counters, sums and the connections that need attention go out, and
//! which users changed, so that they are stored before they are shown. Behaviour, section 1, says what is right.
//!
//! Three properties carry the rest:
//! - How a connection stands ([`standing`]) is a function of facts that only grow, so repeated, late and
//!   overlapping answers change nothing.
//! - What is counted is marked on the job that caused it ([`Job`]); jobs that can no longer change are dropped
//!   behind a watermark per user, so that a million quiet connections take little room.
//! - All sums are adjusted by what one user contributed before and after ([`Gauges`]), never recomputed.

mod counters;
mod forgotten;
mod gauges;
mod id;
mod id_set;
mod index;
mod jobs;
mod names;
mod observation;
mod observe;
mod outages;
mod record;
mod restore;
mod rows;
mod scenario;
mod settle;
mod standing;
mod users;

use index::Index;

pub use counters::{BUCKETS, Cell, Counter, Counters, Durations};
pub use forgotten::{Forgotten, Tombstone};
pub use gauges::{Contribution, Gauge, Gauges};
pub use id::{Id, LONGEST};
pub use id_set::IdSet;
pub use names::{Name, Names};
pub use observation::{ConnectionSeen, EventSeen, HintKind, JobSeen, StepSeen, StepStatus};
pub use outages::Outages;
pub use record::{
    Carried, Connection, End, Failure, Job, Kind, Left, Mark, Method, Ms, Outcome, Outcomes, Queue, Status,
    Trouble, User, span,
};
pub use restore::Stored;
pub use rows::{Owner, Rank, Row, Rows};
pub use scenario::Scenario;
pub use standing::{Failing, Standing, counted_from, is_baseline, standing};

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use serde::{Deserialize, Serialize};

/// Titles of steps that Basiq documents.
const STEPS: &[&str] = &[
    "verify-credentials",
    "mfa-challenge",
    "retrieve-accounts",
    "retrieve-transactions",
    "retrieve-statements",
    "retrieve-meta",
    "retrieve-identity",
    "create-report",
];
/// Unseen steps and codes that are kept verbatim (design, "Metrics of the exporter").
const VERBATIM: usize = 32;
/// Sources of users that are told apart.
const SOURCES: usize = 28;
/// Institutions that are told apart; Basiq has about 330 connectors.
const INSTITUTIONS: usize = 4096;

/// What users set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// After how long without a success a connection has missed a period; `None`: nothing is ever stale.
    pub expected_refresh: Option<Ms>,
    /// How many connections are shown singly.
    pub shown: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { expected_refresh: None, shown: 100_000 }
    }
}

/// A connection that is gone, shown for a day if something was wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departed {
    /// Its user.
    pub user: Id,
    /// Its id.
    pub connection: Id,
    /// Its institution.
    pub institution: Name,
    /// How the bank was reached.
    pub method: Method,
    /// How it ended.
    pub end: End,
    /// When that was seen.
    pub at: Ms,
}

/// The whole of what is known.
#[derive(Debug)]
pub struct Ledger {
    settings: Settings,
    born: Ms,
    users: Vec<Option<User>>,
    free: BTreeSet<u32>,
    index: Index,
    departed: HashMap<u32, Departed>,
    next_departed: u32,
    /// Names that became labels.
    pub institutions: Names,
    /// Titles of steps.
    pub steps: Names,
    /// Codes of failures.
    pub codes: Names,
    /// Sources of users, whose places are bits of [`User::sources`].
    pub sources: Names,
    /// Counters and histograms.
    pub counters: Counters,
    /// Sums.
    pub gauges: Gauges,
    /// Connections shown singly.
    pub rows: Rows,
    outages: Outages,
    /// Users that must not come back.
    pub forgotten: Forgotten,
    /// `(institution, method)` pairs of which a connection is or was watched.
    banks: BTreeSet<(Name, Method)>,
    timers: BinaryHeap<Reverse<(Ms, u32)>>,
    unstored: BTreeSet<u32>,
    unstored_rest: bool,
    alarms: Vec<(Name, Method)>,
    added: Vec<u32>,
    removed: Vec<u32>,
    departed_checked: Ms,
}

/// What is stored beside users, names and counters.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rest {
    outages: Outages,
    departed: Vec<Departed>,
}

impl Ledger {
    /// An empty ledger, born at `now`: what finished before is learned, not counted.
    pub fn new(settings: Settings, now: Ms) -> Self {
        let mut ledger = Self {
            rows: Rows::new(settings.shown),
            settings,
            born: now,
            users: Vec::new(),
            free: BTreeSet::new(),
            index: Index::default(),
            departed: HashMap::new(),
            next_departed: 0,
            institutions: Names::new(&[], INSTITUTIONS),
            steps: Names::new(STEPS, VERBATIM),
            codes: Names::new(&known_codes(), VERBATIM),
            sources: Names::new(&[], SOURCES),
            counters: Counters::default(),
            gauges: Gauges::default(),
            outages: Outages::default(),
            forgotten: Forgotten::default(),
            banks: BTreeSet::new(),
            timers: BinaryHeap::new(),
            unstored: BTreeSet::new(),
            unstored_rest: true,
            alarms: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            departed_checked: 0,
        };
        ledger.counters.seed(Counter::CodesUnknown, now);
        for method in Method::ALL {
            for outcome in Outcome::ALL {
                ledger.counters.seed_durations((*method, *outcome));
            }
        }
        ledger
    }

    /// When it was born.
    pub fn born(&self) -> Ms {
        self.born
    }

    /// How many users are watched.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nobody is watched.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The place of a user.
    pub fn place(&self, id: &Id) -> Option<u32> {
        self.index.get(id, &self.users)
    }

    /// The user at a place.
    pub fn user(&self, place: u32) -> Option<&User> {
        self.users.get(place as usize)?.as_ref()
    }

    /// All users with their places.
    pub fn users(&self) -> impl Iterator<Item = (u32, &User)> {
        self.users.iter().enumerate().filter_map(|(place, user)| Some((place as u32, user.as_ref()?)))
    }

    /// A connection that is gone, by its number.
    pub fn departed(&self, number: u32) -> Option<&Departed> {
        self.departed.get(&number)
    }

    /// Places that were given to new users since this was last asked.
    pub fn take_added(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.added)
    }

    /// Places that became free since this was last asked.
    pub fn take_removed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.removed)
    }

    /// Banks newly failing: those of which two users newly failed since this was last asked.
    pub fn take_alarms(&mut self) -> Vec<(Name, Method)> {
        std::mem::take(&mut self.alarms)
    }

    /// Institutions and methods of which a connection is or was watched.
    pub fn banks(&self) -> &BTreeSet<(Name, Method)> {
        &self.banks
    }
}

/// Codes that Basiq documents: labels that do not count against the bound of unseen ones.
fn known_codes() -> Vec<&'static str> {
    basiq::scenario::known_codes().collect()
}

/// Milliseconds as the seconds that are kept; what lies outside of 1970 to 2106 is cut off.
pub(crate) fn to_seconds(ms: Ms) -> u32 {
    u32::try_from((ms / 1000).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
