//! Where demands come from.
//!
//! A source is a plugin: one file with its section of the configuration and a [`Source`], and one line in
//! [`SourcesConfig::sources`], which takes the configuration apart completely, so that a forgotten one does
//! not compile. Sources may be mixed; each has a name, under which its state is kept.

mod embedded;
mod files;
mod measures;
mod promql;
mod push;
mod report;
mod send;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use daemon::{CancellationToken, Clock, Fatal, Reload, Timestamp};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};

pub use embedded::EmbeddedConfig;
pub(crate) use embedded::cycle;
pub use measures::Measures;
pub(crate) use promql::Api;
pub use promql::PromqlConfig;
pub(crate) use push::MAX_BODY;
pub use push::PushConfig;
pub(crate) use send::Sender;

use crate::{
    demand::Report,
    evidence::{ExporterConfig, Look, Scraper, Snapshot},
    plan::Said,
};

/// The section `sources`: a list for each kind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesConfig {
    /// Rules evaluated here, over what the exporters show.
    pub embedded: Vec<EmbeddedConfig>,
    /// Rules evaluated by a Prometheus, or by whatever else answers its queries.
    pub promql: Vec<PromqlConfig>,
    /// Alerts that a Prometheus or an Alertmanager sends here; off unless it is set.
    pub push: Option<PushConfig>,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self { embedded: vec![EmbeddedConfig::default()], promql: Vec::new(), push: None }
    }
}

/// A state row of the store: key and body.
pub type Row = (String, Vec<u8>);

/// What a source is run with.
pub(crate) struct Run {
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    pub(crate) reports: Sender,
    /// What the store kept of it.
    pub(crate) state: Vec<Row>,
    /// Looks at the exporters as they are made.
    pub(crate) looks: watch::Receiver<Option<Arc<Look>>>,
    /// Asks to read its files again.
    pub(crate) reloads: daemon::Reloads,
    /// What it counts.
    pub(crate) measures: Measures,
}

/// One configured source.
#[async_trait]
pub(crate) trait Source: Send {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;
    /// Where others can send to it, already behind its own authentication.
    fn router(&mut self) -> Option<axum::Router> {
        None
    }
    /// What is odd about its files, one sentence each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// Everything that it would report as firing or ended at `at`, from what the store kept of it and one look at
    /// the exporters. Nobody else notices.
    async fn preview(self: Box<Self>, at: Timestamp, look: &Look, state: Vec<Row>) -> Said;
    /// Reports until it is stopped.
    async fn run(self: Box<Self>, run: Run);
}

/// What a source is made with.
pub(crate) struct Make<'a> {
    /// The configuration file, to whose folder paths are relative.
    pub(crate) file: Option<&'a Path>,
    /// The message templates that there are.
    pub(crate) templates: Arc<[String]>,
}

impl SourcesConfig {
    fn sources(&self, make: &Make<'_>) -> Vec<Result<Box<dyn Source>, Fatal>> {
        let Self { embedded, promql, push } = self;
        let mut sources = Vec::new();
        sources.extend(embedded.iter().map(|config| embedded::make(config, make)));
        sources.extend(promql.iter().map(|config| promql::make(config, make)));
        sources.extend(push.iter().map(|config| push::make(config, make)));
        sources
    }

    /// How often the exporters are looked at: as often as the source that wants it most.
    fn interval(&self) -> std::time::Duration {
        let wanted = self.embedded.iter().map(|config| config.interval.0).min();
        wanted.unwrap_or(embedded::INTERVAL)
    }
}

/// All configured sources, loaded and ready to run.
pub struct Sources {
    sources: Vec<Box<dyn Source>>,
    scraper: Scraper,
}

