//! `basiq-alerter replay`: what the rules would have led to, over what was seen in the past.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use daemon::{Clock, Fatal, Timestamp, config};
use serde_json::json;

use super::{Stage, history::History};
use crate::{
    channels::message::TEMPLATES,
    config::{Config, Mode},
    plan::{Said, Saved, Settings},
    rules::{self, Book, Changes, Engine, RuleSet},
    sources::{Api, PromqlConfig, cycle},
};

/// More lines than this are left to `--json`.
pub(super) const MAX_LINES: usize = 500;

/// Options of `replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct Replay {
    /// From when: a time such as 2026-11-22T00:00:00Z, or how long ago, such as 7d.
    #[arg(long)]
    from: String,
    /// Until when, in the same form; now if it is not said.
    #[arg(long)]
    to: Option<String>,
    /// A folder of recorded scrapes, files named like 1795356601-metrics.prom and 1795356601-connections.prom.
    #[arg(long, conflicts_with = "prometheus")]
    folder: Option<PathBuf>,
    /// The server that scraped /metrics and /metrics/connections; the first of `sources.promql` if it is not said.
    #[arg(long)]
    prometheus: Option<String>,
    /// How far the looks at a server's memory are apart.
    #[arg(long, default_value = "1m", value_parser = duration)]
    step: Duration,
    /// Rule files to try in place of those of the configuration.
    #[arg(long)]
    rules: Vec<PathBuf>,
    /// List everything one by one as well.
    #[arg(long)]
    list: bool,
    /// For programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).map_err(|error| error.to_string())
}

fn time(text: &str, now: Timestamp) -> Result<Timestamp, Fatal> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = duration(text).ok().and_then(|ago| jiff::SignedDuration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        Fatal::settings(format!(
            "{text:?} is neither a time like 2026-11-22T00:00:00Z nor a duration like 7d"
        ))
    })
}

/// Plays the past; says what would have been done.
///
/// # Errors
/// Rules or settings that cannot work, or a past that cannot be read.
pub async fn replay(
    options: &Replay,
    config: &Config,
    file: Option<&std::path::Path>,
    clock: &Clock,
) -> Result<String, Fatal> {
    let now = clock.now();
    let from = time(&options.from, now)?;
    let to = options.to.as_deref().map_or(Ok(now), |to| time(to, now))?;
    if from >= to || options.step.is_zero() {
        return Err(Fatal::settings("--from must be before --to, and --step longer than nothing"));
    }
    let set = Arc::new(load(options, config, file)?);
    let api;
    let mut history = match &options.folder {
        Some(folder) => History::folder(folder, from, to),
        None => {
            api = Api::new(&server(options, config)?, file)?;
            History::server(&api, &set, from, to, options.step)
        }
    }
    .map_err(Fatal::settings)?;

    let mut stage =
        Stage::new(settings(config), Saved { born: from, ..Saved::default() }).map_err(Fatal::running)?;
    let mut engine = Engine::new(Book::new("replay".into(), set.clone()));
    let mut all = Looks::default();
    let mut last = None;
    while let Some((look, snapshot)) = history.next().await.map_err(Fatal::running)? {
        let every = last.map_or(options.step, |last| crate::plan::since(look.at, last));
        last = Some(look.at);
        all.number += 1;
        all.unclear += usize::from(!look.clear);
        let mut changes = Changes::default();
        let interval = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let evaluated = cycle(&mut engine, &look, interval, &mut changes);
        all.failures += evaluated.failures.len();
        let Changes { firing, ended, state: _ } = changes;
        if all.number == 1 {
            all.failing = snapshot.connections.len();
        }
        stage.look(look.at, vec![Said { firing, ended }], Arc::new(snapshot));
    }
    stage.pass(to);
    answer(options, from, to, &all, &stage)
}

#[derive(Default)]
struct Looks {
    number: usize,
    unclear: usize,
    failures: usize,
    /// Connections on the first look.
    failing: usize,
}

fn answer(
    options: &Replay,
    from: Timestamp,
    to: Timestamp,
    all: &Looks,
    stage: &Stage,
) -> Result<String, Fatal> {
    let record = stage.record();
    let (baseline, open) = stage.open();
    if options.json {
        let value = json!({
            "from": from, "to": to, "looks": all.number, "looks_not_clear": all.unclear,
            "evaluations_failed": all.failures, "baseline": baseline, "open": open,
            "days": record.days(), "played": record.played(),
        });
        return serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(Fatal::running);
    }
    let mut text = format!(
        "{} looks from {from} to {to}, {} of them not clear (nothing ends on those)\n",
        all.number, all.unclear
    );
    if all.failures > 0 {
        let _ = writeln!(text, "{} evaluations of rules failed; the log says why", all.failures);
    }
    let _ = writeln!(
        text,
        "{} connections were shown at the beginning; what had failed for long by then is baseline, as after an installation",
        all.failing
    );
    text.push('\n');
    text.push_str(&record.table());
    let _ = writeln!(text, "\nat the end: {open} incidents open, and {baseline} of the baseline");
    text.push_str("what refreshes would have mended is not known: the past goes on as it went\n");
    if options.list {
        text.push('\n');
        text.push_str(&record.lines());
    }
    Ok(text)
}

fn load(options: &Replay, config: &Config, file: Option<&std::path::Path>) -> Result<RuleSet, Fatal> {
    let files = if options.rules.is_empty() {
        let folder = file.and_then(|file| file.parent()).map(PathBuf::from).unwrap_or_default();
        let sources = &config.sources;
        let patterns: Vec<String> = sources
            .embedded
            .iter()
            .map(|source| &source.rules)
            .chain(sources.promql.iter().map(|source| &source.rules))
            .flatten()
            .cloned()
            .collect();
        if patterns.is_empty() {
            return Err(Fatal::settings("the configuration names no rule files; name them with --rules"));
        }
        rules::files(&folder, &patterns).map_err(Fatal::settings)?
    } else {
        options.rules.clone()
    };
    RuleSet::load(&files, Some(&TEMPLATES)).map_err(Fatal::settings)
}

fn server(options: &Replay, config: &Config) -> Result<PromqlConfig, Fatal> {
    let known = &config.sources.promql;
    match (&options.prometheus, known.first()) {
        (None, Some(first)) => Ok(first.clone()),
        (None, None) => Err(Fatal::settings(
            "name the past: --folder with recorded scrapes, or --prometheus with the address of a server",
        )),
        // The login of the configuration goes nowhere else than it says.
        (Some(url), _) => Ok(known
            .iter()
            .find(|source| source.url == *url)
            .cloned()
            .unwrap_or_else(|| PromqlConfig { url: url.clone(), ..PromqlConfig::default() })),
    }
}

/// The settings of the configuration, with everything live that is not off.
fn settings(config: &Config) -> Settings {
    let live = |mode: Mode| if mode == Mode::Off { Mode::Off } else { Mode::Live };
    let mut settings = super::preview::settings(config);
    settings.actions.notify_user = live(settings.actions.notify_user);
    settings.actions.refresh_connection = live(settings.actions.refresh_connection);
    settings.actions.file_ticket = live(settings.actions.file_ticket);
    settings
}
