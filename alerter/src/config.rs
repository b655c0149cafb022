//! `alerter.yml`, strict: unknown keys are refused.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use daemon::Fatal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    channels::{
        contacts::ContactSource, desks::Desks, guard::Recipients, message::Sender,
        operators::OperatorChannels, refresh::RefreshSettings, users::UserChannels,
    },
    demand::Action,
    digest::Digest,
    evidence::ExporterConfig,
    outbox::Pace,
    page::PageConfig,
    plan::Limits,
    sources::SourcesConfig,
    store::StoreConfig,
};

/// The whole file. Every section has defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Part of every key: `production`, `staging`, ….
    pub environment: String,
    /// Basiq itself.
    pub basiq: BasiqConfig,
    /// Where state is kept.
    pub store: StoreConfig,
    /// The exporters whose metrics are the evidence.
    pub exporters: Vec<ExporterConfig>,
    /// Where demands come from.
    pub sources: SourcesConfig,
    /// What each action may do.
    pub actions: Actions,
    /// Which channel, desk and operators' channels are used.
    pub routes: Routes,
    /// Channels to users.
    pub channels: UserChannels,
    /// Support desks.
    pub desks: Desks,
    /// Channels to operators.
    pub operators: OperatorChannels,
    /// Whom messages may reach outside production.
    pub recipients: Recipients,
    /// A daily digest for support; none unless it names a channel.
    pub digest: Digest,
    /// How users are reached.
    pub contacts: ContactSource,
    /// Who writes to customers.
    pub sender: Sender,
    /// A folder with templates of messages that replace the built-in ones.
    pub templates: Option<PathBuf>,
    /// Bounds of refreshing.
    pub refresh: RefreshSettings,
    /// Times and bounds of `plan`.
    pub limits: Limits,
    /// How fast each channel is used.
    pub outbox: Pace,
    /// Who may do what on the page.
    pub page: PageConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: "production".into(),
            basiq: BasiqConfig::default(),
            store: StoreConfig::default(),
            exporters: vec![ExporterConfig::default()],
            sources: SourcesConfig::default(),
            actions: Actions::default(),
            routes: Routes::default(),
            channels: UserChannels::default(),
            desks: Desks::default(),
            operators: OperatorChannels::default(),
            recipients: Recipients::default(),
            digest: Digest::default(),
            contacts: ContactSource::default(),
            sender: Sender::default(),
            templates: None,
            refresh: RefreshSettings::default(),
            limits: Limits::default(),
            outbox: Pace::default(),
            page: PageConfig::default(),
        }
    }
}

impl Config {
    /// Reads the file, or takes the defaults where there is none.
    ///
    /// # Errors
    /// The file cannot be read, or says what cannot work; with its place.
    pub fn load(file: Option<&Path>) -> Result<Self, Fatal> {
        let config = match file {
            Some(file) => daemon::config::load(file)?,
            None => Self::default(),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Fatal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.environment.is_empty() || self.environment.len() > 64 || !self.environment.chars().all(plain)
        {
            return Err(Fatal::settings(
                "environment: 1 to 64 letters, digits, '-', '_' or '.'; it is part of every key",
            ));
        }
        let missing = self.sender.missing();
        if self.actions.notify_user == Mode::Live && !missing.is_empty() {
            return Err(Fatal::settings(format!(
                "actions.notify-user is live, but {} is not set; every message must name who sends it",
                missing.join(" and ")
            )));
        }
        if self.outbox.concurrency == 0 || !(self.outbox.rate > 0.0 && self.outbox.burst >= 1.0) {
            return Err(Fatal::settings("outbox: concurrency and burst are at least 1, rate is above 0"));
        }
        Ok(())
    }
}

/// Basiq's API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BasiqConfig {
    /// Its base address.
    pub url: String,
    /// The file with the API key. Without it, the environment's variable `BASIQ_API_KEY` holds the key.
    pub api_key_file: Option<PathBuf>,
    /// The requests a second of which the alerter uses a fifth.
    pub requests_per_second: f64,
    /// The requests a day of which the alerter uses a fifth.
    pub requests_per_day: u64,
}

impl Default for BasiqConfig {
    fn default() -> Self {
        Self {
            url: "https://au-api.basiq.io".to_owned(),
            api_key_file: None,
            requests_per_second: 5.0,
            requests_per_day: 200_000,
        }
    }
}

/// How far an action may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// Names of the channels that effects go through. Where one is not named, the only one there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// A name under `channels`.
    pub user: Option<String>,
    /// A name under `desks`.
    pub desk: Option<String>,
    /// Tickets that go elsewhere: the first entry that fits a ticket names its desk.
    pub desks: Vec<DeskRoute>,
    /// Names under `operators`; all of them where none is named.
    pub operators: Vec<String>,
    /// How many new tickets a day desks take, by name; any number where a desk is not named. The desks say so.
    #[serde(skip)]
    pub daily: BTreeMap<String, u32>,
}

impl Routes {
    /// The desk for a ticket about that.
    pub fn desk(&self, institution: &str, scenario: &str, severity: &str) -> String {
        let fits = |route: &&DeskRoute| {
            [(&route.institutions, institution), (&route.scenarios, scenario), (&route.severities, severity)]
                .into_iter()
                .all(|(wanted, is)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == is))
        };
        let route = self.desks.iter().find(fits).map(|route| &route.desk).or(self.desk.as_ref());
        route.cloned().unwrap_or_default()
    }
}

/// Which tickets go to a desk: those that fit every list which is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeskRoute {
    /// Basiq's institution ids.
    #[serde(default)]
    pub institutions: Vec<String>,
    /// Scenarios.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// Values of the label `severity` of the rules that ask for tickets.
    #[serde(default)]
    pub severities: Vec<String>,
    /// A name under `desks`.
    pub desk: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let config: Config =
            daemon::config::decode("alerter.yml", text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_file_is_all_defaults_and_nothing_is_live() {
        let config = read("").unwrap();
        assert_eq!(config.environment, "production");
        for action in [Action::NotifyUser, Action::FileTicket, Action::RefreshConnection] {
            assert_eq!(config.actions.mode(action), Mode::DryRun);
        }
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn a_key_that_does_not_exist_is_refused_with_its_place() {
        let error = read("environment: staging\nlimits:\n  colldown: 24h\n").unwrap_err();
        assert!(error.starts_with("alerter.yml:3:") && error.contains("colldown"), "{error}");
    }

    #[test]
    fn live_messages_need_a_sender() {
        let error = read("actions: {notify-user: live}\n").unwrap_err();
        assert!(error.contains("sender.legal_name"), "{error}");
        read("actions: {notify-user: live}\nsender: {legal_name: Example Pty Ltd, contact: help@example.test}\n")
            .unwrap();
    }

    #[test]
    fn limits_are_durations_as_prometheus_writes_them() {
        let config = read("limits: {settle: 1h30m, baseline: false}\n").unwrap();
        assert_eq!(config.limits.settle.as_secs(), 5400);
        assert!(!config.limits.baseline);
        assert!(read("limits: {settle: 90}\n").is_err());
    }
}
