//! Basiq's paths.

mod connections;
mod connectors;
mod events;
mod jobs;
mod token;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{app::App, errors::ApiError};

pub(crate) use events::data_ref;

/// All routes of Basiq that the sandbox knows.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/token", post(token::issue))
        .route("/users/{user}", get(users::one).delete(users::delete))
        .route("/users/{user}/jobs", get(jobs::list))
        .route("/jobs/{job}", get(jobs::one))
        .route("/jobs/{job}/mfa", post(jobs::mfa))
        .route("/users/{user}/connections", get(connections::list))
        .route("/users/{user}/connections/{connection}", get(connections::one).delete(connections::delete))
        .route("/users/{user}/connections/{connection}/refresh", post(connections::refresh))
        .route("/connectors", get(connectors::list))
        .route("/events", get(events::list))
        .route("/events/types", get(events::types))
        .route("/events/types/{id}", get(events::event_type))
        .route("/events/{event}", get(events::one))
        .route("/notifications/webhooks", get(webhooks::list).post(webhooks::add))
        .route(
            "/notifications/webhooks/{webhook}",
            get(webhooks::one).post(webhooks::update).delete(webhooks::delete),
        )
        .route("/notifications/webhooks/{webhook}/messages", get(webhooks::messages))
        .route("/notifications/webhooks/{webhook}/messages/{message}", get(webhooks::message))
        .route("/notifications/messages/test", post(webhooks::test_message))
        .fallback(async || ApiError::not_found("Resource not found."))
}

type Answer = Result<Response, ApiError>;

/// What lists take.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Params {
    filter: Option<String>,
    limit: Option<usize>,
    /// Where the next page begins: ours, inside `links.next`.
    next: Option<String>,
}

fn ok(body: Value) -> Answer {
    Ok(Json(body).into_response())
}

/// RFC 3339 in whole seconds, as Basiq's examples have it.
pub(crate) fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn no_user() -> ApiError {
    ApiError::not_found("Requested user does not exist.")
}

/// One page of `items`, and the link to the next.
fn page(
    app: &App,
    path: &str,
    params: &Params,
    size: Option<usize>,
    items: Vec<Value>,
) -> Result<(Vec<Value>, Value), ApiError> {
    let from: usize = match &params.next {
        Some(next) => next.parse().map_err(|_| {
            ApiError::bad("parameter-not-valid", "The provided next parameter is not valid.", "next")
        })?,
        None => 0,
    };
    let size = size.unwrap_or(usize::MAX).min(params.limit.unwrap_or(usize::MAX)).max(1);
    let more = items.len() > from.saturating_add(size);
    let shown: Vec<Value> = items.into_iter().skip(from).take(size).collect();
    Ok((shown, links(app, path, params, more.then(|| (from + size).to_string()))))
}

/// `links` of a list.
fn links(app: &App, path: &str, params: &Params, next: Option<String>) -> Value {
    let url = |next: Option<&str>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("filter", params.filter.as_deref()), ("next", next)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        let query = query.finish();
        format!("{}{path}{}{query}", app.base, if query.is_empty() { "" } else { "?" })
    };
    match next {
        Some(next) => json!({"self": url(params.next.as_deref()), "next": url(Some(&next))}),
        None => json!({"self": url(params.next.as_deref())}),
    }
}
