//! One function per page.

use axum::{
    Extension,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    MESSAGE_POLICY, Shared, actions, html_response,
    identity::Actor,
    problem,
    view::{Out, Whole},
};
use crate::{
    channels::{Contact, UserMessage, message::Rendered},
    demand::Action,
    store::{Effect, EffectFilter, EffectState, Payload, StoreError},
};

/// Rows of a page.
pub(super) const PAGE: u32 = 50;
/// Nobody reads further than so many pages; the filters find what is beyond.
const PAGES: u32 = 200;

pub(super) fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "the page cannot read the store");
    problem(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read just now; the log says why.")
}

/// What was done by the button that led here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Did {
    did: String,
}

pub(super) async fn incident(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(reference): Path<String>,
    Query(did): Query<Did>,
) -> Response {
    match whole(&shared, &reference, &did).await {
        Ok(Some(whole)) => {
            viewed(&actor, &reference);
            shared.page("incident.html", whole)
        }
        Ok(None) => missing(&shared, "There is no incident of this reference."),
        Err(error) => failed(&error),
    }
}

async fn whole(shared: &Shared, reference: &str, did: &Did) -> Result<Option<Whole>, StoreError> {
    let store = &shared.state.store;
    let Some(incident) = store.incident(reference).await? else { return Ok(None) };
    let timeline = store.timeline(reference).await?;
    let filter = EffectFilter { incident: Some(reference.to_owned()), limit: 200, ..EffectFilter::default() };
    let effects = store.effects(&filter).await?;
    let said = actions::said(&did.did);
    Ok(Some(Whole::new(&incident, &timeline, &effects, shared.state.clock.now(), said)))
}

/// Who looked at what is one person's: an incident's reference, or the key of a message.
pub(super) fn viewed(actor: &Actor, what: &str) {
    tracing::info!(actor = actor.name, what, "viewed on the page");
}

/// Who looked at a list of what is many persons': all in one line. Nothing is logged of an empty list.
pub(super) fn listed<'a>(actor: &Actor, list: &str, what: impl IntoIterator<Item = &'a str>) {
    let what: Vec<&str> = what.into_iter().collect();
    if !what.is_empty() {
        tracing::info!(actor = actor.name, list, what = what.join(" "), "listed on the page");
    }
}

fn missing(shared: &Shared, text: &'static str) -> Response {
    let mut response = shared.page("missing.html", minijinja::context! { text });
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// What can be asked of the list of effects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedEffects {
    state: String,
    action: String,
    channel: String,
    page: u32,
    did: String,
}

#[derive(Serialize)]
struct Effects {
    said: Option<&'static str>,
    effects: Vec<Out>,
    states: Vec<&'static str>,
    action_names: Vec<&'static str>,
    state: String,
    action: String,
    channel: String,
    page: u32,
    more: bool,
}

pub(super) async fn effects(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Query(asked): Query<AskedEffects>,
) -> Response {
    let page = asked.page.min(PAGES);
    let filter = EffectFilter {
        state: EffectState::parse(&asked.state),
        action: Action::parse(&asked.action),
        channel: (!asked.channel.is_empty()).then(|| asked.channel.clone()),
        limit: PAGE + 1,
        offset: page * PAGE,
        ..EffectFilter::default()
    };
    let mut found = match shared.state.store.effects(&filter).await {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let more = found.len() > PAGE as usize && page < PAGES;
    found.truncate(PAGE as usize);
    listed(&actor, "effects", found.iter().map(|effect| &*effect.key));
    let now = shared.state.clock.now();
    shared.page(
        "effects.html",
        Effects {
            said: actions::said(&asked.did),
            effects: found.iter().map(|effect| Out::new(effect, now)).collect(),
            states: EffectState::ALL.iter().map(|state| state.as_str()).collect(),
            action_names: Action::ALL.iter().map(|action| action.as_str()).collect(),
            state: filter.state.map(EffectState::as_str).unwrap_or_default().to_owned(),
            action: filter.action.map(Action::as_str).unwrap_or_default().to_owned(),
            channel: asked.channel,
            page,
            more,
        },
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct AskedMessage {
    key: String,
}

#[derive(Serialize)]
struct Shown {
    shown: Out,
    subject: String,
    text: String,
    frame: String,
}

pub(super) async fn message(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Query(asked): Query<AskedMessage>,
) -> Response {
    let found = rendered(&shared, &asked.key).await;
    if matches!(found, Ok(Some(_))) {
        viewed(&actor, &asked.key);
    }
    match found {
        Ok(Some((effect, rendered))) => shared.page(
            "message.html",
            Shown {
                shown: Out::new(&effect, shared.state.clock.now()),
                subject: rendered.subject,
                text: rendered.text,
                frame: format!("/message.html?key={}", encoded(&asked.key)),
            },
        ),
        Ok(None) => missing(&shared, "There is no message of this key, or its variables are no longer kept."),
        Err(error) => failed(&error),
    }
}

pub(super) async fn message_html(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Query(asked): Query<AskedMessage>,
) -> Response {
    match rendered(&shared, &asked.key).await {
        Ok(Some((_, rendered))) => {
            viewed(&actor, &asked.key);
            html_response(StatusCode::OK, rendered.html, MESSAGE_POLICY)
        }
        Ok(None) => missing(&shared, "There is no message of this key, or its variables are no longer kept."),
        Err(error) => failed(&error),
    }
}

/// The message made again from its variables, as the customer got it but for the name: the page resolves no
/// contact, and keeps none.
async fn rendered(shared: &Shared, key: &str) -> Result<Option<(Effect, Rendered)>, StoreError> {
    let Some(effect) = shared.state.store.effect(key).await? else { return Ok(None) };
    let Payload::Message(message) = &effect.payload else { return Ok(None) };
    let rendered = render(shared, message);
    Ok(rendered.map(|rendered| (effect, rendered)))
}

fn render(shared: &Shared, message: &UserMessage) -> Option<Rendered> {
    let nobody = Contact { address: None, name: None, language: None, external_id: None };
    shared.state.renderer.render(message, &nobody).ok()
}

/// For a path segment or a query value.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
