//! What is paused and held, and commands that are refused where they would change nothing: who believes that a pause
//! is over must not find out later that it was another one.

use std::{collections::BTreeSet, fmt::Write as _};

use daemon::{Clock, Fatal};
use serde::de::DeserializeOwned;

use super::as_json;
use crate::{
    demand::Action,
    plan::{Command, Hold, Pause},
    store::{IncidentFilter, Store},
};

/// The command that undoes this pause, if there is one.
pub(super) async fn resume(pause: Pause, store: &dyn Store) -> Result<Command, Fatal> {
    let paused = paused(store).await?;
    if paused.contains(&pause) {
        return Ok(Command::Resume(pause));
    }
    if paused.is_empty() {
        return Err(Fatal::running("nothing is paused"));
    }
    let list: Vec<String> = paused.iter().map(words).collect();
    Err(Fatal::running(format!(
        "{} is not paused; a pause is resumed by the options it was made with. Paused: {}",
        words(&pause),
        list.join("; ")
    )))
}

/// Lists what is paused.
pub(super) async fn pauses(json: bool, store: &dyn Store) -> Result<String, Fatal> {
    let paused = paused(store).await?;
    if json { as_json(&paused) } else { Ok(paused.iter().map(|pause| words(pause) + "\n").collect()) }
}

/// What is paused, with what was asked for and is not obeyed yet.
async fn paused(store: &dyn Store) -> Result<BTreeSet<Pause>, Fatal> {
    let mut paused: BTreeSet<Pause> = kept("pause", store).await?.into_iter().collect();
    for (_, command) in store.asked().await.map_err(Fatal::running)? {
        match command {
            Command::Pause(pause) => paused.insert(pause),
            Command::Resume(pause) => paused.remove(&pause),
            _ => false,
        };
    }
    Ok(paused)
}

/// The pause by the options that make and undo it.
fn words(pause: &Pause) -> String {
    let mut words = Vec::new();
    for (name, value) in [
        ("--action", pause.action.map(Action::as_str)),
        ("--rule", pause.rule.as_deref()),
        ("--institution", pause.institution.as_deref()),
        ("--user", pause.user.as_deref()),
    ] {
        words.extend(value.map(|value| format!("{name}={value}")));
    }
    if words.is_empty() { "everything (no options)".to_owned() } else { words.join(" ") }
}

/// Lists what is held.
pub(super) async fn holds(json: bool, store: &dyn Store) -> Result<String, Fatal> {
    let mut holds: Vec<Hold> = kept("hold", store).await?;
    holds.sort_by_key(|hold| hold.number);
    if json {
        return as_json(&holds);
    }
    let mut text = String::new();
    for hold in &holds {
        let (openings, planned) = (hold.incidents.len(), hold.effects.len());
        let _ = writeln!(
            text,
            "{}  since {}  incidents {openings}, effects planned before {planned}: {}",
            hold.number, hold.since, hold.reason
        );
    }
    Ok(text)
}

/// The number, if something is held under it.
pub(super) async fn hold(number: u64, store: &dyn Store) -> Result<u64, Fatal> {
    let holds: Vec<Hold> = kept("hold", store).await?;
    if holds.iter().any(|hold| hold.number == number) {
        return Ok(number);
    }
    Err(Fatal::running(format!("nothing is held under the number {number}; `hold list` shows what is")))
}

/// The command that releases from the baseline, if anything of it fits.
pub(super) async fn baseline(
    institution: Option<String>,
    scenario: Option<String>,
    number: Option<u32>,
    store: &dyn Store,
    clock: &Clock,
) -> Result<Command, Fatal> {
    let groups = store.groups(clock.now()).await.map_err(Fatal::running)?;
    let fits = |of: &Option<String>, is: &str| of.as_deref().is_none_or(|of| of == is);
    let some = groups.iter().any(|group| {
        group.baseline > 0 && fits(&institution, &group.institution) && fits(&scenario, &group.scenario)
    });
    if !some {
        return Err(Fatal::running(
            "no open incident of the baseline fits; `incidents list` shows which are baseline",
        ));
    }
    Ok(Command::ReleaseBaseline { institution, scenario, number })
}

/// The word that a pop-up is dealt with, if anything is wrong with the connection.
pub(super) async fn done(connection: String, store: &dyn Store) -> Result<Command, Fatal> {
    let filter = IncidentFilter {
        open: Some(true),
        connection: Some(connection.clone()),
        limit: 1,
        ..IncidentFilter::default()
    };
    if store.incidents(&filter).await.map_err(Fatal::running)?.is_empty() {
        return Err(Fatal::running(format!(
            "no open incident is about the connection {connection}; `incidents list` shows connections"
        )));
    }
    Ok(Command::Done { connection })
}

async fn kept<T: DeserializeOwned>(kind: &str, store: &dyn Store) -> Result<Vec<T>, Fatal> {
    let rows = store.kept(kind).await.map_err(Fatal::running)?;
    let read = |(_, body): &(String, String)| serde_json::from_str(body).map_err(Fatal::running);
    rows.iter().map(read).collect()
}
