//! What a caller may want to measure, without the client knowing how.

use std::time::Duration;

use daemon::Timestamp;

use super::{Endpoint, Priority};
use crate::{Error, ErrorKind};

/// Is told what the client does. Called on the way of requests: it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// One HTTP request has ended, each try counted.
    fn request(&self, request: &Request<'_>) {
        let _ = request;
    }

    /// A request waited for the quota or for throttling to pass, this long by the clock (0 if not at all).
    fn waited(&self, priority: Priority, waited: Duration) {
        let _ = (priority, waited);
    }

    /// Basiq asked for less: the client pauses until then and goes slower for a while.
    fn throttled(&self, until: Timestamp) {
        let _ = until;
    }

    /// The API key was accepted, refused, or could not be read.
    fn key(&self, state: KeyState) {
        let _ = state;
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// One HTTP request, as an [`Observer`] sees it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What was asked.
    pub endpoint: Endpoint,
    /// The error that it ended with, or `None`.
    pub error: Option<&'a Error>,
    /// Real time from sending to the last byte.
    pub duration: Duration,
}

impl Request<'_> {
    /// How it ended in one word: `success` or [`ErrorKind::as_str`].
    pub fn outcome(&self) -> &'static str {
        self.error.map_or("success", |error| ErrorKind::as_str(&error.kind))
    }
}

/// What became of the API key when it was last tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Not tried yet.
    #[default]
    Untried,
    /// The current key was accepted.
    Current,
    /// The current key was refused, the next one accepted: the replacement can be completed.
    Next,
    /// Basiq knows none of the keys.
    Refused,
    /// No key could be read.
    Unreadable,
}

/// What a client knows of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The API key.
    pub key: KeyState,
    /// Until when Basiq's throttling holds everything back.
    pub throttled_until: Option<Timestamp>,
    /// Requests left of the last 24 hours' quota.
    pub remaining_today: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// Calls that wait for the quota.
    pub waiting: usize,
}
