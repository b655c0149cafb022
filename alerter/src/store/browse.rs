//! What the page asks of a store beyond [`Read`]: searches and counts whose cost stays bounded however many
//! incidents there are.

use async_trait::async_trait;
use daemon::Timestamp;

use super::{EffectState, IncidentFilter, IncidentRow, Read, StoreError};

/// Searches and counts for people.
#[async_trait]
pub trait Browse: Read {
    /// Incidents, newest change first.
    async fn search(&self, search: &Search) -> Result<Vec<IncidentRow>, StoreError>;
    /// Open incidents counted by institution and scenario, with their ages at `now`.
    async fn groups(&self, now: Timestamp) -> Result<Vec<Group>, StoreError>;
    /// How many effects wait for a person.
    async fn waiting(&self) -> Result<Waiting, StoreError>;
    /// What the planner keeps of a kind (`hold`, `pause`): key and JSON, by key.
    async fn kept(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError>;
}

/// Which incidents to find. `Default` finds all.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// By what an incident is.
    pub filter: IncidentFilter,
    /// By the desk's own id of its ticket, or by the ticket's key.
    pub ticket: Option<String>,
    /// That began to fail then or later.
    pub failing_from: Option<Timestamp>,
    /// That began to fail before then.
    pub failing_until: Option<Timestamp>,
}

/// Effects that wait for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Held back one by one, beside what holds keep back.
    pub held: u64,
    /// Refused for good.
    pub dead: u64,
}

impl Waiting {
    /// From counts by state.
    pub(super) fn of(rows: &[(String, i64)]) -> Self {
        let count = |state: EffectState| {
            let row = rows.iter().find(|(name, _)| name == state.as_str());
            row.and_then(|(_, count)| u64::try_from(*count).ok()).unwrap_or_default()
        };
        Self { held: count(EffectState::Held), dead: count(EffectState::Dead) }
    }
}

/// Open incidents of one institution and scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Basiq's institution id.
    pub institution: String,
    /// The scenario.
    pub scenario: String,
    /// How many are open, baseline or not.
    pub open: u64,
    /// How many of these are baseline.
    pub baseline: u64,
    /// How many of these fail for up to 1 hour, 24 hours, 7 days, and longer.
    pub ages: [u64; 4],
}

/// What databases count for a group: institution, scenario, all, baseline, and how many fail since less than
/// an hour, a day and a week.
pub(super) type Counted = (String, String, i64, i64, i64, i64, i64);

impl Group {
    /// The bounds of ages, in seconds.
    pub const AGES: [i64; 3] = [3_600, 86_400, 7 * 86_400];

    /// Since when what is younger than each bound fails, as the stores spell times.
    pub(super) fn bounds(now: Timestamp) -> [i64; 3] {
        Self::AGES.map(|age| Self::before(now, age).as_millisecond())
    }

    /// `seconds` before `now`, at the earliest the beginning of time.
    pub fn before(now: Timestamp, seconds: i64) -> Timestamp {
        now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
    }

    pub(super) fn of((institution, scenario, open, baseline, hour, day, week): Counted) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        let ages = [count(hour), count(day - hour), count(week - day), count(open - week)];
        Self { institution, scenario, open: count(open), baseline: count(baseline), ages }
    }
}
