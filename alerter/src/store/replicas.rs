//! Several alerters on one store: one plans, all deliver.
//!
//! A replica says every second that it lives. The one that holds the lead plans, and each of its commits is
//! refused once another has taken the lead. Effects that are due are claimed by a replica before it looks at
//! them; what became of them is written down for whoever plans. Of a replica that has not been heard for
//! [`LEASE`], the claims become free, and its attempts unknown.

use std::time::Duration;

use async_trait::async_trait;
use daemon::Timestamp;

use super::{Effect, StoreError};
use crate::{outbox::Signal, plan::Stops};

/// A replica that was not heard for so long is dead, by the clock of the database (real time).
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a replica says that it lives (real time).
pub const BEAT: Duration = Duration::from_secs(1);

/// Where a replica stands among the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It plans.
    pub leads: bool,
    /// How many live, itself among them.
    pub alive: u32,
}

/// What several alerters on one store need of it. One value is one replica.
#[async_trait]
pub trait Replicas: Send + Sync {
    /// Says that this replica lives, and takes the lead if nobody has it.
    ///
    /// # Errors
    /// [`StoreError::Deposed`] if it had the lead and another has taken it; the store cannot be reached.
    async fn beat(&self) -> Result<Standing, StoreError>;

    /// Channels with effects that are due and unclaimed.
    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError>;

    /// Claims effects that are due, of each channel at most so many, the longest due first. Claims and marks of this
    /// replica that had no answer are freed before.
    async fn claim(&self, room: &[(String, u32)], now: Timestamp) -> Result<Vec<Effect>, StoreError>;

    /// Gives claims back, to be looked at again at this time.
    async fn put_back(&self, keys: &[String], at: Timestamp) -> Result<(), StoreError>;

    /// Spreads what of a channel is unclaimed and due by `due` over this time, from `due` on, if there is more than
    /// `least` of it.
    async fn spread(
        &self,
        channel: &str,
        due: Timestamp,
        over: Duration,
        least: u32,
    ) -> Result<(), StoreError>;

    /// Writes down what became of effects, for whoever plans. After an error it is called with the same signals
    /// until it is well: they are written down once, also where only the answer was lost.
    async fn report(&self, signals: &[Signal]) -> Result<(), StoreError>;

    /// What replicas have written down and nobody has planned from, oldest first, at most 2,000. Taken out by the
    /// batch that names the numbers; a number may become visible after a higher one.
    async fn reported(&self) -> Result<Vec<(i64, Signal)>, StoreError>;

    /// Frees what the dead have claimed, and reports what they were attempting as unknown.
    async fn bury(&self, now: Timestamp) -> Result<(), StoreError>;

    /// What stops for now, as last committed.
    async fn stops(&self) -> Result<Stops, StoreError>;

    /// Gives up the lead and all claims: this replica ends.
    async fn leave(&self) -> Result<(), StoreError>;
}
