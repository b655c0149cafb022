//! One function per page.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};

use super::{
    MESSAGE_POLICY, Shared,
    actions::actor,
    html_response, problem,
    view::{Out, Overview, Row, Whole},
    words,
};
use crate::{
    channels::{Contact, UserMessage, message::Rendered},
    demand::Action,
    store::{Effect, EffectFilter, EffectState, IncidentFilter, Payload, StoreError},
};

const PAGE: u32 = 50;

fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "the page cannot read the store");
    problem(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read just now; the log says why.")
}

/// What can be asked of the list of incidents.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// A reference, connection, user or institution.
    q: String,
    /// `open` (where not set), `ended` or `all`.
    show: String,
    scenario: String,
    page: u32,
}

#[derive(Serialize)]
struct List {
    overview: Overview,
    rows: Vec<Row>,
    q: String,
    show: String,
    scenario: String,
    page: u32,
    more: bool,
}

pub(super) async fn incidents(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    match list(&shared, asked).await {
        Ok(response) => response,
        Err(error) => failed(&error),
    }
}

async fn list(shared: &Shared, asked: Asked) -> Result<Response, StoreError> {
    let store = &shared.state.store;
    let q: String = asked.q.trim().chars().take(200).collect();
    if !q.is_empty()
        && let Some(found) = store.incident(&q.to_uppercase()).await?
    {
        return Ok(Redirect::to(&format!("/incidents/{}", encoded(&found.reference))).into_response());
    }
    let show = match asked.show.as_str() {
        "" if !q.is_empty() => "all",
        "ended" => "ended",
        "all" => "all",
        _ => "open",
    };
    let filter = IncidentFilter {
        open: match show {
            "open" => Some(true),
            "ended" => Some(false),
            _ => None,
        },
        scenario: (!asked.scenario.is_empty()).then(|| asked.scenario.clone()),
        limit: PAGE + 1,
        offset: asked.page.min(10_000) * PAGE,
        ..IncidentFilter::default()
    };
    let mut rows = Vec::new();
    if q.is_empty() {
        rows = store.incidents(&filter).await?;
    } else {
        for narrowed in [
            IncidentFilter { connection: Some(q.clone()), ..filter.clone() },
            IncidentFilter { user: Some(q.clone()), ..filter.clone() },
            IncidentFilter { institution: Some(q.to_uppercase()), ..filter },
        ] {
            rows = store.incidents(&narrowed).await?;
            if !rows.is_empty() {
                break;
            }
        }
    }
    let now = shared.state.clock.now();
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    Ok(shared.page(
        "incidents.html",
        List {
            overview: Overview::new(&store.counts().await?),
            rows: rows.iter().map(|incident| Row::new(incident, now)).collect(),
            q,
            show: show.to_owned(),
            scenario: asked.scenario,
            page: asked.page,
            more,
        },
    ))
}

pub(super) async fn incident(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(reference): Path<String>,
) -> Response {
    match whole(&shared, &reference).await {
        Ok(Some(whole)) => {
            viewed(&headers, &reference);
            shared.page("incident.html", whole)
        }
        Ok(None) => missing(&shared, "There is no incident of this reference."),
        Err(error) => failed(&error),
    }
}

async fn whole(shared: &Shared, reference: &str) -> Result<Option<Whole>, StoreError> {
    let store = &shared.state.store;
    let Some(incident) = store.incident(reference).await? else { return Ok(None) };
    let timeline = store.timeline(reference).await?;
    let filter = EffectFilter { incident: Some(reference.to_owned()), limit: 200, ..EffectFilter::default() };
    let effects = store.effects(&filter).await?;
    Ok(Some(Whole::new(&incident, &timeline, &effects, shared.state.clock.now())))
}

/// Who looked at what is one person's.
fn viewed(headers: &HeaderMap, what: &str) {
    tracing::info!(actor = actor(headers), what, "viewed on the page");
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
}

#[derive(Serialize)]
struct Effects {
    effects: Vec<Out>,
    states: Vec<&'static str>,
    action_names: Vec<&'static str>,
    state: String,
    action: String,
    channel: String,
    page: u32,
    more: bool,
}

pub(super) async fn effects(State(shared): State<Shared>, Query(asked): Query<AskedEffects>) -> Response {
    let filter = EffectFilter {
        state: EffectState::parse(&asked.state),
        action: Action::parse(&asked.action),
        channel: (!asked.channel.is_empty()).then(|| asked.channel.clone()),
        limit: PAGE + 1,
        offset: asked.page.min(10_000) * PAGE,
        ..EffectFilter::default()
    };
    let mut found = match shared.state.store.effects(&filter).await {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let now = shared.state.clock.now();
    shared.page(
        "effects.html",
        Effects {
            effects: found.iter().map(|effect| Out::new(effect, now)).collect(),
            states: EffectState::ALL.iter().map(|state| state.as_str()).collect(),
            action_names: Action::ALL.iter().map(|action| action.as_str()).collect(),
            state: filter.state.map(EffectState::as_str).unwrap_or_default().to_owned(),
            action: filter.action.map(Action::as_str).unwrap_or_default().to_owned(),
            channel: asked.channel,
            page: asked.page,
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
    headers: HeaderMap,
    Query(asked): Query<AskedMessage>,
) -> Response {
    let found = rendered(&shared, &asked.key).await;
    if matches!(found, Ok(Some(_))) {
        viewed(&headers, &asked.key);
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
    Query(asked): Query<AskedMessage>,
) -> Response {
    match rendered(&shared, &asked.key).await {
        Ok(Some((_, rendered))) => html_response(StatusCode::OK, rendered.html, MESSAGE_POLICY),
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

/// What a partner's application shows its user.
#[derive(Serialize)]
struct UserStatus {
    user_id: String,
    connections: Vec<ConnectionStatus>,
}

#[derive(Serialize)]
struct ConnectionStatus {
    connection_id: String,
    institution_id: String,
    institution_name: String,
    scenario: String,
    explanation: String,
    next_step: &'static str,
    failing_since: String,
    reference: String,
    told: bool,
    ticket: bool,
}

pub(super) async fn status(State(shared): State<Shared>, Path(user): Path<String>) -> Response {
    let filter = IncidentFilter { open: Some(true), user: Some(user.clone()), ..IncidentFilter::default() };
    let incidents = match shared.state.store.incidents(&filter).await {
        Ok(incidents) => incidents,
        Err(error) => return failed(&error),
    };
    let connections = incidents
        .iter()
        .map(|incident| ConnectionStatus {
            connection_id: incident.connection.clone(),
            institution_id: incident.institution.clone(),
            institution_name: incident.institution_name.clone(),
            scenario: incident.scenario.clone(),
            explanation: words::scenario(&incident.scenario).to_owned(),
            next_step: words::next_step(incident),
            failing_since: incident.failing_since.to_string(),
            reference: incident.reference.clone(),
            told: incident.owes_closing(),
            ticket: incident.ticket.is_some(),
        })
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(UserStatus { user_id: user, connections })).into_response()
}

/// For a path segment or a query value.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
