//! Rules evaluated by a Prometheus, or by whatever else answers its query API: Thanos, Mimir, VictoriaMetrics.
//!
//! Every interval each rule's expression is an instant query. What comes back is held against what was: pending
//! and firing are kept here, with the meaning of Prometheus, so that the server needs to know none of the rules.
//!
//! The absence of a result ends an alert only if the answer was complete (a warning, or a partial result, makes
//! it none) and the `sight` of the source says that the exporters were seen, warm and without a gap, for as long
//! as the rule looks back.

mod api;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use daemon::{Clock, Fatal, Timestamp, config};
use jiff::SignedDuration;
use promql::Sample;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Make, Row, Run, Source, files::Files, report::Pending};
use crate::{
    evidence::Look,
    plan::Said,
    rules::{Book, Changes, Failure, Kind, RuleSet, Schedule, Sight},
};
pub(crate) use api::Api;
use api::{Answer, AskError};

/// Closer queries cost more than they tell.
const LEAST: Duration = Duration::from_secs(1);

/// Rules evaluated by a server with Prometheus's query API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromqlConfig {
    /// The name under which its state is kept.
    pub name: String,
    /// The server's base address, before `/api/v1/query`. Mimir's ends in `/prometheus`, that of a cluster of
    /// VictoriaMetrics in `/select/0/prometheus`.
    pub url: String,
    /// Rule files: patterns relative to the configuration file.
    pub rules: Vec<String>,
    /// How often groups without an interval of their own are evaluated.
    pub interval: config::Duration,
    /// How long one query may take, in real time.
    pub timeout: config::Duration,
    /// An expression whose value is 1 while the server sees all that the exporters have to say. As long as it is
    /// anything else, or nothing, no alert ends.
    pub sight: String,
    /// The tenant, sent as the header of `tenant_header`.
    pub tenant: Option<String>,
    /// `X-Scope-OrgID` for Mimir, `THANOS-TENANT` for Thanos.
    pub tenant_header: String,
    /// Further parameters of each query, such as Thanos's `partial_response: "false"` or VictoriaMetrics's `nocache: "1"`.
    pub parameters: BTreeMap<String, String>,
    /// The file with the token to send, if it asks for one.
    pub bearer_token_file: Option<PathBuf>,
    /// The name to log in with, if it asks for name and password.
    pub username: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of this machine.
    pub ca_file: Option<PathBuf>,
    /// The certificate (PEM) to show, if it asks for one.
    pub cert_file: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    pub key_file: Option<PathBuf>,
}

impl Default for PromqlConfig {
    fn default() -> Self {
        Self {
            name: "promql".to_owned(),
            url: "http://127.0.0.1:9090".to_owned(),
            rules: vec!["rules/connections.yml".to_owned()],
            interval: config::Duration(super::embedded::INTERVAL),
            timeout: config::Duration(Duration::from_secs(10)),
            sight: r#"min(basiq_exporter_warm) * min(up{job=~"basiq-.*"})"#.to_owned(),
            tenant: None,
            tenant_header: "X-Scope-OrgID".to_owned(),
            parameters: BTreeMap::new(),
            bearer_token_file: None,
            username: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
        }
    }
}

/// Reads rules and secrets.
pub(super) fn make(settings: &PromqlConfig, make: &Make<'_>) -> Result<Box<dyn Source>, Fatal> {
    let wrong =
        |key: &str, why: &str| Fatal::settings(format!("sources.promql {:?}: {key}: {why}", settings.name));
    if settings.name.is_empty() {
        return Err(Fatal::settings("sources.promql: a source needs a name"));
    }
    if settings.interval.0 < LEAST {
        return Err(wrong("interval", &format!("must be {} or more", config::Duration(LEAST))));
    }
    if settings.timeout.0.is_zero() {
        return Err(wrong("timeout", "must be longer than nothing"));
    }
    if settings.sight.trim().is_empty() {
        return Err(wrong("sight", "must be an expression; without it the end of nothing can be told"));
    }
    let api = Api::new(settings, make.file)?;
    let files = Files::new(&settings.rules, make);
    let set = files.start()?;
    no_recording(&set).map_err(Fatal::settings)?;
    Ok(Box::new(Promql {
        name: settings.name.as_str().into(),
        interval: settings.interval.0,
        sight: settings.sight.clone(),
        api,
        files,
        set: Arc::new(set),
    }))
}

