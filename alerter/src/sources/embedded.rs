//! Rules evaluated here, over what the exporters show: the default, which needs no Prometheus.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use daemon::{Fatal, Timestamp, config};
use promql::METRIC_NAME;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Make, Row, Run, Source, files::Files, report::Pending};
use crate::{
    evidence::{Look, Seen},
    plan::Said,
    rules::{Book, Changes, Engine, Evaluated, RuleSet, Sight},
};

/// Prometheus's usual interval for much that happens.
pub(super) const INTERVAL: Duration = Duration::from_secs(15);
/// Closer looks cost more than they tell.
const LEAST: Duration = Duration::from_secs(1);

/// One evaluation of rule files in process.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// The name under which its state is kept.
    pub name: String,
    /// Rule files: patterns relative to the configuration file.
    pub rules: Vec<String>,
    /// How often exporters are looked at and groups without an interval of their own are evaluated.
    pub interval: config::Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        let rules = vec!["rules/*.yml".to_owned()];
        Self { name: "embedded".to_owned(), rules, interval: config::Duration(INTERVAL) }
    }
}

/// Reads the rules.
pub(super) fn make(settings: &EmbeddedConfig, make: &Make<'_>) -> Result<Box<dyn Source>, Fatal> {
    if settings.name.is_empty() {
        return Err(Fatal::settings("sources.embedded: a source needs a name"));
    }
    if settings.interval.0 < LEAST {
        let least = config::Duration(LEAST);
        return Err(Fatal::settings(format!(
            "sources.embedded {:?}: interval must be {least} or more",
            settings.name
        )));
    }
    let files = Files::new(&settings.rules, make);
    let set = files.start()?;
    Ok(Box::new(Embedded {
        name: settings.name.as_str().into(),
        interval: i64::try_from(settings.interval.0.as_millis()).unwrap_or(i64::MAX),
        files,
        set: Arc::new(set),
    }))
}

struct Embedded {
    name: Arc<str>,
    /// Milliseconds.
    interval: i64,
    files: Files,
    set: Arc<RuleSet>,
}

#[async_trait]
impl Source for Embedded {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn warnings(&self) -> Vec<String> {
        self.set.warnings.clone()
    }

    async fn preview(self: Box<Self>, _at: Timestamp, look: &Look, state: Vec<Row>) -> Said {
        let mut engine = Engine::new(Book::new(self.name.clone(), self.set.clone()));
        let mut changes = engine.book_mut().restore(state.iter().map(|(key, body)| (&**key, &**body)));
        cycle(&mut engine, look, self.interval, &mut changes);
        Said { firing: engine.book().firing(), ended: changes.ended }
    }

    async fn run(self: Box<Self>, run: Run) {
        let Run { clock: _, stop, reports, state, mut looks, mut reloads, measures } = run;
        let mut engine = Engine::new(Book::new(self.name.clone(), self.set.clone()));
        let restored = engine.book_mut().restore(state.iter().map(|(key, body)| (&**key, &**body)));
        let mut pending = Pending::new(restored);
        drop(state);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                reload = reloads.next() => {
                    let Some(reload) = reload else { return };
                    match self.files.load() {
                        Ok(set) => {
                            pending.reloaded(engine.replace(Arc::new(set)));
                            reload.answer(Ok(()));
                        }
                        Err(reason) => reload.answer(Err(reason)),
                    }
                    continue;
                }
                changed = looks.changed() => if changed.is_err() { return },
            }
            let Some(look) = looks.borrow_and_update().clone() else { continue };
            // Evaluation is work for a processor, not for the tasks that wait on sockets.
            let interval = self.interval;
            let done = tokio::task::spawn_blocking(move || {
                let mut changes = Changes::default();
                let began = std::time::Instant::now();
                let evaluated = cycle(&mut engine, &look, interval, &mut changes);
                (engine, look, changes, evaluated, began.elapsed())
            });
            let Ok((back, look, changes, evaluated, took)) = done.await else {
                tracing::error!(source = %self.name, "the evaluation of rules broke off; the alerter stops");
                stop.cancel();
                return;
            };
            engine = back;
            measures.evaluated(evaluated.rules, evaluated.failures.len(), took);
            let reported = pending.report(look.at, changes, engine.book(), &reports, &stop).await;
            let Some(committed) = reported else { return };
            if committed && look.seen.iter().all(|seen| seen.page.is_ok()) && evaluated.failures.is_empty() {
                measures.succeeded(&self.name, look.at);
            }
        }
    }
}

/// Appends a look and evaluates what is due.
pub(crate) fn cycle(engine: &mut Engine, look: &Look, interval: i64, changes: &mut Changes) -> Evaluated {
    let at = look.at.as_millisecond();
    for seen in &look.seen {
        append(engine, seen, at);
    }
    let sight = if look.clear { Sight::Clear } else { Sight::Blind };
    let evaluated = engine.evaluate(at, interval, sight, changes);
    for (rule, failure) in &evaluated.failures {
        tracing::warn!(rule, %failure, "a rule could not be evaluated; its alerts stay as they are");
    }
    engine.window_mut().gc(at);
    evaluated
}

/// Appends a page as Prometheus would: its series with `job` and `instance`, `up`, and staleness markers for
/// what is gone.
fn append(engine: &mut Engine, seen: &Seen, at: i64) {
    let (job, instance) = (seen.target.job, &*seen.target.instance);
    let target = format!("{job} {instance}");
    let mut append = engine.window_mut().begin(&target, at);
    if let Ok(page) = &seen.page {
        for run in page.runs() {
            if append.reads(run.metric()) {
                run.samples.iter().for_each(|(labels, value)| append.add_joined(labels, run.own, *value));
            }
        }
    }
    let up = if seen.page.is_ok() { 1.0 } else { 0.0 };
    let own = |name| [(METRIC_NAME, name), ("job", job), ("instance", instance)];
    append.add_pairs(&own("up"), up);
    append.add_pairs(&own("scrape_duration_seconds"), seen.seconds);
    append.finish();
}
