//! What was asked of the sandbox: counts, rates and refreshes, for tests to compare with.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::world::connection::Refreshed;

/// How many requests came for one route, and what they were answered with.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RouteCount {
    /// All of them.
    pub requests: u64,
    /// By status; `0` counts those never answered (hanging on purpose).
    pub statuses: BTreeMap<u16, u64>,
}

/// A refresh that came in.
#[derive(Clone, Debug, Serialize)]
pub struct RefreshSeen {
    /// When.
    pub at: Timestamp,
    /// The user's id.
    pub user_id: String,
    /// The connection's id.
    pub connection_id: String,
    /// The id of the job that was answered, if one was.
    pub job_id: Option<String>,
    /// What happened.
    pub outcome: Refreshed,
}

/// Counts of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) routes: BTreeMap<&'static str, RouteCount>,
    pub(crate) refreshes: Vec<RefreshSeen>,
    pub(crate) peak_per_second: u64,
    second: i64,
    in_second: u64,
    token_window: Option<(Timestamp, u64)>,
    total: u64,
}

/// Refreshes that are remembered; older ones are dropped first.
const MOST_REFRESHES: usize = 100_000;
/// Basiq's limit on `/token`: 1,500 requests per 5 minutes ("Authentication").
const TOKENS: (SignedDuration, u64) = (SignedDuration::from_mins(5), 1_500);

impl Requests {
    /// Notes a request as it comes in; its number.
    pub(crate) fn began(&mut self, route: &'static str, now: Timestamp) -> u64 {
        self.routes.entry(route).or_default().requests += 1;
        if now.as_second() != self.second {
            (self.second, self.in_second) = (now.as_second(), 0);
        }
        self.in_second += 1;
        self.peak_per_second = self.peak_per_second.max(self.in_second);
        self.total += 1;
        self.total
    }

    /// Requests in the running second of the sandbox's clock.
    pub(crate) fn this_second(&self) -> u64 {
        self.in_second
    }

    /// Notes how it was answered.
    pub(crate) fn answered(&mut self, route: &'static str, status: u16) {
        *self.routes.entry(route).or_default().statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn refreshed(&mut self, seen: RefreshSeen) {
        if self.refreshes.len() >= MOST_REFRESHES {
            self.refreshes.remove(0);
        }
        self.refreshes.push(seen);
    }

    /// Whether one more token may be issued now.
    pub(crate) fn token_allowed(&mut self, now: Timestamp) -> bool {
        let (began, count) =
            self.token_window.filter(|(began, _)| now.duration_since(*began) < TOKENS.0).unwrap_or((now, 0));
        self.token_window = Some((began, count + 1));
        count < TOKENS.1
    }
}