/// What a recording rule records would have to be written to the server, which no query can.
fn no_recording(set: &RuleSet) -> Result<(), String> {
    let recording = set.rules().filter(|(_, rule)| matches!(rule.kind, Kind::Recording(_)));
    let errors: Vec<_> = recording
        .map(|(group, rule)| {
            format!(
                "{}:{}: group {:?}, rule {:?}: a source of kind promql cannot record; load it in the server itself",
                group.file,
                rule.line,
                group.name,
                rule.name()
            )
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

struct Promql {
    name: Arc<str>,
    interval: Duration,
    sight: String,
    api: Api,
    files: Files,
    set: Arc<RuleSet>,
}

#[async_trait]
impl Source for Promql {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn warnings(&self) -> Vec<String> {
        self.set.warnings.clone()
    }

    async fn preview(self: Box<Self>, at: Timestamp, _look: &Look, state: Vec<Row>) -> Said {
        let (mut evaluation, mut changes) = self.begin(&state);
        changes.then(evaluation.evaluate(&self, at).await.changes);
        Said { firing: evaluation.book.firing(), ended: changes.ended }
    }

    async fn run(self: Box<Self>, run: Run) {
        let Run { clock, stop, reports, state, looks: _, mut reloads, measures } = run;
        let (mut evaluation, restored) = self.begin(&state);
        drop(state);
        let mut pending = Pending::new(restored);
        let every = SignedDuration::try_from(self.interval).unwrap_or(SignedDuration::from_secs(15));
        let mut next = clock.now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                reload = reloads.next() => {
                    let Some(reload) = reload else { return };
                    match self.files.load().and_then(|set| no_recording(&set).map(|()| set)) {
                        Ok(set) => {
                            pending.reloaded(evaluation.replace(Arc::new(set)));
                            reload.answer(Ok(()));
                        }
                        Err(reason) => reload.answer(Err(reason)),
                    }
                    continue;
                }
                () = clock.sleep_until(next) => {}
            }
            let at = clock.now();
            let began = std::time::Instant::now();
            let evaluated = tokio::select! {
                () = stop.cancelled() => return,
                evaluated = evaluation.evaluate(&self, at) => evaluated,
            };
            measures.evaluated(evaluated.rules, evaluated.failed, began.elapsed());
            next = after(next, every, &clock);
            let Some(committed) =
                pending.report(at, evaluated.changes, &evaluation.book, &reports, &stop).await
            else {
                return;
            };
            if committed && evaluated.failed == 0 && evaluated.complete {
                measures.succeeded(&self.name, at);
            }
        }
    }
}

impl Promql {
    /// What goes on from what the store kept.
    fn begin(&self, state: &[Row]) -> (Evaluation, Changes) {
        let mut book = Book::new(self.name.clone(), self.set.clone());
        let restored = book.restore(state.iter().map(|(key, body)| (&**key, &**body)));
        let schedule = Schedule::new(self.set.groups.len());
        let interval = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX);
        (Evaluation { schedule, interval, book, told: Told::default() }, restored)
    }
}

/// The next time; what was missed is not made up for.
fn after(last: Timestamp, every: SignedDuration, clock: &Clock) -> Timestamp {
    let (next, now) = (last + every, clock.now());
    if next <= now || next.duration_since(now) > every { now + every } else { next }
}

/// What goes on from one evaluation to the next.
struct Evaluation {
    schedule: Schedule,
    /// Milliseconds.
    interval: i64,
    book: Book,
    told: Told,
}

