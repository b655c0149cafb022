//! `/users/{id}/jobs` and `/jobs/{id}`.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    response::IntoResponse as _,
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Answer, Params, no_user, ok, page, time};
use crate::{
    app::App,
    errors::ApiError,
    filter,
    http::read_body,
    scenario::JobKind,
    switches::{
        DateSpelling, DetailSpelling, ExistingSteps, QueuedSteps, QueuedUpdated, Readable, SourceLink,
        Switches,
    },
    world::{
        connection::Connection,
        env::Env,
        ids::Id,
        job::{DAYS_7, FailedStep, Job, Left},
        user::User,
    },
};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Answer {
    let number = app.world.user_number(&id).ok_or_else(no_user)?;
    let filters = filter::parse(params.filter.as_deref(), &["connection.id"])?;
    let now = app.clock.now();
    let jobs = app.world.read(number, now, |user, env| {
        user.exists(now).then(|| {
            let mut jobs = Vec::new();
            for connection in &user.connections {
                let connection_id =
                    env.ids.write(Id::Connection { user: user.index, connection: connection.number });
                for job in connection.jobs.iter().filter(|job| job.is_listed(now)) {
                    if filters.iter().all(|filter| job.is_of_connection() && filter.fits(&connection_id)) {
                        jobs.push((
                            job.created,
                            job_json(&app, user, connection, job, env, now, Shape::Listed),
                        ));
                    }
                }
            }
            // Newest first.
            jobs.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
            jobs.into_iter().map(|(_, job)| job).collect::<Vec<_>>()
        })
    });
    let jobs = jobs.flatten().ok_or_else(no_user)?;
    let size = jobs.len();
    let (data, links) = page(&app, &format!("/users/{id}/jobs"), &params, app.page_size, jobs)?;
    ok(json!({"type": "list", "data": data, "size": size, "links": links}))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let missing = || ApiError::not_found("Requested job does not exist.");
    let found = app.world.job_number(&id).ok_or_else(missing)?;
    let now = app.clock.now();
    let body = app.world.read(found.user, now, |user, env| {
        let connection = user.connections.get(usize::from(found.connection))?;
        let job = connection.job(found.job)?;
        let longest = match env.switches.readable {
            Readable::Forever => SignedDuration::MAX,
            Readable::Day => DAYS_7 + SignedDuration::from_hours(24),
            Readable::Gone => DAYS_7,
        };
        let readable = now.duration_since(job.created) < longest && user.deleted.is_none();
        readable.then(|| job_json(&app, user, connection, job, env, now, Shape::Single))
    });
    ok(body.flatten().ok_or_else(missing)?)
}

pub(super) async fn mfa(State(app): State<Arc<App>>, Path(id): Path<String>, body: Body) -> Answer {
    let found =
        app.world.job_number(&id).ok_or_else(|| ApiError::not_found("Requested job does not exist."))?;
    let answer: Value = serde_json::from_slice(&read_body(body).await?).unwrap_or_default();
    if !answer["mfa-response"].is_array() {
        return Err(ApiError::bad("invalid-content", "Posted request not valid.", "mfa-response"));
    }
    let now = app.clock.now();
    let taken = app
        .world
        .change(found.user, now, |user, _| user.answer_mfa(found.connection, found.job, now))
        .unwrap_or_default();
    app.changed.notify_one();
    if !taken {
        return Err(ApiError::bad("parameter-not-valid", "The job does not wait for an answer.", "jobId"));
    }
    Ok((StatusCode::ACCEPTED, Json(reference(&app, &id))).into_response())
}

/// A job as a refresh and an MFA answer refer to it.
pub(super) fn reference(app: &App, id: &str) -> Value {
    json!({"type": "job", "id": id, "links": {"self": format!("{}/jobs/{id}", app.base)}})
}

/// Where a job is shown: lists and single resources differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Listed,
    Single,
}

