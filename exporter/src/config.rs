//! Settings: the file that `--config.file` names.

use std::path::{Path, PathBuf};

use daemon::config::{ConfigErrors, Duration, relative_to};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::discovery;

/// The configuration file. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Basiq's API and what may be asked of it.
    pub basiq: Basiq,
    /// Who is watched.
    pub discovery: discovery::Config,
    /// Where the ledger is kept.
    pub store: Store,
    /// How often what is looked at.
    pub poll: Poll,
    /// What is shown.
    pub metrics: Metrics,
}

/// Basiq's API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Basiq {
    /// Base URL.
    pub url: String,
    /// File with the API key as Basiq issued it; read again every minute. Without it, the environment
    /// variable `BASIQ_API_KEY` holds the key.
    pub api_key_file: Option<PathBuf>,
    /// File with the key that is to replace it; need not exist yet.
    pub next_api_key_file: Option<PathBuf>,
    /// What may be asked of Basiq. The defaults are four fifths of 5 requests a second and 200,000 a day; the
    /// alerter has the last fifth.
    pub quota: Quota,
}

impl Default for Basiq {
    fn default() -> Self {
        Self {
            url: "https://au-api.basiq.io".to_owned(),
            api_key_file: None,
            next_api_key_file: None,
            quota: Quota::default(),
        }
    }
}

/// A quota.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Requests a second, on average.
    pub per_second: f64,
    /// Requests that may go at once after a pause.
    pub burst: u32,
    /// Requests in any 24 hours.
    pub per_day: u64,
    /// Users looked at at once.
    pub concurrency: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { per_second: 4.0, burst: 8, per_day: 160_000, concurrency: 8 }
    }
}

/// Where the ledger is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// SQLite file; made if it does not exist. It holds ids and counts, no names, addresses or balances.
    pub path: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::from("basiq-exporter.db") }
    }
}

/// How often what is looked at. What is due first, by need, goes first; the quota decides how much that is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// Every quiet user once in this time, evenly spread.
    pub pass: Duration,
    /// Connections of a user at least this often; also when a job names one that is not known.
    pub connections: Duration,
    /// Connectors, that is the state of the banks.
    pub connectors: Duration,
    /// A job that runs: first after this, then with growing gaps of up to a minute.
    pub running: Duration,
    /// A failing connection: first after this, then after a quarter of the time it has failed for, up to
    /// 72 times this.
    pub failing: Duration,
    /// A job in Basiq's retry queue, of which Basiq tries each every two hours.
    pub queued: Duration,
    /// Users of a bank whose state changed, or where two users newly failed, within this (or half a pass, if that is
    /// shorter), as far as the quota allows: while turns of others are late by a twentieth of a pass, every second of
    /// these looks is theirs, and nobody is looked at sooner while under three tenths of the day's quota are left. 0
    /// for no sooner than others.
    pub suspect: Duration,
    /// How often a connection is expected to succeed; two missed periods make it stale. Without it none is.
    pub expected_refresh: Option<Duration>,
}

impl Default for Poll {
    fn default() -> Self {
        let seconds = |s| Duration(std::time::Duration::from_secs(s));
        Self {
            pass: seconds(24 * 3600),
            connections: seconds(24 * 3600),
            connectors: seconds(60),
            running: seconds(2),
            failing: seconds(5 * 60),
            queued: seconds(30 * 60),
            suspect: seconds(30 * 60),
            expected_refresh: None,
        }
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Connections shown on `/metrics/connections` at most.
    pub connections: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { connections: 100_000 }
    }
}

impl Config {
    /// Reads a file. Relative paths in it, and that of a store it does not name, are relative to its folder.
    ///
    /// # Errors
    /// It cannot be read, or is not a configuration; with the place.
    pub fn load(file: &Path) -> Result<Self, ConfigErrors> {
        let mut config: Self = daemon::config::load(file)?;
        let place = |path: &mut PathBuf| *path = relative_to(Some(file), path);
        let Basiq { api_key_file, next_api_key_file, .. } = &mut config.basiq;
        [api_key_file, next_api_key_file].into_iter().flatten().for_each(place);
        place(&mut config.store.path);
        config.discovery.place(&place);
        Ok(config)
    }

    /// What is wrong with values that can be read, one line each.
    ///
    /// # Errors
    /// All of it, with the key and what to do.
    pub fn check(&self) -> Result<(), daemon::Fatal> {
        let mut wrong = Vec::new();
        let mut positive = |key: &str, value: Duration| {
            if value.0.is_zero() {
                wrong.push(format!("{key}: 0 is no interval; give one, for example 1m"));
            }
        };
        positive("poll.pass", self.poll.pass);
        positive("poll.connections", self.poll.connections);
        positive("poll.connectors", self.poll.connectors);
        positive("poll.running", self.poll.running);
        positive("poll.failing", self.poll.failing);
        positive("poll.queued", self.poll.queued);
        if let Some(period) = self.poll.expected_refresh {
            positive("poll.expected_refresh", period);
        }
        let quota = self.basiq.quota;
        if !quota.per_second.is_finite() || quota.per_second <= 0.0 {
            wrong.push("basiq.quota.per_second: must be above 0".to_owned());
        }
        for (key, zero) in [
            ("burst", quota.burst == 0),
            ("per_day", quota.per_day == 0),
            ("concurrency", quota.concurrency == 0),
        ] {
            if zero {
                wrong.push(format!("basiq.quota.{key}: must be above 0"));
            }
        }
        wrong.extend(self.discovery.check());
        if wrong.is_empty() { Ok(()) } else { Err(daemon::Fatal::Settings(wrong.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exporter.yml");
        let text = "basiq: {api_key_file: key}\n\
            discovery:\n  file: [{paths: ['users/*.yml', /etc/users.yml]}]\n\
            \x20 http: [{url: 'https://users.example', basic_auth: {username: a, password_file: word}, tls_config: {ca_file: ca}}]\n\
            \x20 webhooks: [{url: 'https://hooks.example', secret_file: secret, next_secret_file: /run/next}]\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let here = |name: &str| folder.path().join(name);
        assert_eq!(config.basiq.api_key_file, Some(here("key")));
        assert_eq!(config.basiq.next_api_key_file, None);
        assert_eq!(config.store.path, here("basiq-exporter.db"));
        let discovery::Config { file, http, webhooks, .. } = config.discovery;
        assert_eq!(
            file[0].paths.iter().map(PathBuf::from).collect::<Vec<_>>(),
            [here("users/*.yml"), "/etc/users.yml".into()]
        );
        assert_eq!(http[0].basic_auth.as_ref().unwrap().password_file, here("word"));
        assert_eq!(http[0].tls_config.ca_file, Some(here("ca")));
        assert_eq!(webhooks[0].secret_file, here("secret"));
        assert_eq!(webhooks[0].next_secret_file, Some("/run/next".into()));
    }
}
