//! Basiq's list of events, read at intervals: users and connections that are new or gone, and evidence about
//! connections. Basiq keeps events for 7 days; what happened while the exporter did not run is read afterwards.

use async_trait::async_trait;
use daemon::config::Duration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Found, News, Reporter, Source, news::Sweep};

/// Basiq's list of events.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often it is read. Each time costs at least ten requests: one for each type of event that matters.
    pub interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Duration(std::time::Duration::from_secs(5 * 60)) }
    }
}

impl super::Settings for Config {}

/// The source.
#[derive(Debug)]
pub(super) struct Events(Config);

impl Events {
    pub(super) fn new(config: &Config) -> Self {
        Self(*config)
    }
}

#[async_trait]
impl Source for Events {
    fn name(&self) -> String {
        "events".to_owned()
    }

    fn check(&self) -> Result<(), String> {
        if self.0.interval.0.is_zero() {
            return Err("discovery.events.interval: 0 is no interval; give one, for example 5m".to_owned());
        }
        Ok(())
    }

    async fn run(self: Box<Self>, reporter: Reporter) {
        let mut sweep = Sweep::from(reporter.mark);
        loop {
            match sweep.read(&reporter.client, reporter.now()).await {
                Ok((items, mark)) => {
                    if !reporter.tell(Found::News(News { items, mark: Some(mark) })).await {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "Basiq's events cannot be read; tried again"),
            }
            tokio::select! {
                () = reporter.context.stop.cancelled() => return,
                () = reporter.context.clock.sleep(self.0.interval.0) => {}
            }
        }
    }
}
