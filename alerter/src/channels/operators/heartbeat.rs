//! A dead man's switch: an address of a service that raises the alarm when it is no longer called. It is
//! called while the watchdog alert fires, which is always, as long as rules are evaluated.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
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
    /// The file that holds the address; whoever knows it can keep the alarm silent.
    pub url_file: PathBuf,
    /// The alert that stands for "all is evaluated"; `Watchdog` where not set.
    #[serde(default)]
    pub alertname: Option<String>,
    /// How often the address is called; every minute where not set.
    #[serde(default)]
    pub every: Option<daemon::config::Duration>,
    /// How long the service may take; 10 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Operators> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Operators>, SettingsError> {
        let address = http::secret("url_file", &parts.path(&self.url_file))?;
        Ok(Arc::new(Heartbeat {
            url: http::url(address.expose()).map_err(|error| {
                SettingsError::new(error.why.replace("`url`", "the address in `url_file`"))
            })?,
            client: http::client(self.timeout.map_or(Duration::from_secs(10), |timeout| timeout.0))?,
            alertname: self.alertname.unwrap_or_else(|| "Watchdog".to_owned()),
            every: self.every.map_or(Duration::from_secs(60), |every| every.0),
        }))
    }
}

struct Heartbeat {
    url: Url,
    client: reqwest::Client,
    alertname: String,
    every: Duration,
}

#[async_trait]
impl Operators for Heartbeat {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let said = |detail: &str| Ok(Receipt { remote: String::new(), detail: detail.to_owned() });
        if notice.labels.get("alertname") != Some(&self.alertname) {
            return said("not passed on: a heartbeat is only for the watchdog");
        }
        if notice.ended.is_some() {
            return said("the heartbeat stops, which is the alarm");
        }
        http::ask("the heartbeat's service", Effect::Repeatable, self.client.get(self.url.clone())).await?;
        said("the heartbeat's service was called")
    }

    fn repeat(&self) -> Option<Repeat> {
        Some(Repeat { every: self.every, only_while_heard: true })
    }
}
