//! Buttons of the page and calls of the partner's application that change something. Each is taken down in
//! the store, from where a running alerter takes it within a second, and logged with its actor.

use async_trait::async_trait;
use axum::{
    extract::{Form, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use daemon::Timestamp;
use serde::Deserialize;

use super::{Shared, problem};
use crate::{
    demand::Action,
    plan::{Command, Pause},
    store::{Store, StoreError},
};

/// Where commands are taken down.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Takes a command down durably.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError>;
}

/// The store of a running alerter.
pub struct ToStore(pub std::sync::Arc<dyn Store>);

#[async_trait]
impl Commands for ToStore {
    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError> {
        self.0.ask(command, now).await
    }
}

/// A button: its name, and what it is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pressed {
    what: String,
    /// The page to return to.
    back: String,
    connection: String,
    hold: Option<u64>,
    incident: String,
    institution: String,
    scenario: String,
    number: Option<u32>,
    action: String,
    user: String,
}

impl Pressed {
    fn command(&self) -> Option<Command> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let pause = || Pause {
            action: Action::parse(&self.action),
            institution: some(&self.institution),
            user: some(&self.user),
            ..Pause::default()
        };
        Some(match self.what.as_str() {
            "done" => Command::Done { connection: some(&self.connection)? },
            "release" => Command::Release { hold: self.hold? },
            "discard" => Command::Discard { hold: self.hold? },
            "release-baseline" => Command::ReleaseBaseline {
                institution: some(&self.institution),
                scenario: some(&self.scenario),
                // Never all at once by a button: a first install may have thousands.
                number: Some(self.number.unwrap_or(1)),
            },
            "ticket-closed" => Command::TicketClosed { incident: some(&self.incident)?, wont_fix: false },
            "wont-fix" => Command::TicketClosed { incident: some(&self.incident)?, wont_fix: true },
            "pause" => Command::Pause(pause()),
            "resume" => Command::Resume(pause()),
            _ => return None,
        })
    }

    /// Only a page of ours.
    fn back(&self) -> &str {
        let path = self.back.as_str();
        let ours = path == "/incidents" || path.starts_with("/incidents/") || path == "/effects";
        if ours && path.chars().all(|c| c.is_ascii_graphic()) { path } else { "/incidents" }
    }
}

/// `POST /actions`: a button of the page.
pub(super) async fn act(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(pressed): Form<Pressed>,
) -> Response {
    if !same_origin(&headers) {
        return problem(StatusCode::FORBIDDEN, "This came from another site and was not done.");
    }
    let Some(command) = pressed.command() else {
        return problem(StatusCode::BAD_REQUEST, "There is no such button, or something is missing.");
    };
    match take(&shared, &headers, &command).await {
        Ok(()) => Redirect::to(pressed.back()).into_response(),
        Err(response) => response,
    }
}

/// `POST /api/v1/connections/{id}/done`: the user says that the bank's pop-up is dealt with.
pub(super) async fn done(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(connection): Path<String>,
) -> Response {
    if !same_origin(&headers) {
        return problem(StatusCode::FORBIDDEN, "This came from another site and was not done.");
    }
    if !basiq::is_id(&connection) {
        return problem(StatusCode::BAD_REQUEST, "This is not a connection's id.");
    }
    match take(&shared, &headers, &Command::Done { connection }).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(response) => response,
    }
}

async fn take(shared: &Shared, headers: &HeaderMap, command: &Command) -> Result<(), Response> {
    let actor = actor(headers);
    if let Err(error) = shared.state.commands.ask(command, shared.state.clock.now()).await {
        tracing::error!(%error, "a command cannot be taken down");
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store cannot be written just now; try again.",
        ));
    }
    tracing::info!(actor, ?command, "taken down from the page");
    Ok(())
}

/// Browsers say where a request comes from; a page of another site can make them send one, but not lie
/// about it. A program that is no browser says nothing and has no cookies or logins to abuse.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST)
        }
    }
}

/// Who acts: the user of the web configuration, which has checked the password already.
pub(super) fn actor(headers: &HeaderMap) -> String {
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok())
        .and_then(|login| Some(login.split_once(':')?.0.to_owned()));
    match basic {
        Some(user) => user.chars().filter(|c| !c.is_control()).take(64).collect(),
        None => "without a login".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_the_page_itself_and_programs_may_act() {
        for (pairs, expected) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("origin", "http://a.test:9766"), ("host", "a.test:9766")], true),
            (vec![("origin", "http://b.test"), ("host", "a.test:9766")], false),
            (vec![("origin", "null"), ("host", "a.test")], false),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://a.test"), ("host", "a.test")], false),
        ] {
            assert_eq!(same_origin(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_actor_is_the_login_without_its_password() {
        // ann:secret
        assert_eq!(actor(&headers(&[("authorization", "Basic YW5uOnNlY3JldA==")])), "ann");
        for header in ["Bearer x", "Basic !", "Basic YW5u"] {
            assert_eq!(actor(&headers(&[("authorization", header)])), "without a login");
        }
    }

    #[test]
    fn a_button_leads_back_to_a_page_of_ours_only() {
        let back = |path: &str| Pressed { back: path.to_owned(), ..Pressed::default() }.back().to_owned();
        assert_eq!(back("/incidents/INC-1"), "/incidents/INC-1");
        for path in ["//evil.test", "https://evil.test", "/incidents/\r\nx: y", "/-/reload", ""] {
            assert_eq!(back(path), "/incidents");
        }
    }
}
