//! `/notifications`: subscriptions to events, and what was sent.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    response::IntoResponse as _,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Params, ok, page, time};
use crate::{
    app::App,
    errors::ApiError,
    http::read_body,
    webhooks::{Announced, Message, Refused, Subscription},
    world::events::TYPES,
};

/// Messages of a page ("Maximum … 500 and is the default").
const PAGE: usize = 500;

pub(super) async fn list(State(app): State<Arc<App>>, Query(params): Query<Params>) -> Answer {
    let all: Vec<Value> = app
        .webhooks
        .state()
        .subscriptions
        .iter()
        .map(|subscription| subscription_json(&app, subscription, false))
        .collect();
    let size = all.len();
    let (data, links) = page(&app, "/notifications/webhooks", &params, app.page_size, all)?;
    ok(json!({"type": "list", "size": size, "count": data.len(), "data": data, "links": links}))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let state = app.webhooks.state();
    ok(subscription_json(&app, state.get(&id).ok_or_else(missing)?, false))
}

pub(super) async fn add(State(app): State<Arc<App>>, body: Body) -> Answer {
    let id = put(&app, None, body).await?;
    let state = app.webhooks.state();
    // The secret is shown once.
    let body = subscription_json(&app, state.get(&id).ok_or_else(missing)?, true);
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

pub(super) async fn update(State(app): State<Arc<App>>, Path(id): Path<String>, body: Body) -> Answer {
    if app.webhooks.state().get(&id).is_none() {
        return Err(missing());
    }
    put(&app, Some(&id), body).await?;
    let state = app.webhooks.state();
    ok(subscription_json(&app, state.get(&id).ok_or_else(missing)?, false))
}

async fn put(app: &App, id: Option<&str>, body: Body) -> Result<String, ApiError> {
    let invalid = |detail: &str| ApiError::bad("invalid-content", detail, "body");
    let body: Value =
        serde_json::from_slice(&read_body(body).await?).map_err(|_| invalid("Posted request not valid."))?;
    let url = body["url"].as_str().ok_or_else(|| invalid("Posted request not valid."))?;
    let events: Vec<String> = match &body["subscribedEvents"] {
        Value::Null => TYPES.iter().map(|(kind, _)| (*kind).to_owned()).collect(),
        Value::Array(events) if events.iter().all(Value::is_string) => {
            events.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => return Err(invalid("Posted request not valid.")),
    };
    let done = app.webhooks.state().put(
        app.seed,
        app.clock.now(),
        id,
        body["name"].as_str().unwrap_or_default(),
        url,
        events,
    );
    app.changed.notify_one();
    done.map_err(|refused| match refused {
        Refused::NotAUrl => invalid("Posted request not valid."),
        Refused::UnknownEvent => invalid("Posted subscribedEvents contains unsupported event types."),
        Refused::AlreadySubscribed => ApiError::bad(
            "event-already-subscribed",
            "Posted subscribedEvents contains events that are already subscribed to for this application.",
            "subscribedEvents",
        ),
        Refused::UrlTaken => ApiError::conflict("Webhook with provided url already exists."),
    })
}

pub(super) async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    if app.webhooks.state().remove(&id) { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(missing()) }
}

pub(super) async fn messages(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Answer {
    let all: Vec<Value> = {
        let state = app.webhooks.state();
        let subscription = state.get(&id).ok_or_else(missing)?;
        subscription.messages.iter().map(|message| message_json(&app, &id, message)).collect()
    };
    let size = all.len();
    let (data, links) = page(
        &app,
        &format!("/notifications/webhooks/{id}/messages"),
        &params,
        Some(app.page_size.unwrap_or(PAGE)),
        all,
    )?;
    ok(json!({"type": "list", "size": size, "count": data.len(), "data": data, "links": links}))
}

pub(super) async fn message(
    State(app): State<Arc<App>>,
    Path((id, message)): Path<(String, String)>,
) -> Answer {
    let state = app.webhooks.state();
    let subscription = state.get(&id).ok_or_else(missing)?;
    let found = subscription.messages.iter().find(|candidate| candidate.id == message);
    ok(message_json(&app, &id, found.ok_or_else(|| ApiError::not_found("Resource not found."))?))
}

pub(super) async fn test_message(State(app): State<Arc<App>>, body: Body) -> Answer {
    let body: Value = serde_json::from_slice(&read_body(body).await?).unwrap_or_default();
    let known = TYPES.iter().find(|(kind, _)| body["eventTypeId"] == *kind);
    let (kind, _) = known.ok_or_else(|| {
        ApiError::bad("invalid-content", "Posted eventTypeId doesn't exists.", "eventTypeId")
    })?;
    let now = app.clock.now();
    let mut state = app.webhooks.state();
    if state.subscriptions.is_empty() {
        return Err(ApiError::bad(
            "no-webhooks-found",
            "At least one webhook should exist in the system",
            "eventTypeId",
        ));
    }
    let id = format!("test-{}", now.as_millisecond());
    let links = json!({"event": format!("{}/events/{id}", app.base), "eventEntity": app.base});
    let body = json!({"eventTypeId": kind, "eventId": id, "links": links}).to_string();
    state.announce(app.seed, now, &Announced { at: now, id, kind: (*kind).to_owned(), body });
    drop(state);
    app.changed.notify_one();
    Ok(StatusCode::CREATED.into_response())
}

fn missing() -> ApiError {
    ApiError::not_found("Webhook with provided id doesn't exist.")
}

fn subscription_json(app: &App, subscription: &Subscription, secret: bool) -> Value {
    let mut body = json!({
        "type": "webhook",
        "id": subscription.id,
        "name": subscription.name,
        "url": subscription.url,
        "status": if subscription.disabled { "disabled" } else { "active" },
        "subscribedEvents": subscription.events,
        "links": {"self": format!("{}/notifications/webhooks/{}", app.base, subscription.id)},
    });
    if secret {
        body["secret"] = json!(subscription.secret);
    }
    body
}

fn message_json(app: &App, webhook: &str, message: &Message) -> Value {
    let own = format!("{}/notifications/webhooks/{webhook}", app.base);
    let payload: Value = serde_json::from_str(&message.body).unwrap_or_default();
    json!({
        "id": message.id,
        "webhookId": webhook,
        "eventTypeId": message.kind,
        "eventId": message.event_id,
        "payload": payload,
        "attempts": message.attempts.iter().map(|(at, status)| format!("{} {status}", time(*at))).collect::<Vec<_>>(),
        "links": {"self": format!("{own}/messages/{}", message.id), "webhook": own, "event": format!("{}/events/{}", app.base, message.event_id)},
    })
}
