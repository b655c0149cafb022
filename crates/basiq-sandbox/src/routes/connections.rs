//! `/users/{id}/connections` and the refresh of one.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    response::IntoResponse as _,
};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Answer, Params,
    jobs::{Shape, job_json, reference},
    no_user, ok, page, time,
};
use crate::{
    app::App,
    errors::ApiError,
    filter,
    requests::RefreshSeen,
    scenario::{Act, Method},
    switches::{ExistingBody, MethodSpelling, RefreshInvalid, Switches},
    world::{
        connection::{Connection, Refreshed},
        env::Env,
        ids::Id,
        user::User,
    },
};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Answer {
    let number = app.world.user_number(&id).ok_or_else(no_user)?;
    let filters = filter::parse(
        params.filter.as_deref(),
        &["connection.id", "connection.status", "id", "status", "institution.id"],
    )?;
    let now = app.clock.now();
    let found = app.world.read(number, now, |user, env| {
        user.exists(now).then(|| {
            let fits = |connection: &Connection, body: &Value| {
                filters.iter().all(|filter| {
                    filter.fits(match filter.property.as_str() {
                        "connection.status" | "status" => connection.status.as_str(),
                        "institution.id" => &connection.institution,
                        _ => body["id"].as_str().unwrap_or_default(),
                    })
                })
            };
            let all =
                user.living(now).map(|connection| (connection, connection_json(&app, user, connection, env)));
            all.filter(|(connection, body)| fits(connection, body)).map(|(_, body)| body).collect::<Vec<_>>()
        })
    });
    let found = found.flatten().ok_or_else(no_user)?;
    let (data, links) = page(&app, &format!("/users/{id}/connections"), &params, app.page_size, found)?;
    ok(json!({"type": "list", "data": data, "links": links}))
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path((user, connection)): Path<(String, String)>,
) -> Answer {
    let (number, connection) = locate(&app, &user, &connection)?;
    let now = app.clock.now();
    let body = app.world.read(number, now, |user, env| {
        user.living(now)
            .find(|candidate| candidate.number == connection)
            .map(|connection| connection_json(&app, user, connection, env))
    });
    ok(body.flatten().ok_or_else(no_connection)?)
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path((user, connection)): Path<(String, String)>,
) -> Answer {
    let (number, connection) = locate(&app, &user, &connection)?;
    let now = app.clock.now();
    let deleted = app.world.change(number, now, |user, env| {
        let existed = user.living(now).any(|candidate| candidate.number == connection);
        user.act(connection, now, Act::Delete, env);
        existed
    });
    app.changed.notify_one();
    if deleted == Some(true) { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(no_connection()) }
}

pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Path((user_id, connection_id)): Path<(String, String)>,
) -> Answer {
    let (number, connection) = locate(&app, &user_id, &connection_id)?;
    let now = app.clock.now();
    let done = app.world.change(number, now, |user, env| {
        let outcome = user.refresh(connection, now, env)?;
        let (Refreshed::Started(job) | Refreshed::Existing(job)) = outcome else {
            return Some((outcome, None));
        };
        let job_id = env.ids.write(Id::Job { user: user.index, connection, job });
        let whole = user.connections.get(usize::from(connection)).and_then(|connection| {
            connection.job(job).map(|job| job_json(&app, user, connection, job, env, now, Shape::Single))
        });
        Some((outcome, Some((job_id, whole))))
    });
    let (outcome, job) = done.flatten().ok_or_else(no_connection)?;
    app.changed.notify_one();
    let job_id = job.as_ref().map(|(id, _)| id.clone());
    app.requests().refreshed(RefreshSeen { at: now, user_id, connection_id, job_id, outcome });
    let switches = app.world.env().switches.clone();
    match (outcome, job) {
        (Refreshed::Started(_), Some((id, _))) => {
            Ok((StatusCode::ACCEPTED, Json(reference(&app, &id))).into_response())
        }
        (Refreshed::Existing(_), Some((id, whole))) => ok(match (switches.existing_body, whole) {
            (ExistingBody::Job, Some(whole)) => whole,
            _ => reference(&app, &id),
        }),
        (Refreshed::Limit, _) => Err(ApiError::forbidden(
            "access-denied",
            "The daily number of refreshes of this connection is used up.",
        )),
        _ if switches.refresh_invalid == RefreshInvalid::Forbidden => {
            Err(ApiError::forbidden("access-denied", "The connection is invalid."))
        }
        _ => Err(ApiError::bad(
            "invalid-credentials",
            "The connection is invalid: its credentials must be updated first.",
            "connectionId",
        )),
    }
}

fn no_connection() -> ApiError {
    ApiError::not_found("Requested connection does not exist.")
}

fn locate(app: &App, user: &str, connection: &str) -> Result<(u32, u8), ApiError> {
    let number = app.world.user_number(user).ok_or_else(no_user)?;
    let connection = app.world.connection_number(number, connection).ok_or_else(no_connection)?;
    Ok((number, connection))
}

pub(super) fn method_name(method: Method, switches: &Switches) -> &'static str {
    match (method, switches.method_spelling) {
        (Method::Web, _) => "web",
        (Method::Openbanking, MethodSpelling::Openbanking) => "openbanking",
        (Method::Openbanking, MethodSpelling::OpenDashBanking) => "open-banking",
    }
}

pub(super) fn connection_json(app: &App, user: &User, connection: &Connection, env: &Env) -> Value {
    let id = env.ids.write(Id::Connection { user: user.index, connection: connection.number });
    let own = format!("{}/users/{}", app.base, user.id);
    let institution = format!("{}/institutions/{}", app.base, connection.institution);
    let mut body = json!({
        "type": "connection",
        "id": id,
        "method": method_name(connection.method, &env.switches),
        "status": connection.status.as_str(),
        "createdDate": time(connection.created),
        "expiryDate": time(connection.consent_expires),
        "institution": {"type": "institution", "id": connection.institution, "links": {"self": institution}},
        "links": {
            "self": format!("{own}/connections/{id}"),
            "institution": institution,
            "accounts": format!("{own}/accounts?filter=connection.id.eq('{id}')"),
            "transactions": format!("{own}/transactions?filter=connection.id.eq('{id}')"),
        },
    });
    if let Some(used) = connection.last_used.filter(|used| *used > Timestamp::MIN) {
        body["lastUsed"] = json!(time(used));
    }
    body
}