/// A job as Basiq shows it at `now`.
pub(crate) fn job_json(
    app: &App,
    user: &User,
    connection: &Connection,
    job: &Job,
    env: &Env,
    now: Timestamp,
    shape: Shape,
) -> Value {
    let id = env.ids.write(Id::Job { user: user.index, connection: connection.number, job: job.number });
    let switches = &env.switches;
    let link = format!("{}/jobs/{id}", app.base);
    let (created, updated) = (job.created, updated(job, switches, now));
    let mut body = Map::new();
    body.insert("type".to_owned(), json!("job"));
    body.insert("id".to_owned(), json!(id));
    if job.kind == JobKind::Report {
        let done = job.settled;
        let millis = |at: Timestamp| time(at).replace('Z', ".000Z");
        let step = json!({"title": "create-report", "status": if done { "success" } else { "in-progress" }, "result": null});
        body.extend([
            ("partnerId".to_owned(), json!(env.ids.write(Id::User { user: 0 }))),
            ("applicationId".to_owned(), json!(env.ids.write(Id::User { user: 1 }))),
            ("created".to_owned(), json!(millis(created))),
            ("updated".to_owned(), json!(millis(updated))),
            ("status".to_owned(), json!(if done { "success" } else { "in-progress" })),
            ("jobType".to_owned(), json!("report")),
            ("steps".to_owned(), json!([step])),
            ("links".to_owned(), Value::Null),
        ]);
        return Value::Object(body);
    }
    let names = match switches.date_spelling {
        DateSpelling::Created => ["created", "updated"],
        DateSpelling::CreatedDate => ["createdDate", "updatedDate"],
    };
    body.insert(names[0].to_owned(), json!(time(created)));
    body.insert(names[1].to_owned(), json!(time(updated)));
    let connection_id = env.ids.write(Id::Connection { user: user.index, connection: connection.number });
    let source = format!("{}/users/{}/connections/{connection_id}", app.base, user.id);
    let mut links = json!({"self": link});
    let first_over = job.tries.first().is_some_and(|first| first.ended() <= now);
    if job.is_of_connection() && (switches.source_link == SourceLink::Always || first_over) {
        links["source"] = json!(source);
    }
    match shape {
        Shape::Single => {
            body.insert("jobType".to_owned(), json!("connection"));
        }
        Shape::Listed => {
            let institution = json!({"type": "institution", "id": connection.institution, "links": {"self": format!("{}/institutions/{}", app.base, connection.institution)}});
            body.insert("institution".to_owned(), institution);
        }
    }
    let detail = match (shape, switches.detail_spelling) {
        (Shape::Listed, DetailSpelling::Details) => "details",
        _ => "detail",
    };
    body.insert(
        "steps".to_owned(),
        Value::Array(steps(user, connection, job, &connection_id, switches, now, detail)),
    );
    body.insert("links".to_owned(), links);
    Value::Object(body)
}

/// `updated` of a job at `now`.
fn updated(job: &Job, switches: &Switches, now: Timestamp) -> Timestamp {
    let waits = job.tries.len() > 1 && job.left.is_none() || job.queued.is_some();
    if switches.queued_updated == QueuedUpdated::FirstFailure {
        match (job.left, job.tries.first()) {
            (None, Some(first)) if waits => return first.ended().min(now),
            (Some((at, Left::Expired)), _) => return at,
            _ => {}
        }
    }
    let Some(last) = job.last() else { return job.created };
    last.ends.iter().rev().find(|end| **end <= now).copied().unwrap_or(last.started)
}

fn steps(
    user: &User,
    connection: &Connection,
    job: &Job,
    connection_id: &str,
    switches: &Switches,
    now: Timestamp,
    detail: &str,
) -> Vec<Value> {
    let shown = |title: &str, status: &str, result: Value| json!({"title": title, "status": status, "result": result});
    let Some(last) = job.last() else {
        return job.titles.iter().map(|title| shown(title, "pending", Value::Null)).collect();
    };
    let running = now < last.ended();
    let between = if running { None } else { job.queued.map(|_| between_tries(job, switches)) };
    job.titles
        .iter()
        .enumerate()
        .map(|(index, title)| {
            let end = last.ends.get(index);
            let fails = index + 1 == last.ends.len() && last.failed.is_some();
            match (between, end) {
                (Some(QueuedSteps::Pending), _) | (_, None) => shown(title, "pending", Value::Null),
                (_, Some(end)) if now < *end => {
                    let begun = index == 0 || last.ends.get(index - 1).is_some_and(|before| *before <= now);
                    let result = if begun && job.mfa == Some(index) { challenge() } else { Value::Null };
                    shown(title, if begun { "in-progress" } else { "pending" }, result)
                }
                (Some(QueuedSteps::InProgress), Some(_)) if fails => shown(title, "in-progress", Value::Null),
                (_, Some(_)) => match &last.failed {
                    Some((failed, _)) if fails => shown(title, "failed", failure(failed, detail)),
                    _ => shown(title, "success", success(user, connection, connection_id, title)),
                },
            }
        })
        .collect()
}

fn between_tries(job: &Job, switches: &Switches) -> QueuedSteps {
    let answered = job.last().is_some_and(|last| job.answered.is_some_and(|at| at >= last.ended()));
    match switches.existing_steps {
        ExistingSteps::Failed if answered => QueuedSteps::Failed,
        ExistingSteps::Reset if answered => QueuedSteps::Pending,
        _ => switches.queued_steps,
    }
}

fn failure(failed: &FailedStep, detail: &str) -> Value {
    let mut result = json!({"code": failed.code, "title": failed.title});
    result[detail] = json!(failed.detail);
    result
}

fn success(user: &User, connection: &Connection, connection_id: &str, title: &str) -> Value {
    let url = match title {
        "verify-credentials" => format!("/users/{}/connections/{connection_id}", user.id),
        "retrieve-accounts" => {
            format!("/users/{}/accounts?filter=institution.id.eq('{}')", user.id, connection.institution)
        }
        "retrieve-transactions" => {
            format!("/users/{}/transactions?filter=institution.id.eq('{}')", user.id, connection.institution)
        }
        _ => return Value::Null,
    };
    json!({"type": "link", "url": url})
}

/// The challenge that a user is shown while an MFA step waits.
fn challenge() -> Value {
    json!({"type": "mfa-challenge", "title": "Please enter the code that was sent to you."})
}
