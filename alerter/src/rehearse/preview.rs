//! `basiq-alerter preview`: what would be done now, and what would follow if everything stayed as it is.

use std::{collections::HashMap, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use daemon::{Clock, Fatal};
use serde_json::json;

use super::{
    Record, Stage,
    replay::{MAX_LINES, duration},
};
use crate::{
    app,
    channels::message::TEMPLATES,
    config::{Config, Mode},
    demand::{Action, StateRow},
    plan::{Saved, Settings, after},
    sources::Sources,
};

/// Options of `preview`.
#[derive(Clone, Debug, clap::Args)]
pub struct Preview {
    /// Go on so long as if everything stayed as it is: what fails goes on failing, and no refresh helps.
    #[arg(long, default_value = "24h", value_parser = duration)]
    within: Duration,
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// Looks once at everything and says what would be done. Writes nothing, and sends nothing to anybody.
///
/// # Errors
/// Settings that cannot work, or a store that cannot be read.
pub async fn preview(
    options: &Preview,
    config: &Config,
    file: Option<&Path>,
    clock: &Clock,
) -> Result<String, Fatal> {
    let sources = Sources::load(&config.sources, &config.exporters, file, &TEMPLATES)?;
    let now = clock.now();
    let mut kept = HashMap::new();
    let mut saved = Saved { born: now, ..Saved::default() };
    let mut known = settings(config);
    let fresh = config.store.chosen()?.absent(file).is_some();
    if !fresh {
        let store = app::store(config, file, clock).await?;
        // Who was forgotten stays so.
        known.salt = store.salt().await.map_err(Fatal::running)?;
        saved = store.load(now).await.map_err(Fatal::running)?;
        for name in sources.names() {
            let rows = store.state(&name).await.map_err(Fatal::running)?;
            let rows = rows
                .into_iter()
                .map(StateRow::into_parts)
                .filter_map(|(key, body)| Some((key, body?)))
                .collect();
            kept.insert(name, rows);
        }
    }
    let (said, snapshot) = sources.preview(now, kept).await;
    let (seen, warm, fails) = (snapshot.as_of.is_some(), snapshot.warm, snapshot.connections.len());
    let mut stage = Stage::new(known, saved).map_err(Fatal::running)?;
    stage.look(now, said, Arc::new(snapshot));
    let first = stage.record().played().len();
    let held = stage.record().all_held();
    stage.stand_still(after(now, options.within));
    let record = stage.record();
    let (baseline, open) = stage.open();
    if options.json {
        let played = record.played();
        let (now, later) = played.split_at(first.min(played.len()));
        let value = json!({
            "exporters_seen": seen, "warm": warm, "connections": fails, "baseline": baseline, "open": open,
            "now": now, "held": held, "later": later,
        });
        return serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(Fatal::running);
    }
    let mut text = String::new();
    if !seen {
        text.push_str("not every exporter can be read: nothing is verified, so nothing would be done\n");
    } else if !warm {
        text.push_str("the exporter is not warm yet: what needs evidence waits for it\n");
    }
    if fresh {
        text.push_str(
            "there is no store yet: what fails already would be baseline, shown and without effect\n",
        );
    }
    for action in [Action::NotifyUser, Action::RefreshConnection, Action::FileTicket] {
        match config.actions.mode(action) {
            Mode::Live => {}
            mode => {
                let _ = writeln!(text, "{} is {}", action.as_str(), mode.as_str());
            }
        }
    }
    let _ = writeln!(
        text,
        "{fails} connections are shown; {open} incidents open, and {baseline} of the baseline"
    );
    let _ = writeln!(text, "\nnow: {}", of(first));
    text.push_str(&lines(record, 0, first));
    if held > 0 {
        let _ = writeln!(text, "{held} messages would be held back until a person releases them");
    }
    let later = record.played().len() - first;
    let within = daemon::config::format_duration(options.within);
    let _ = writeln!(text, "\nwithin {within}, if everything stays as it is: {}", of(later));
    text.push_str(&lines(record, first, later));
    Ok(text)
}

fn of(number: usize) -> String {
    match number {
        0 => "nothing".to_owned(),
        number => number.to_string(),
    }
}

fn lines(record: &Record, from: usize, number: usize) -> String {
    let all = record.lines();
    let mut text: String =
        all.lines().skip(from).take(number.min(MAX_LINES)).map(|line| format!("  {line}\n")).collect();
    if number > MAX_LINES {
        let _ = writeln!(text, "  and {} more; --json lists them all", number - MAX_LINES);
    }
    text
}

/// The planner's settings; a channel that is not named yet has its kind for a name.
pub(super) fn settings(config: &Config) -> Settings {
    let mut routes = config.routes.clone();
    routes.user.get_or_insert_with(|| "user".to_owned());
    routes.desk.get_or_insert_with(|| "desk".to_owned());
    if routes.operators.is_empty() {
        routes.operators.push("operators".to_owned());
    }
    Settings {
        environment: config.environment.clone(),
        limits: config.limits.clone(),
        actions: config.actions,
        routes,
        salt: daemon::Secret::default(),
    }
}
