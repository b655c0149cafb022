//! Buttons of the page and calls of the partner's application that change something. Each is taken down in the
//! store, from where a running alerter takes it within a second, and logged with its actor.

use async_trait::async_trait;
use axum::{
    Extension,
    extract::{Form, Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use daemon::Timestamp;
use serde::Deserialize;

use super::{Shared, identity::Actor, problem};
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

/// A button: its name, and what it is about. Fields that a form leaves empty are as if they were not there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pressed {
    what: String,
    /// The page to return to.
    back: String,
    connection: String,
    effect: String,
    hold: String,
    incident: String,
    institution: String,
    scenario: String,
    number: String,
    action: String,
    rule: String,
    user: String,
}

impl Pressed {
    fn command(&self) -> Option<Command> {
        let some = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let hold = || self.hold.trim().parse().ok();
        let pause = || {
            let action = some(&self.action);
            Some(Pause {
                // A name that is none must not become "every action".
                action: match &action {
                    Some(name) => Some(Action::parse(name)?),
                    None => None,
                },
                rule: some(&self.rule),
                institution: some(&self.institution),
                user: some(&self.user),
            })
        };
        Some(match self.what.as_str() {
            "done" => Command::Done { connection: some(&self.connection)? },
            "release" => Command::Release { hold: hold()? },
            "discard" => Command::Discard { hold: hold()? },
            "retry" => Command::Retry { effect: some(&self.effect)? },
            "cancel" => Command::Cancel { effect: some(&self.effect)? },
            "release-baseline" => Command::ReleaseBaseline {
                institution: some(&self.institution),
                scenario: some(&self.scenario),
                // Never all at once by a button: a first install may have thousands.
                number: Some(match some(&self.number) {
                    Some(number) => number.parse().ok().filter(|number| (1..=1000).contains(number))?,
                    None => 1,
                }),
            },
            "ticket-closed" => Command::TicketClosed { incident: some(&self.incident)?, wont_fix: false },
            "wont-fix" => Command::TicketClosed { incident: some(&self.incident)?, wont_fix: true },
            "pause" => Command::Pause(pause()?),
            "resume" => Command::Resume(pause()?),
            _ => return None,
        })
    }

    /// Only a page of ours, with a word on what was done.
    fn back(&self) -> String {
        let path = self.back.as_str();
        let ours = ["/incidents", "/effects", "/steering", "/banks"].into_iter().any(|page| {
            path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        let path = if ours && path.chars().all(|c| c.is_ascii_graphic()) { path } else { "/incidents" };
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}did={}", self.what)
    }
}

/// What the page says after a button was pressed.
pub(super) fn said(did: &str) -> Option<&'static str> {
    Some(match did {
        "done" => "Noted: one refresh follows.",
        "release" => "Released: what still holds goes out now.",
        "discard" => "Discarded: what was held will not go out.",
        "retry" => "It is tried again now.",
        "cancel" => "Cancelled: it will not go out.",
        "release-baseline" => "Released from the baseline: the rules apply to them from now on.",
        "ticket-closed" => "Noted: the ticket was closed.",
        "wont-fix" => "Noted: closed as won't fix.",
        "pause" => "Paused until it is resumed.",
        "resume" => "Resumed.",
        _ => return None,
    })
}

/// `POST /actions`: a button of the page.
pub(super) async fn act(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let Some(command) = pressed.command() else {
        return problem(StatusCode::BAD_REQUEST, "There is no such button, or something is missing.");
    };
    match take(&shared, &actor, &command).await {
        Ok(()) => {
            // The planner takes it within half a second; the page shows what became of it.
            tokio::time::sleep(super::TAKEN).await;
            Redirect::to(&pressed.back()).into_response()
        }
        Err(response) => response,
    }
}

/// `POST /api/v1/connections/{id}/done`: the user says that the bank's pop-up is dealt with.
pub(super) async fn done(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(connection): Path<String>,
) -> Response {
    if !basiq::is_id(&connection) {
        return problem(StatusCode::BAD_REQUEST, "This is not a connection's id.");
    }
    match take(&shared, &actor, &Command::Done { connection }).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(response) => response,
    }
}

async fn take(shared: &Shared, actor: &Actor, command: &Command) -> Result<(), Response> {
    if let Err(error) = shared.state.commands.ask(command, shared.state.clock.now()).await {
        tracing::error!(%error, "a command cannot be taken down");
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store cannot be written just now; try again.",
        ));
    }
    shared.overview.forget().await;
    tracing::info!(actor = actor.name, ?command, "taken down from the page");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_leads_back_to_a_page_of_ours_only() {
        let back = |path: &str| Pressed { back: path.to_owned(), ..Pressed::default() }.back();
        assert_eq!(back("/incidents/INC-1"), "/incidents/INC-1?did=");
        assert_eq!(back("/effects?state=dead"), "/effects?state=dead&did=");
        for path in
            ["//evil.test", "https://evil.test", "/incidents/\r\nx: y", "/-/reload", "", "/incidentsx"]
        {
            assert_eq!(back(path), "/incidents?did=");
        }
    }

    #[test]
    fn a_pause_of_an_action_that_is_none_does_not_pause_everything() {
        let pressed =
            Pressed { what: "pause".to_owned(), action: "notify-everybody".to_owned(), ..Pressed::default() };
        assert!(pressed.command().is_none());
    }
}
