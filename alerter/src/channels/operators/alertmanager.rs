//! Alertmanager: notices as alerts, which it groups, routes and silences as it does others.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use daemon::{Clock, Secret, Timestamp};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::channels::{
    DeliveryError, Notice, Operators, Parts, Plugin, Receipt, Repeat, SettingsError,
    http::{self, Effect},
};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// Alertmanager's address, without `/api/v2/alerts`. `http://` only to this machine.
    pub url: String,
    /// The user of its basic authentication, if any.
    #[serde(default)]
    pub username: Option<String>,
    /// The file with that user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How often what lasts is sent again; every minute where not set, as Prometheus does.
    #[serde(default)]
    pub repeat_every: Option<daemon::config::Duration>,
    /// After this long without a repetition Alertmanager takes the alert for over; 1 h where not set, so that
    /// an alerter that is away for a while ends nothing. At least four times `repeat_every`.
    #[serde(default)]
    pub expires_after: Option<daemon::config::Duration>,
    /// How long Alertmanager may take; 10 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Operators> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Operators>, SettingsError> {
        let login = match (self.username, self.password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some((user, http::secret("password_file", &parts.path(file))?)),
            _ => return Err(SettingsError::new("`username` and `password_file` go together")),
        };
        let repeat_every = self.repeat_every.map_or(Duration::from_secs(60), |every| every.0);
        let expires_after = self.expires_after.map_or(Duration::from_secs(3600), |after| after.0);
        if repeat_every.is_zero() || expires_after < repeat_every.saturating_mul(4) {
            return Err(SettingsError::new("`expires_after` must be at least four times `repeat_every`"));
        }
        Ok(Arc::new(Alertmanager {
            url: http::url(&format!("{}/api/v2/alerts", self.url.trim_end_matches('/')))?,
            client: http::client(self.timeout.map_or(Duration::from_secs(10), |timeout| timeout.0))?,
            login,
            repeat_every,
            expires_after,
            clock: parts.clock.clone(),
            environment: parts.environment.clone(),
        }))
    }
}

struct Alertmanager {
    url: Url,
    client: reqwest::Client,
    login: Option<(String, Secret)>,
    repeat_every: Duration,
    expires_after: Duration,
    clock: Clock,
    environment: Arc<str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

#[async_trait]
impl Operators for Alertmanager {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let alert = self.alert(notice);
        let mut request = self.client.post(self.url.clone()).json(&[alert]);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose()));
        }
        http::ask("Alertmanager", Effect::Repeatable, request).await?;
        let what = if notice.ended.is_some() { "the end" } else { "the alert" };
        Ok(Receipt { remote: String::new(), detail: format!("Alertmanager took {what}") })
    }

    fn repeat(&self) -> Option<Repeat> {
        Some(Repeat { every: self.repeat_every, only_while_heard: false })
    }
}

impl Alertmanager {
    fn alert<'a>(&'a self, notice: &'a Notice) -> Alert<'a> {
        // One alert is one label set: the end must carry the labels of the beginning.
        let mut labels: BTreeMap<&str, &str> = notice
            .labels
            .iter()
            .filter(|(name, value)| is_label(name) && !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        labels.entry("alertname").or_insert("BasiqAlerter");
        labels.entry("environment").or_insert(&self.environment);
        let annotations =
            BTreeMap::from([("summary", notice.summary.as_str()), ("description", notice.description.as_str())]);
        let lasts = SignedDuration::try_from(self.expires_after).unwrap_or(SignedDuration::from_hours(1));
        // Alertmanager refuses an end before the beginning.
        let ends_at = notice.ended.unwrap_or_else(|| self.clock.now() + lasts).max(notice.since);
        Alert { labels, annotations, starts_at: notice.since, ends_at }
    }
}

/// A label name as Prometheus's data model has it; one wrong name makes Alertmanager refuse the alert.
fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
