//! Alert state, incidents, effects and tickets, kept durably.

mod browse;
mod model;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
pub use browse::{Browse, Group, Search};
use daemon::{Secret, Timestamp};
pub use model::{
    Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Payload, Phase, TimelineEntry,
};

pub use sqlite::Sqlite;

use crate::{
    demand::StateRow,
    plan::{Changes, Command, Saved},
};

/// What went wrong with the store. None of it holds anything of a user.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the store: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the store's tables: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("the store holds a row of {table} that this version cannot read: {why}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The decoder's words.
        why: String,
    },
}

/// What the page and the tools read. Reads see what was last committed, and wait for no writer.
#[async_trait]
pub trait Read: Send + Sync {
    /// Incidents, newest change first.
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<IncidentRow>, StoreError>;
    /// One incident by its reference.
    async fn incident(&self, reference: &str) -> Result<Option<IncidentRow>, StoreError>;
    /// The story of one incident, oldest first, at most 1,000 lines.
    async fn timeline(&self, reference: &str) -> Result<Vec<TimelineEntry>, StoreError>;
    /// Effects, newest change first.
    async fn effects(&self, filter: &EffectFilter) -> Result<Vec<Effect>, StoreError>;
    /// One effect by its key.
    async fn effect(&self, key: &str) -> Result<Option<Effect>, StoreError>;
    /// Counts for an overview.
    async fn counts(&self) -> Result<Counts, StoreError>;
    /// The state rows of one source, as last committed.
    async fn state(&self, source: &str) -> Result<Vec<StateRow>, StoreError>;
    /// When the store was born.
    async fn born(&self) -> Result<Timestamp, StoreError>;
}

/// What is committed as one.
#[derive(Debug, Default)]
pub struct Batch {
    /// What a step of the planner decided.
    pub changes: Changes,
    /// State rows by source.
    pub state: Vec<(Arc<str>, Vec<StateRow>)>,
    /// Commands that the step has obeyed.
    pub obeyed: Vec<i64>,
    /// The time of the step.
    pub at: Timestamp,
}

/// What the daemon needs of a store. Everything it says is done is durable.
#[async_trait]
pub trait Store: Browse {
    /// What the planner starts from. Effects that a dead process was attempting are given as
    /// [`EffectState::Unknown`].
    async fn load(&self, now: Timestamp) -> Result<Saved, StoreError>;
    /// Commits a batch: all of it or nothing.
    async fn commit(&self, batch: &Batch) -> Result<(), StoreError>;
    /// Marks effects as being attempted, and gives back the keys of those that still may be: not those
    /// that were cancelled or ended meanwhile.
    async fn attempting(&self, keys: &[String]) -> Result<Vec<String>, StoreError>;
    /// Keeps a command until it is obeyed.
    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError>;
    /// Commands to obey, oldest first.
    async fn asked(&self) -> Result<Vec<(i64, Command)>, StoreError>;
    /// The code for which this person is suppressed, if it is.
    async fn suppressed(&self, person: &str) -> Result<Option<String>, StoreError>;
    /// When the oldest effect that still waits became due, by channel.
    async fn oldest_pending(&self) -> Result<Vec<(String, Timestamp)>, StoreError>;
    /// A secret of this store for hashing addresses, made when the store was born.
    async fn salt(&self) -> Result<Secret, StoreError>;
}
