//! `/events`, `/events/{id}` and `/events/types`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::{Answer, Params, connections::connection_json, links, ok, time, users::user_json};
use crate::{
    app::App,
    errors::ApiError,
    filter,
    world::{
        env::Env,
        events::{Event, TYPES},
        ids::Id,
        user::User,
    },
};

/// Events of a page, unless the sandbox was told another size.
const PAGE: usize = 500;

pub(super) async fn list(State(app): State<Arc<App>>, Query(params): Query<Params>) -> Answer {
    let filters = filter::parse(
        params.filter.as_deref(),
        &["user.id", "event.entity", "event.type", "event.createdDate"],
    )?;
    let now = app.clock.now();
    let size = app.page_size.unwrap_or(PAGE).min(params.limit.unwrap_or(PAGE)).max(1);
    // A page begins at a user and an event of that user: nothing is held between pages.
    let (from_user, from_event) = match params
        .next
        .as_deref()
        .map(|next| next.split_once('-').map(|(user, event)| (user.parse(), event.parse())))
    {
        None => (0, 0),
        Some(Some((Ok(user), Ok(event)))) => (user, event),
        Some(_) => {
            return Err(ApiError::bad(
                "parameter-not-valid",
                "The provided next parameter is not valid.",
                "next",
            ));
        }
    };
    let one_user = filters
        .iter()
        .find(|filter| filter.property == "user.id" && filter.condition == filter::Condition::Eq);
    let numbers: Box<dyn Iterator<Item = u32> + Send> = match one_user {
        Some(filter) => Box::new(filter.values.first().and_then(|id| app.world.user_number(id)).into_iter()),
        None => Box::new(app.world.numbers(from_user)),
    };
    let (mut data, mut next) = (Vec::new(), None);
    for number in numbers {
        app.world.read(number, now, |user, env| {
            let after = if number == from_user { from_event } else { 0 };
            for event in user.log.recent(now).filter(|event| event.number >= after) {
                let fits = filters.iter().all(|filter| match filter.property.as_str() {
                    "user.id" => filter.fits(&user.id),
                    "event.entity" => filter.fits(event.entity()),
                    "event.type" => filter.fits(event.event_type()) || filter.fits(event.kind),
                    _ => filter.fits(&time(event.at)),
                });
                if fits && data.len() == size {
                    next = Some(format!("{number}-{}", event.number));
                    return;
                }
                if fits {
                    data.push(listed(&app, user, event, env));
                }
            }
        });
        if next.is_some() {
            break;
        }
    }
    ok(json!({"type": "list", "data": data, "links": links(&app, "/events", &params, next)}))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let missing = || ApiError::not_found("Requested event does not exist.");
    let env = app.world.env();
    let Some(Id::Event { user, event }) = env.ids.read(&id) else { return Err(missing()) };
    let now = app.clock.now();
    let body = app.world.read(user, now, |user, env| {
        let event = user
            .log
            .get(event)
            .filter(|event| user.log.recent(now).any(|recent| recent.number == event.number))?;
        let mut body = listed(&app, user, event, env);
        body["data"] = entity(&app, user, event, env, now);
        Some(body)
    });
    ok(body.flatten().ok_or_else(missing)?)
}

pub(super) async fn types(State(app): State<Arc<App>>) -> Answer {
    let data: Vec<Value> = TYPES.iter().map(|(id, description)| type_json(&app, id, description)).collect();
    ok(
        json!({"type": "list", "size": data.len(), "count": data.len(), "data": data, "links": {"self": format!("{}/events/types", app.base)}}),
    )
}

pub(super) async fn event_type(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let (id, description) = TYPES
        .iter()
        .find(|(known, _)| *known == id)
        .ok_or_else(|| ApiError::not_found("Requested event type does not exist."))?;
    ok(type_json(&app, id, description))
}

fn type_json(app: &App, id: &str, description: &str) -> Value {
    json!({"type": "eventType", "id": id, "description": description, "links": {"self": format!("{}/events/types/{id}", app.base)}})
}

fn listed(app: &App, user: &User, event: &Event, env: &Env) -> Value {
    let id = env.ids.write(Id::Event { user: user.index, event: event.number });
    json!({
        "type": "event",
        "id": id,
        "createdDate": time(event.at),
        "entity": event.entity(),
        "eventType": event.event_type(),
        "userId": user.id,
        "dataRef": data_ref(app, user, event, env),
        "data": "",
        "links": {"self": format!("{}/events/{id}", app.base)},
    })
}

/// The resource that an event is about.
pub(crate) fn data_ref(app: &App, user: &User, event: &Event, env: &Env) -> String {
    let own = format!("{}/users/{}", app.base, user.id);
    let Some(connection) = event.connection else { return own };
    let id = env.ids.write(Id::Connection { user: user.index, connection });
    match event.entity() {
        "connection" => format!("{own}/connections/{id}"),
        "consent" => format!("{own}/consents/{id}"),
        entity => format!("{own}/{entity}?filter=connection.id.eq('{id}')"),
    }
}

fn entity(app: &App, user: &User, event: &Event, env: &Env, now: jiff::Timestamp) -> Value {
    let connection = event.connection.and_then(|number| user.connections.get(usize::from(number)));
    match (event.entity(), connection) {
        ("connection", Some(connection)) => connection_json(app, user, connection, env),
        ("user", _) => user_json(app, user, env, now),
        _ => json!({"links": {"self": data_ref(app, user, event, env)}}),
    }
}
