//! The admin interface under `/sandbox/`: the truth, and changes while it runs. No authentication: it is loopback only.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::App,
    faults::Fault,
    http::read_body,
    population::Wave,
    scenario::{Act, At, BadScenario, Connection, Failure, Outage, Span, User},
    switches::Switches,
    truth,
    webhooks::Trick,
};

/// A change while the sandbox runs. As JSON: `{"act": {"user": "bighead", "connection": 0, "act": "give-credentials"}}`.
/// Users are named by the scenario's name or by id; connections are numbered from 0 in the scenario's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// A new user.
    AddUser(Box<User>),
    /// A new connection of a user; without `created` it is made now.
    AddConnection {
        /// Whose.
        user: String,
        /// What it is.
        connection: Box<Connection>,
    },
    /// Deletes a user.
    DeleteUser {
        /// Whom.
        user: String,
    },
    /// Something done to a connection now.
    Act {
        /// Whose.
        user: String,
        /// Which of the user's, from 0.
        #[serde(default)]
        connection: u8,
        /// What.
        act: Act,
    },
    /// A failure of a connection, from now on at the earliest; it comes before those told earlier.
    Fail {
        /// Whose.
        user: String,
        /// Which of the user's, from 0.
        #[serde(default)]
        connection: u8,
        /// How.
        failure: Box<Failure>,
    },
    /// Ends all failures of a connection.
    Heal {
        /// Whose.
        user: String,
        /// Which of the user's, from 0.
        #[serde(default)]
        connection: u8,
    },
    /// A connector's status for some time, from now on at the earliest; later ones win.
    Connector(Outage),
    /// Ends all outages of connectors now.
    ConnectorsOperational,
    /// A wave of failures, from now on at the earliest.
    Wave(Wave),
    /// Replaces the faults of the API.
    Faults(Vec<Fault>),
    /// Adds a fault of the API.
    AddFault(Fault),
    /// Replaces the switches.
    Switches(Switches),
    /// All tokens are worth nothing from now on.
    RevokeTokens,
    /// Dishonest webhooks, made of the last message that was sent.
    Webhook(Trick),
    /// Moves a manual clock.
    Advance(Span),
}

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/sandbox/truth", get(async |State(app): State<Arc<App>>| Json(truth::tell(&app))))
        .route("/sandbox/truth/{user}", get(one))
        .route("/sandbox/users", get(users))
        .route("/sandbox/faults", get(async |State(app): State<Arc<App>>| Json(app.faults().list())))
        .route(
            "/sandbox/switches",
            get(async |State(app): State<Arc<App>>| Json(app.world.env().switches.clone())),
        )
        .route(
            "/sandbox/clock",
            get(async |State(app): State<Arc<App>>| {
                Json(json!({"now": app.clock.now(), "epoch": app.epoch, "speed": app.clock.speed()}))
            }),
        )
        .route("/sandbox/change", post(change))
        .route("/sandbox/healthy", get(async || "Healthy.\n"))
}

async fn one(State(app): State<Arc<App>>, Path(user): Path<String>) -> Response {
    match truth::of_user(&app, &user) {
        Some(user) => Json(user).into_response(),
        None => (StatusCode::NOT_FOUND, format!("no user {user:?}\n")).into_response(),
    }
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

/// The ids of users, a page of them with `?from=&limit=`: Basiq itself has no such list.
async fn users(State(app): State<Arc<App>>, Query(range): Query<Range>) -> Json<Vec<String>> {
    let (ids, told) = (app.world.env().ids, app.world.held_numbers());
    let numbers = app.world.numbers(0).skip(range.from).take(range.limit.unwrap_or(10_000));
    Json(numbers.map(|number| truth::user_id(&app, &told, ids, number)).collect())
}

async fn change(State(app): State<Arc<App>>, body: Body) -> Response {
    let refuse = |what: String| (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response();
    let Ok(body) = read_body(body).await else { return refuse("larger than 1 MiB".to_owned()) };
    match serde_json::from_slice::<Change>(&body)
        .map_err(|error| error.to_string())
        .and_then(|change| apply(&app, change).map_err(|error| error.to_string()))
    {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(what) => refuse(what),
    }
}

/// Makes a change.
pub(crate) fn apply(app: &App, change: Change) -> Result<(), BadScenario> {
    let now = app.clock.now();
    let number = |user: &str| {
        app.world.find_user(user).ok_or_else(|| BadScenario(format!("there is no user {user:?}")))
    };
    let found = |done: Option<bool>, user: &str, connection: u8| match done {
        Some(true) => Ok(()),
        _ => Err(BadScenario(format!("user {user:?} has no connection {connection}"))),
    };
    match change {
        Change::AddUser(user) => drop(app.world.add_user(&user)?),
        Change::AddConnection { user, mut connection } => {
            connection.created.get_or_insert(At::Date(now));
            let told =
                User { name: user.clone(), connections: vec![(*connection).clone()], ..User::default() };
            told.check()?;
            let made =
                app.world.change(number(&user)?, now, |user, env| user.connect(&connection, env).is_some());
            found(made, &user, u8::MAX)?;
        }
        Change::DeleteUser { user } => {
            app.world.change(number(&user)?, now, |user, env| user.delete(now, env));
        }
        Change::Act { user, connection, act } => found(
            app.world.change(number(&user)?, now, |user, env| user.act(connection, now, act, env)),
            &user,
            connection,
        )?,
        Change::Fail { user, connection, failure } => {
            found(
                app.world.change(number(&user)?, now, |user, env| user.fail(connection, &failure, now, env)),
                &user,
                connection,
            )?;
        }
        Change::Heal { user, connection } => found(
            app.world.change(number(&user)?, now, |user, _| user.heal(connection, now)),
            &user,
            connection,
        )?,
        Change::Connector(mut outage) => {
            outage.check()?;
            outage.from = At::Date(outage.from.resolve(app.epoch).max(now));
            app.world.change_env(now, |env| env.outages.push(outage));
        }
        Change::ConnectorsOperational => app.world.change_env(now, |env| {
            for outage in &mut env.outages {
                let until = outage.until.map_or(now, |until| until.resolve(env.epoch).min(now));
                outage.until = Some(At::Date(until));
            }
        }),
        Change::Wave(mut wave) => {
            wave.check()?;
            wave.from = At::Date(wave.from.resolve(app.epoch).max(now));
            app.world.change_env(now, |env| env.population.waves.push(wave));
        }
        Change::Faults(faults) => {
            faults.iter().try_for_each(Fault::check)?;
            app.faults().replace(faults);
        }
        Change::AddFault(fault) => {
            fault.check()?;
            app.faults().add(fault);
        }
        Change::Switches(switches) => app.world.change_env(now, |env| env.switches = switches),
        Change::RevokeTokens => app.revoke_tokens(),
        Change::Webhook(trick) => app.webhooks.trick(trick),
        Change::Advance(span) => {
            let Some(hand) = &app.hand else { return Err(BadScenario("the clock is not manual".to_owned())) };
            hand.advance(Duration::try_from(span.0).unwrap_or_default());
        }
    }
    app.changed.notify_one();
    Ok(())
}
