//! `alerter.yml`, strict: unknown keys are refused.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{demand::Action, plan::Limits};

/// The whole file. Every section has defaults but the routes that what is switched on needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Part of every key: `production`, `staging`, ….
    pub environment: String,
    /// Where state is kept.
    pub store: StoreConfig,
    /// The exporters whose metrics are the evidence.
    pub exporters: Vec<ExporterConfig>,
    /// What each action may do.
    pub actions: Actions,
    /// Which channel, desk and operators' channels are used.
    pub routes: Routes,
    /// Times and bounds of `plan`.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: "production".into(),
            store: StoreConfig::default(),
            exporters: vec![ExporterConfig::default()],
            actions: Actions::default(),
            routes: Routes::default(),
            limits: Limits::default(),
        }
    }
}

/// Which store is used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// A file of this machine.
    pub sqlite: SqliteConfig,
}

/// The SQLite store.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The database file; its folder must exist.
    pub path: PathBuf,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { path: "alerter.db".into() }
    }
}

/// One exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterConfig {
    /// Its base address, without `/metrics`.
    pub url: String,
}

impl Default for ExporterConfig {
    fn default() -> Self {
        Self { url: "http://127.0.0.1:9765".into() }
    }
}

/// How far an action may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is planned.
    Off,
    /// Everything but the last write.
    #[default]
    DryRun,
    /// For real.
    Live,
}

impl Mode {
    /// The name in the configuration and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry-run",
            Self::Live => "live",
        }
    }
}

/// The switches of behaviour's section 8. Notices to operators have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Actions {
    /// Messages to users.
    pub notify_user: Mode,
    /// Refreshes.
    pub refresh_connection: Mode,
    /// Tickets.
    pub file_ticket: Mode,
}

impl Actions {
    /// How far `action` may go.
    pub fn mode(&self, action: Action) -> Mode {
        match action {
            Action::NotifyUser => self.notify_user,
            Action::RefreshConnection => self.refresh_connection,
            Action::FileTicket => self.file_ticket,
            Action::NotifyOperator => Mode::Live,
        }
    }
}

/// Names of the channels that effects go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// A name under `channels`.
    pub user: Option<String>,
    /// A name under `desks`.
    pub desk: Option<String>,
    /// Names under `operators`.
    pub operators: Vec<String>,
}

/// Parses a duration as Prometheus writes them: `90s`, `15m`, `2h30m`, `7d`; `0` is allowed.
///
/// # Errors
/// A sentence that says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write one as 90s, 15m, 2h30m or 7d");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut total, mut number, mut rest) = (Duration::ZERO, String::new(), text.chars().peekable());
    while let Some(letter) = rest.next() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            'm' if rest.next_if_eq(&'s').is_some() => 1,
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            'w' => 604_800_000,
            'y' => 31_536_000_000,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        let part = count.checked_mul(unit).map(Duration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        number.clear();
    }
    if number.is_empty() && !text.is_empty() { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h30m"), Ok(Duration::from_secs(9000)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "5", "m", "5x", "1h5", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
