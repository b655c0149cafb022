//! Alert state, incidents, effects and tickets, kept durably.

mod model;

use async_trait::async_trait;
use daemon::Timestamp;
pub use model::{
    Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Payload, Phase, TimelineEntry,
};

use crate::demand::StateRow;

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
