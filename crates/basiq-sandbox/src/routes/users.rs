//! `/users/{id}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::IntoResponse as _,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, no_user, ok};
use crate::{
    app::App,
    world::{env::Env, ids::Id, user::User},
};

pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let number = app.world.user_number(&id).ok_or_else(no_user)?;
    let now = app.clock.now();
    let body = app
        .world
        .read(number, now, |user, env| user.exists(now).then(|| user_json(&app, user, env, now)))
        .flatten();
    ok(body.ok_or_else(no_user)?)
}

pub(super) async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let number = app.world.user_number(&id).ok_or_else(no_user)?;
    let now = app.clock.now();
    let deleted = app.world.change(number, now, |user, env| {
        let existed = user.exists(now);
        user.delete(now, env);
        existed
    });
    app.changed.notify_one();
    if deleted == Some(true) { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(no_user()) }
}

pub(crate) fn user_json(app: &App, user: &User, env: &Env, now: jiff::Timestamp) -> Value {
    let own = format!("{}/users/{}", app.base, user.id);
    let connections: Vec<Value> = user
        .living(now)
        .map(|connection| {
            let id = env.ids.write(Id::Connection { user: user.index, connection: connection.number });
            json!({"type": "connection", "links": {"self": format!("{own}/connections/{id}")}, "id": id})
        })
        .collect();
    json!({
        "type": "user",
        "id": user.id,
        "email": user.email,
        "mobile": user.mobile,
        "name": format!("{} {}", user.first_name, user.last_name).trim(),
        "firstName": user.first_name,
        "middleName": "",
        "lastName": user.last_name,
        "connections": {"type": "list", "count": connections.len(), "data": connections},
        "accounts": {"type": "list", "count": 0, "data": []},
        "links": {
            "self": own,
            "connections": format!("{own}/connections"),
            "accounts": format!("{own}/accounts"),
            "transactions": format!("{own}/transactions"),
            "auth_link": format!("{own}/auth_link"),
        },
    })
}