/// What one evaluation came to.
struct Evaluated {
    changes: Changes,
    rules: usize,
    failed: usize,
    /// All answers were complete.
    complete: bool,
}

impl Evaluation {
    fn replace(&mut self, set: Arc<RuleSet>) -> Changes {
        self.schedule.replace(set.groups.len(), set.looks_farther_than(self.book.set()));
        self.book.replace(set)
    }

    /// Asks for what is due at `at`. What could not be asked stays as it is.
    async fn evaluate(&mut self, source: &Promql, at: Timestamp) -> Evaluated {
        let mut done = Evaluated { changes: Changes::default(), rules: 0, failed: 0, complete: true };
        let now = at.as_millisecond();
        let sight = self.sight(source, now).await;
        self.schedule.look(now, self.interval, sight);
        self.book.resume(now, &mut done.changes);
        let set = self.book.set().clone();
        for (number, group) in set.groups.iter().enumerate() {
            if !self.schedule.due(number, group, now, self.interval) {
                continue;
            }
            let offset = i64::try_from(group.query_offset.as_millis()).unwrap_or(0);
            for rule in &group.rules {
                done.rules += 1;
                let asked = source.api.ask(rule.expr.text(), now.saturating_sub(offset)).await;
                let applied = asked.map_err(Wrong::Asked).and_then(|answer| {
                    let Answer { samples, complete } = answer;
                    done.complete &= complete;
                    let may_end = complete && self.schedule.may_end(now, rule.range_ms());
                    self.book
                        .apply(rule, group.limit, samples, now, may_end, &mut done.changes)
                        .map_err(Wrong::Applied)
                });
                if let Err(wrong) = &applied {
                    done.failed += 1;
                    if let Wrong::Applied(failure) = wrong {
                        tracing::warn!(rule = rule.name(), %failure, "a rule could not be evaluated; its alerts stay as they are");
                    }
                }
                self.told.of_server(&source.name, applied.as_ref().err());
            }
        }
        if done.rules > 0 {
            self.book.evaluated(now, &mut done.changes);
        }
        self.told.of_partial(&source.name, done.complete);
        done
    }

    /// Whether the server sees the exporters.
    async fn sight(&mut self, source: &Promql, now: i64) -> Sight {
        let asked = source.api.ask(&source.sight, now).await;
        let seen = |answer: &Answer| {
            answer.complete && matches!(answer.samples.as_slice(), [Sample { value, .. }] if *value == 1.0)
        };
        let clear = asked.as_ref().is_ok_and(seen);
        if let Err(error) = asked {
            self.told.of_server(&source.name, Some(&Wrong::Asked(error)));
        } else {
            self.told.of_sight(&source.name, clear);
        }
        if clear { Sight::Clear } else { Sight::Blind }
    }
}

enum Wrong {
    Asked(AskError),
    Applied(Failure),
}

/// What the log was told of the server, so that it is told once.
#[derive(Default)]
struct Told {
    unreachable: bool,
    partial: bool,
    blind: bool,
}

impl Told {
    fn of_server(&mut self, source: &Arc<str>, wrong: Option<&Wrong>) {
        match wrong {
            Some(Wrong::Asked(error)) if !self.unreachable => {
                tracing::warn!(%source, %error, "a query has no answer; nothing ends until it has");
                self.unreachable = true;
            }
            None if self.unreachable => {
                tracing::info!(%source, "queries are answered again");
                self.unreachable = false;
            }
            _ => {}
        }
    }

    fn of_partial(&mut self, source: &Arc<str>, complete: bool) {
        if !complete && !self.partial {
            tracing::warn!(%source, "answers are partial or come with warnings; they end nothing");
        }
        self.partial = !complete;
    }

    fn of_sight(&mut self, source: &Arc<str>, clear: bool) {
        if !clear && !self.blind {
            tracing::info!(%source, "the server does not see all exporters, or they are not warm; nothing ends until it does");
        }
        self.blind = !clear;
    }
}
