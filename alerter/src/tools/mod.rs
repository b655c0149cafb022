//! The commands for people: what is open, what was done and why, and what to do about it.

mod arguments;
mod byhand;
mod carry;
mod steer;
mod words;

use std::{fmt::Write as _, io::Write as _, path::Path};

use daemon::{Clock, Fatal};

pub use self::arguments::{
    BaselineTool, Check, HoldTool, IncidentsTool, OutboxTool, Paused, Pausing, Test, Tool,
};
use self::{
    byhand::{Hand, by_hand},
    words::{as_json, card, line, one_line},
};
use crate::{
    app,
    channels::message::TEMPLATES,
    config::Config,
    demand::Action,
    evidence,
    incidents::Incident,
    plan::Command,
    rehearse::{preview, replay},
    rules, send_test,
    store::{Effect, EffectFilter, EffectState, IncidentFilter, Store, StoreError},
};

/// Runs a tool and prints what it found.
///
/// # Errors
/// The store cannot be opened or read, or there is nothing of that name.
pub async fn run(tool: Tool, config: &Config, file: Option<&Path>, clock: &Clock) -> Result<(), Fatal> {
    match &tool {
        Tool::Check(Check::Config) => {
            app::check(config, file, clock)?;
            return print("the configuration can be used\n");
        }
        Tool::Check(Check::Rules { files }) => {
            return of_rules(|out| rules::tool::check(files, &TEMPLATES, out), "a rule file was refused");
        }
        Tool::Test(Test::Rules { files }) => {
            return of_rules(|out| rules::tool::test(files, out), "a test failed");
        }
        Tool::Preview(options) => return print(&preview(options, config, file, clock).await?),
        Tool::Replay(options) => return print(&replay(options, config, file, clock).await?),
        Tool::SendTest(ask) => return print(&send_test::run(ask, config, file, clock).await?),
        _ => {}
    }
    if let Some(why) = config.store.chosen()?.absent(file) {
        return Err(Fatal::settings(why));
    }
    let store = app::store(config, file, clock).await?;
    if let Tool::Forget { user } = tool {
        return print(&forget(user, config, file, &*store, clock).await?);
    }
    let text = answer(tool, &*store, clock).await?;
    print(&text)
}

async fn answer(tool: Tool, store: &dyn Store, clock: &Clock) -> Result<String, Fatal> {
    let ask = match tool {
        Tool::Check(_)
        | Tool::Test(_)
        | Tool::SendTest(_)
        | Tool::Preview(_)
        | Tool::Replay(_)
        | Tool::Forget { .. } => {
            return Ok(String::new());
        }
        Tool::Outbox(tool) => return outbox(tool, store, clock).await,
        Tool::Export => return carry::export(store).await,
        Tool::Import { file } => return carry::import(&file, store).await,
        Tool::Incidents(tool) => return incidents(tool, store).await,
        Tool::Pause(what) => match what.ask() {
            Ok(pause) => Command::Pause(pause),
            Err(json) => return steer::pauses(json, store).await,
        },
        Tool::Resume(what) => steer::resume(what.into(), store).await?,
        Tool::Baseline(BaselineTool::Release { institution, scenario, number }) => {
            steer::baseline(institution, scenario, number, store, clock).await?
        }
        Tool::Hold(HoldTool::List { json }) => return steer::holds(json, store).await,
        Tool::Hold(HoldTool::Release { number }) => {
            Command::Release { hold: steer::hold(number, store).await? }
        }
        Tool::Hold(HoldTool::Discard { number }) => {
            Command::Discard { hold: steer::hold(number, store).await? }
        }
        Tool::Done { connection } => steer::done(connection, store).await?,
    };
    store.ask(&ask, clock.now()).await.map_err(Fatal::running)?;
    Ok(format!("taken down; {WHEN}\n"))
}

/// When what was asked for is done.
const WHEN: &str = "a running alerter does it within a second, one that is stopped when it starts";

/// Takes it down for the alerter, and asks the exporters.
async fn forget(
    user: String,
    config: &Config,
    file: Option<&Path>,
    store: &dyn Store,
    clock: &Clock,
) -> Result<String, Fatal> {
    let command = Command::Forget { user: user.clone() };
    store.ask(&command, clock.now()).await.map_err(Fatal::running)?;
    let unheard = evidence::forget(&config.exporters, file, &user).await?;
    if unheard.is_empty() {
        return Ok("forgotten at the exporters; taken down for the alerter, which does it within a second\n"
            .to_owned());
    }
    let list: Vec<String> = unheard.iter().map(|(exporter, why)| format!("{exporter} ({why})")).collect();
    Err(Fatal::running(format!(
        "taken down for the alerter, but not forgotten at {}; run it again once they can be reached",
        list.join(", ")
    )))
}

async fn outbox(tool: OutboxTool, store: &dyn Store, clock: &Clock) -> Result<String, Fatal> {
    match tool {
        OutboxTool::List { state, action, channel, incident, limit, json } => {
            let filter = EffectFilter { state, action, channel, incident, limit, offset: 0 };
            let effects = store.effects(&filter).await.map_err(Fatal::running)?;
            if json { as_json(&effects) } else { Ok(listed(effects.iter().map(line), limit)) }
        }
        OutboxTool::Show { key, json } => {
            let effect = known(&key, store).await?;
            if json { as_json(&effect) } else { Ok(card(&effect)) }
        }
        OutboxTool::Retry { keys } => by_hand(Hand::Retry, keys, store, clock).await,
        OutboxTool::Release { keys } => by_hand(Hand::Release, keys, store, clock).await,
        OutboxTool::Cancel { keys } => by_hand(Hand::Cancel, keys, store, clock).await,
        OutboxTool::Why { about, json } => why(&about, json, store).await,
    }
}

