//! What nobody tells the alerter is looked up now and then: whether a person closed a ticket or opened it again, and
//! whether Basiq still has a user whose connection is gone. What is found is asked of the planner as a person would
//! ask it, so it is durable before it counts.

mod tickets;
mod users;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use daemon::{CancellationToken, Clock};

use crate::{channels::Desk, store::Store};

/// From one round to the next, by the daemon's clock: short beside the day after which a closed ticket hears that its
/// connection still fails.
const EVERY: Duration = Duration::from_secs(3600);
/// Between two questions, in real time: desks count requests.
const PAUSE: Duration = Duration::from_millis(300);
/// At most so many questions of a kind in a round; the next goes on where this one ended.
const AT_ONCE: usize = 500;
/// A page of the store.
const PAGE: u32 = 1000;

/// Who knows which users there are.
#[async_trait]
pub trait Users: Send + Sync {
    /// Whether Basiq has no such user any more; `None` if it did not say.
    async fn gone(&self, user: &str) -> Option<bool>;
}

#[async_trait]
impl Users for basiq::Client {
    async fn gone(&self, user: &str) -> Option<bool> {
        match self.user(user, basiq::Priority::Background).await {
            Ok(_) => Some(false),
            Err(error) => error.is_not_found().then_some(true),
        }
    }
}

/// Goes the rounds.
pub struct Rounds<U> {
    /// What there is to look after, and where what is found is asked for.
    pub store: Arc<dyn Store>,
    /// The desks, by name.
    pub desks: HashMap<String, Arc<dyn Desk>>,
    /// Who knows which users there are.
    pub users: U,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Ends it.
    pub stop: CancellationToken,
}

impl<U: Users> Rounds<U> {
    /// Goes a round every hour until stopped.
    pub async fn run(self) {
        let (mut tickets, mut users) = (tickets::Place::default(), users::Known::default());
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.clock.sleep(EVERY) => {}
            }
            if let Err(reason) = self.tickets(&mut tickets).await {
                tracing::error!(%reason, "tickets could not be looked after; trying again in an hour");
            }
            if let Err(reason) = self.deleted(&mut users).await {
                tracing::error!(%reason, "users could not be looked after; trying again in an hour");
            }
        }
    }

    /// Waits between two questions; false once it was stopped.
    async fn next(&self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(PAUSE) => true,
        }
    }
}