/// What the sources need from the rest of the alerter.
pub struct Wiring {
    /// The time.
    pub clock: Clock,
    /// Ends them.
    pub stop: CancellationToken,
    /// Asks them to read their files again.
    pub reload: Reload,
    /// Takes what they report. State is to be committed with what is planned from it.
    pub reports: mpsc::Sender<Report>,
    /// The state rows of the store, by name of the source, once this process plans: until then the exporters are
    /// looked at, and no source runs.
    pub state: oneshot::Receiver<HashMap<Arc<str>, Vec<Row>>>,
    /// Gets what is known of connections and banks.
    pub evidence: watch::Sender<Arc<Snapshot>>,
    /// What is counted.
    pub measures: Measures,
    /// The alerter's own metrics, which rules for operators are about.
    pub own: exposition::Page,
}

impl Sources {
    /// Loads all sources: rule files, secrets, addresses. Paths are relative to `file`.
    ///
    /// # Errors
    /// All that is wrong, in one line.
    pub fn load(
        config: &SourcesConfig,
        exporters: &[ExporterConfig],
        file: Option<&Path>,
        templates: &[&str],
    ) -> Result<Self, Fatal> {
        let make = Make { file, templates: templates.iter().map(|&name| name.to_owned()).collect() };
        let (mut sources, mut errors) = (Vec::new(), Vec::new());
        for source in config.sources(&make) {
            match source {
                Ok(source) => sources.push(source),
                Err(error) => errors.push(error.to_string()),
            }
        }
        let mut names = HashSet::new();
        for source in &sources {
            if !names.insert(source.name().clone()) {
                errors.push(format!("sources: two have the name {:?}; state is kept by name", source.name()));
            }
            for warning in source.warnings() {
                tracing::warn!(source = %source.name(), "{warning}");
            }
        }
        let scraper = match Scraper::new(exporters, file, config.interval()) {
            Ok(scraper) => Some(scraper),
            Err(error) => {
                errors.push(error.to_string());
                None
            }
        };
        match scraper {
            Some(scraper) if errors.is_empty() => Ok(Self { sources, scraper }),
            _ => Err(Fatal::settings(errors.join("\n"))),
        }
    }

    /// Their names, under which state rows are kept.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.sources.iter().map(|source| source.name().clone()).collect()
    }

    /// Where others can send alerts to, behind its own authentication; `None` if no source takes any.
    pub fn router(&mut self) -> Option<axum::Router> {
        let routers = self.sources.iter_mut().filter_map(|source| source.router());
        routers.reduce(axum::Router::merge)
    }

    /// What all sources would report at `at`, and what is known of the world then.
    pub async fn preview(
        mut self,
        at: Timestamp,
        mut state: HashMap<Arc<str>, Vec<Row>>,
    ) -> (Vec<Said>, Snapshot) {
        let (look, snapshot) = self.scraper.look(at).await;
        let mut said = Vec::new();
        for source in self.sources {
            let rows = state.remove(source.name()).unwrap_or_default();
            said.push(source.preview(at, &look, rows).await);
        }
        (said, snapshot)
    }

    /// Runs all sources, and the looks at the exporters, until stopped.
    pub async fn run(self, wiring: Wiring) {
        let Wiring { clock, stop, reload, reports, state, evidence, measures, own } = wiring;
        let (looks, looked) = watch::channel(None);
        let sources = async {
            let state = tokio::select! {
                () = stop.cancelled() => return,
                state = state => state,
            };
            // Without an answer the daemon ends.
            let Ok(mut state) = state else { return };
            let runs = self.sources.into_iter().map(|source| {
                let name = source.name().clone();
                source.run(Run {
                    clock: clock.clone(),
                    stop: stop.clone(),
                    reports: Sender::new(name.clone(), reports.clone()),
                    state: state.remove(&name).unwrap_or_default(),
                    looks: looked.clone(),
                    reloads: reload.subscribe("rules"),
                    measures: measures.clone(),
                })
            });
            join_all(runs.collect::<Vec<_>>()).await;
        };
        let scraper = self.scraper.with_own(own);
        tokio::join!(scraper.run(clock.clone(), stop.clone(), looks, evidence), sources);
    }
}
