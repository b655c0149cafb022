//! `POST /token`.

use std::sync::Arc;

use axum::{body::Body, extract::State};
use http::{HeaderMap, header};
use serde_json::json;

use super::{Answer, ok};
use crate::{
    app::{App, TOKEN_SECONDS},
    errors::ApiError,
    http::read_body,
};

pub(super) async fn issue(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let now = app.clock.now();
    if !app.requests().token_allowed(now) {
        return Err(ApiError::throttled());
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(http::HeaderName::from_static("basiq-version")) != "3.0" {
        return Err(ApiError::bad(
            "parameter-not-supplied",
            "The basiq-version header must be 3.0.",
            "basiq-version",
        ));
    }
    let key = text(header::AUTHORIZATION).strip_prefix("Basic ").unwrap_or_default().to_owned();
    if !app.keys.contains(&key) {
        return Err(ApiError::not_found("Application not found."));
    }
    let form = read_body(body).await?;
    let scope = url::form_urlencoded::parse(&form)
        .find(|(name, _)| name == "scope")
        .map(|(_, value)| value.into_owned());
    let server = match scope.as_deref() {
        Some("SERVER_ACCESS") | None => true,
        Some("CLIENT_ACCESS") => false,
        Some(_) => return Err(ApiError::bad("parameter-not-valid", "Scope value is not valid.", "scope")),
    };
    ok(
        json!({"access_token": app.issue_token(now, server), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}),
    )
}
