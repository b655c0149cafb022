//! What waits for a person: held batches, what is held or dead, what is paused, and the baseline.

use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    Shared, actions,
    handlers::{failed, listed},
    identity::Actor,
    overview::Overview,
    view::Out,
    words::Time,
};
use crate::{
    demand::Action,
    plan::{Hold, Pause},
    store::{Effect, EffectFilter, EffectState, StoreError},
};

/// At most so many of each kind; the list of effects has them all.
const SHOWN: u32 = 20;
/// Incidents of a hold that are named.
const NAMED: usize = 12;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    did: String,
}

#[derive(Serialize)]
struct Held {
    number: u64,
    since: Time,
    reason: String,
    count: usize,
    incidents: Vec<String>,
}

#[derive(Serialize)]
struct Paused {
    words: String,
    action: String,
    rule: String,
    institution: String,
    user: String,
}

#[derive(Serialize)]
struct Steering {
    overview: Overview,
    said: Option<&'static str>,
    holds: Vec<Held>,
    pauses: Vec<Paused>,
    held: Vec<Out>,
    dead: Vec<Out>,
    action_names: Vec<&'static str>,
}

pub(super) async fn steering(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Query(asked): Query<Asked>,
) -> Response {
    match whole(&shared, &actor, &asked).await {
        Ok(response) => response,
        Err(error) => failed(&error),
    }
}

async fn whole(shared: &Shared, actor: &Actor, asked: &Asked) -> Result<Response, StoreError> {
    let (store, now) = (&shared.state.store, shared.state.clock.now());
    let counted = shared.overview.get(store, now).await?;
    let names = shared.names();
    let mut holds: Vec<Hold> = read(store.kept("hold").await?);
    holds.sort_by_key(|hold| hold.number);
    let pauses: Vec<Pause> = read(store.kept("pause").await?);
    let of = async |state| {
        let filter = EffectFilter { state: Some(state), limit: SHOWN, ..EffectFilter::default() };
        store.effects(&filter).await
    };
    let outs = |effects: Vec<Effect>| effects.iter().map(|effect| Out::new(effect, now)).collect();
    let (held, dead) = (of(EffectState::Held).await?, of(EffectState::Dead).await?);
    let named = holds.iter().flat_map(|hold| hold.incidents.iter().take(NAMED));
    listed(actor, "held", named.map(String::as_str).chain(held.iter().map(|effect| &*effect.key)));
    listed(actor, "dead", dead.iter().map(|effect| &*effect.key));
    listed(actor, "paused", pauses.iter().filter_map(|pause| pause.user.as_deref()));
    Ok(shared.page(
        "steering.html",
        Steering {
            overview: Overview::new(&counted, &names, 0),
            said: actions::said(&asked.did),
            holds: holds
                .into_iter()
                .map(|hold| Held {
                    number: hold.number,
                    since: Time::new(hold.since, now),
                    reason: hold.reason,
                    count: hold.incidents.len(),
                    incidents: hold.incidents.into_iter().take(NAMED).collect(),
                })
                .collect(),
            pauses: pauses.into_iter().map(|pause| paused(pause, |id| names.of(id))).collect(),
            held: outs(held),
            dead: outs(dead),
            action_names: Action::ALL.iter().map(|action| action.as_str()).collect(),
        },
    ))
}

/// What the planner keeps. A row of a later version is left out.
pub(super) fn read<T: serde::de::DeserializeOwned>(rows: Vec<(String, String)>) -> Vec<T> {
    rows.iter().filter_map(|(_, body)| serde_json::from_str(body).ok()).collect()
}

fn paused(pause: Pause, name: impl Fn(&str) -> String) -> Paused {
    let mut words = vec![pause.action.map_or("Everything".to_owned(), |action| action.as_str().to_owned())];
    if let Some(rule) = &pause.rule {
        words.push(format!("of rule {rule}"));
    }
    if let Some(institution) = &pause.institution {
        words.push(format!("for {}", name(institution)));
    }
    if let Some(user) = &pause.user {
        words.push(format!("for user {user}"));
    }
    Paused {
        words: words.join(" "),
        action: pause.action.map(Action::as_str).unwrap_or_default().to_owned(),
        rule: pause.rule.unwrap_or_default(),
        institution: pause.institution.unwrap_or_default(),
        user: pause.user.unwrap_or_default(),
    }
}