/// Lines for people, who must not take the first of them for all.
fn listed(lines: impl ExactSizeIterator<Item = String>, limit: u32) -> String {
    let full = lines.len() >= limit as usize;
    let mut text: String = lines.collect();
    if full {
        let _ = writeln!(
            text,
            "… these are the newest {limit}; there may be more: see --limit and the filters in --help"
        );
    }
    text
}

async fn known(key: &str, store: &dyn Store) -> Result<Effect, Fatal> {
    let found = store.effect(key).await.map_err(Fatal::running)?;
    found.ok_or_else(|| Fatal::running(format!("there is no effect {key}; `outbox list` shows keys")))
}

async fn why(about: &str, json: bool, store: &dyn Store) -> Result<String, Fatal> {
    let mut found = Vec::new();
    let effect = store.effect(about).await.map_err(Fatal::running)?;
    if let Some(effect) = &effect {
        found.extend(effect.incidents.iter().cloned());
    }
    if let Some(incident) = store.incident(about).await.map_err(Fatal::running)? {
        found.push(incident.reference.clone());
    }
    let name = Some(about.to_owned());
    for filter in [
        IncidentFilter { user: name.clone(), ..IncidentFilter::default() },
        IncidentFilter { connection: name, ..IncidentFilter::default() },
    ] {
        let incidents = store.incidents(&filter).await.map_err(Fatal::running)?;
        found.extend(incidents.iter().map(|incident| incident.reference.clone()));
    }
    // Of a notice, or of a ticket about a bank, no incident tells: its own reason does.
    if let Some(effect) = effect.filter(|_| found.is_empty()) {
        return if json { as_json(&[effect]) } else { Ok(card(&effect)) };
    }
    if found.is_empty() {
        found = of_ticket(about, store).await.map_err(Fatal::running)?;
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(Fatal::running(format!(
            "nothing is known of {about}; name an incident, a connection, a user, a ticket or an effect"
        )));
    }
    let (mut text, mut entries) = (String::new(), Vec::new());
    for reference in found {
        let story = store.timeline(&reference).await.map_err(Fatal::running)?;
        let _ = writeln!(text, "{reference}");
        for entry in &story {
            let _ = writeln!(text, "  {}  {:<12}  {}", entry.at, entry.what, entry.text);
        }
        entries.extend(story);
    }
    if json { as_json(&entries) } else { Ok(text) }
}

/// The incidents of the ticket that a desk calls so.
async fn of_ticket(remote: &str, store: &dyn Store) -> Result<Vec<String>, StoreError> {
    const PAGE: u32 = 1000;
    for page in 0.. {
        let filter = EffectFilter {
            action: Some(Action::FileTicket),
            state: Some(EffectState::Delivered),
            limit: PAGE,
            offset: page * PAGE,
            ..EffectFilter::default()
        };
        let effects = store.effects(&filter).await?;
        if let Some(filed) = effects.iter().find(|effect| effect.remote.as_deref() == Some(remote)) {
            return Ok(filed.incidents.clone());
        }
        if effects.len() < PAGE as usize {
            break;
        }
    }
    Ok(Vec::new())
}

async fn incidents(tool: IncidentsTool, store: &dyn Store) -> Result<String, Fatal> {
    match tool {
        IncidentsTool::List { all, scenario, institution, user, limit, json } => {
            let open = (!all).then_some(true);
            let filter =
                IncidentFilter { open, scenario, institution, user, limit, ..IncidentFilter::default() };
            let incidents = store.incidents(&filter).await.map_err(Fatal::running)?;
            if json {
                let all: Vec<&Incident> = incidents.iter().map(AsRef::as_ref).collect();
                return as_json(&all);
            }
            Ok(listed(incidents.iter().map(|incident| one_line(incident)), limit))
        }
        IncidentsTool::Show { reference, json } => {
            let incident = store.incident(&reference).await.map_err(Fatal::running)?;
            let Some(incident) = incident else {
                return Err(Fatal::running(format!(
                    "there is no incident {reference}; `incidents list` shows them"
                )));
            };
            if json {
                let story = store.timeline(&reference).await.map_err(Fatal::running)?;
                return as_json(&serde_json::json!({ "incident": *incident, "timeline": story }));
            }
            Ok(format!("{}\n{}", one_line(&incident), why(&reference, false, store).await?))
        }
    }
}

/// Prints what a tool for rules says; what it finds wrong is the end of the command.
fn of_rules(tool: impl FnOnce(&mut Vec<u8>) -> std::io::Result<bool>, wrong: &str) -> Result<(), Fatal> {
    let mut said = Vec::new();
    let good = tool(&mut said).map_err(Fatal::running)?;
    print(&String::from_utf8_lossy(&said))?;
    if good { Ok(()) } else { Err(Fatal::running(format!("{wrong}; see above"))) }
}

fn print(text: &str) -> Result<(), Fatal> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Fatal::running(error)),
        _ => Ok(()),
    }
}
