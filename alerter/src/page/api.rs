//! `/api/v1`: the same answers for the partner's application.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    Shared,
    handlers::{failed, viewed},
    identity::Actor,
    words,
};
use crate::{
    incidents::{Class, Incident, MessageState, Status},
    store::IncidentFilter,
};

/// Most connections of one user.
const MOST: u32 = 100;

/// What a partner's application shows its user.
#[derive(Serialize)]
struct UserStatus {
    user_id: String,
    connections: Vec<ConnectionStatus>,
}

/// A connection that fails. One that works is not listed.
#[derive(Serialize)]
struct ConnectionStatus {
    connection_id: String,
    institution_id: String,
    institution_name: String,
    method: String,
    scenario: String,
    explanation: String,
    next_step: &'static str,
    /// `user`, `bank`, `basiq`, `automatic` or `support`: who has to do something now.
    waits_for: &'static str,
    /// Whether `POST /api/v1/connections/{id}/done` makes sense: the user has to deal with the bank's pop-up.
    can_be_done: bool,
    failing_since: String,
    last_failure: String,
    reference: String,
    /// Already failing when it was first seen: nobody is told anything of it.
    baseline: bool,
    told: bool,
    told_at: Option<String>,
    refreshes: usize,
    ticket: bool,
}

fn connection(incident: &Incident) -> ConnectionStatus {
    let told_at = incident.messages.iter().find_map(|message| match message.state {
        MessageState::Told { at } => Some(at.to_string()),
        _ => None,
    });
    ConnectionStatus {
        connection_id: incident.connection.clone(),
        institution_id: incident.institution.clone(),
        institution_name: incident.institution_name.clone(),
        method: incident.method.clone(),
        scenario: incident.scenario.clone(),
        explanation: words::scenario(&incident.scenario).to_owned(),
        next_step: words::next_step(incident),
        waits_for: words::waits_for(incident),
        can_be_done: incident.status == Status::Open
            && incident.class == Class::BankAction
            && incident.done.is_none(),
        failing_since: incident.failing_since.to_string(),
        last_failure: incident.last_failure.to_string(),
        reference: incident.reference.clone(),
        baseline: incident.baseline.is_some(),
        told: told_at.is_some(),
        told_at,
        refreshes: incident.attempts.len(),
        ticket: incident.ticket.is_some(),
    }
}

/// `GET /api/v1/users/{id}/status`: the user's connections that fail.
pub(super) async fn status(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Response {
    let filter = IncidentFilter {
        open: Some(true),
        user: Some(user.clone()),
        limit: MOST,
        ..IncidentFilter::default()
    };
    let incidents = match shared.state.store.incidents(&filter).await {
        Ok(incidents) => incidents,
        Err(error) => return failed(&error),
    };
    for incident in &incidents {
        viewed(&actor, &incident.reference);
    }
    let connections = incidents.iter().map(|incident| connection(incident)).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(UserStatus { user_id: user, connections })).into_response()
}
