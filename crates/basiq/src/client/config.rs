//! Settings of the client.

use std::{path::PathBuf, sync::Arc, time::Duration};

use daemon::{Clock, Secret};

use super::observer::{NoObserver, Observer};

/// Settings of a [`super::Client`]. [`Self::new`] has the defaults; all fields may be set after it.
#[derive(Clone)]
pub struct ClientConfig {
    /// Where Basiq is; a path is kept as prefix. Default `https://au-api.basiq.io`.
    pub base_url: String,
    /// The API key.
    pub keys: KeySource,
    /// What may be asked of Basiq.
    pub quota: Quota,
    /// What quota, throttling, token expiry and rereading of the key go by.
    pub clock: Clock,
    /// Who is told of requests and waits.
    pub observer: Arc<dyn Observer>,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// How reads are tried again.
    pub retry: Retry,
    /// Real time to connect. Default 5 s.
    pub connect_timeout: Duration,
    /// Real time for one try, from sending to the last byte. Default 30 s.
    pub request_timeout: Duration,
    /// How long, by the clock, a call waits for the quota or for throttling to pass before it gives up.
    /// Default 2 min.
    pub patience: Duration,
    /// The most bytes read of one answer, decompressed. Default 8 MiB.
    pub max_body: usize,
    /// The most pages followed of one list. Default 100.
    pub max_pages: usize,
    /// The most entries kept of one list. Default 50,000.
    pub max_entries: usize,
}

impl ClientConfig {
    /// The defaults, with the system's clock and without an observer.
    pub fn new(keys: KeySource) -> Self {
        Self {
            base_url: "https://au-api.basiq.io".to_owned(),
            keys,
            quota: Quota::default(),
            clock: Clock::system(),
            observer: Arc::new(NoObserver),
            user_agent: concat!("basiq-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: Retry::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(120),
            max_body: 8 * 1024 * 1024,
            max_pages: 100,
            max_entries: 50_000,
        }
    }
}

/// Where the API key comes from. While a key is being replaced two may be given: the current one is tried
/// first, the next one if Basiq does not know it.
#[derive(Clone, Debug)]
pub struct KeySource {
    pub(super) current: KeyPlace,
    pub(super) next: Option<KeyPlace>,
}

#[derive(Clone, Debug)]
pub(super) enum KeyPlace {
    Value(Secret),
    File(PathBuf),
}

impl KeySource {
    /// A key that stays as it is.
    pub fn value(key: Secret) -> Self {
        Self { current: KeyPlace::Value(key), next: None }
    }

    /// A key in a file that is read again every minute.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { current: KeyPlace::File(path.into()), next: None }
    }

    /// Adds the next key.
    pub fn with_next_value(mut self, key: Secret) -> Self {
        self.next = Some(KeyPlace::Value(key));
        self
    }

    /// Adds the file of the next key; it need not exist yet.
    pub fn with_next_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.next = Some(KeyPlace::File(path.into()));
        self
    }
}

/// What may be asked of Basiq. It publishes no general limit, so this is the user's to set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Requests a second, on average. Default 5.
    pub per_second: f64,
    /// How many may go at once after a pause. Default 10.
    pub burst: u32,
    /// Requests in any 24 hours. Default 200,000.
    pub per_day: u64,
    /// Requests under way at once. Default 8.
    pub concurrency: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { per_second: 5.0, burst: 10, per_day: 200_000, concurrency: 8 }
    }
}

impl Quota {
    /// A part of it, for one of several processes that share an account: the alerter has a fifth.
    pub fn share(self, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        Self {
            per_second: self.per_second * part,
            burst: ((f64::from(self.burst) * part) as u32).max(1),
            per_day: ((self.per_day as f64 * part) as u64).max(1),
            concurrency: ((self.concurrency as f64 * part) as usize).max(1),
        }
    }
}

/// Who goes first when the quota is short, in order of need. Of the day's requests the last parts are kept
/// for those in greater need: background work stops at 80 %, routine at 90 %, running at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody is about to be told, or a connection to be refreshed: evidence and effects.
    Effect,
    /// A job is running, or a hint has just come in.
    Running,
    /// What is due by the schedule.
    Routine,
    /// Sweeps and discovery, which can wait.
    Background,
}

impl Priority {
    /// All of them, the most needed first.
    pub const ALL: [Self; 4] = [Self::Effect, Self::Running, Self::Routine, Self::Background];

    /// In one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Effect => "effect",
            Self::Running => "running",
            Self::Routine => "routine",
            Self::Background => "background",
        }
    }
}

/// How reads are tried again after a connection error or a 5xx, with full jitter, in real time. Writes never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all. Default 3.
    pub tries: u32,
    /// The longest first pause; it doubles with each try. Default 500 ms.
    pub base: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 3, base: Duration::from_millis(500) }
    }
}
