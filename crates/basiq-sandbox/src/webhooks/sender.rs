//! The task that announces events and delivers messages.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Announced, Message, Trick, sweep};
use crate::{
    app::App,
    routes::data_ref,
    world::{env::Env, events::Event, ids::Id, user::User},
};

/// Deliveries under way at once.
const AT_ONCE: usize = 32;
/// How long an endpoint may take, in real time.
const PATIENCE: Duration = Duration::from_secs(10);

struct Delivery {
    subscription: String,
    message: String,
    url: String,
    headers: [(&'static str, String); 3],
    body: String,
    /// Not noted in the message: a dishonest delivery.
    trick: bool,
}

/// Announces events and delivers messages until stopped.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    // Endpoints are on loopback in tests; those with TLS need a provider, which the process may have installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = match reqwest::Client::builder().timeout(PATIENCE).no_proxy().build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "webhooks cannot be sent");
            return;
        }
    };
    let mut under_way = JoinSet::new();
    loop {
        let now = app.clock.now();
        let wake = step(&app, now, &client, &mut under_way);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.changed.notified() => {}
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            () = app.clock.sleep_until(wake) => {}
        }
    }
}

/// Announces what happened and starts deliveries that are due; when to look again.
fn step(app: &Arc<App>, now: Timestamp, client: &reqwest::Client, under_way: &mut JoinSet<()>) -> Timestamp {
    let far = now.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    if app.webhooks.state().subscriptions.is_empty() {
        return far;
    }
    announce_held(app, now);
    let swept = sweep::announce_generated(app, now);
    for delivery in due(app, now, AT_ONCE.saturating_sub(under_way.len())) {
        let (client, app) = (client.clone(), Arc::clone(app));
        under_way.spawn(async move {
            let status = send(&client, &delivery).await;
            if !delivery.trick {
                note(&app, &delivery, status);
            }
            app.changed.notify_one();
        });
    }
    let state = app.webhooks.state();
    let pending = state
        .subscriptions
        .iter()
        .flat_map(|subscription| &subscription.messages)
        .filter(|message| !message.under_way);
    let next_message = pending.filter_map(|message| message.next).min().filter(|_| under_way.len() < AT_ONCE);
    drop(state);
    // Never in a tight loop: what is due already was started above, or waits for a free place.
    [next_message, app.world.next_due(), swept]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(far)
        .max(now + SignedDuration::from_millis(1))
}

fn announce_held(app: &App, now: Timestamp) {
    for number in app.world.held_numbers() {
        let from = app.webhooks.state().announced.get(&number).copied().unwrap_or(0);
        let found = app.world.read(number, now, |user, env| {
            let events: Vec<_> = user.log.from(from).map(|event| announced(app, user, event, env)).collect();
            (events, user.log.next())
        });
        let Some((events, next)) = found else { continue };
        let mut state = app.webhooks.state();
        for event in &events {
            state.announce(app.seed, now, event);
        }
        state.announced.insert(number, next);
    }
}

pub(super) fn announced(app: &App, user: &User, event: &Event, env: &Env) -> Announced {
    let id = env.ids.write(Id::Event { user: user.index, event: event.number });
    let links =
        json!({"event": format!("{}/events/{id}", app.base), "eventEntity": data_ref(app, user, event, env)});
    Announced {
        at: event.at,
        body: json!({"eventTypeId": event.kind, "eventId": id, "links": links}).to_string(),
        id,
        kind: event.kind.to_owned(),
    }
}

fn due(app: &App, now: Timestamp, places: usize) -> Vec<Delivery> {
    let mut state = app.webhooks.state();
    let mut found = Vec::new();
    while let Some(trick) = state.tricks.pop_front() {
        let last = |subscription: &super::Subscription| {
            let message = subscription.messages.iter().rev().find(|message| !message.attempts.is_empty())?;
            dishonest(subscription, message, trick, now)
        };
        found.extend(state.subscriptions.iter().filter_map(last));
    }
    for subscription in state.subscriptions.iter_mut().filter(|subscription| !subscription.disabled) {
        let (id, url, secret) =
            (subscription.id.clone(), subscription.url.clone(), subscription.secret.clone());
        let ready =
            |message: &&mut Message| !message.under_way && message.next.is_some_and(|next| next <= now);
        for message in subscription.messages.iter_mut().filter(ready) {
            if found.len() >= places {
                break;
            }
            if let Some(headers) = sign(&secret, &message.id, now, &message.body) {
                message.under_way = true;
                found.push(Delivery {
                    subscription: id.clone(),
                    message: message.id.clone(),
                    url: url.clone(),
                    headers,
                    body: message.body.clone(),
                    trick: false,
                });
            }
        }
    }
    found
}

fn dishonest(
    subscription: &super::Subscription,
    message: &Message,
    trick: Trick,
    now: Timestamp,
) -> Option<Delivery> {
    let first = message.attempts.last().map_or(now, |(at, _)| *at);
    let (id, at) = match trick {
        Trick::Forged => (format!("{}-forged", message.id), now),
        Trick::Late => (format!("{}-late", message.id), now - SignedDuration::from_mins(10)),
        Trick::Replayed => (message.id.clone(), first),
        Trick::Duplicated => (format!("{}-again", message.id), now),
    };
    // A forger does not know the secret.
    let secret = if trick == Trick::Forged { "whsec_bm90IHRoZSBzZWNyZXQ=" } else { &subscription.secret };
    let headers = sign(secret, &id, at, &message.body)?;
    Some(Delivery {
        subscription: subscription.id.clone(),
        message: id,
        url: subscription.url.clone(),
        headers,
        body: message.body.clone(),
        trick: true,
    })
}

fn sign(secret: &str, id: &str, at: Timestamp, body: &str) -> Option<[(&'static str, String); 3]> {
    let signature = Webhook::new(secret).ok()?.sign(id, at.as_second(), body.as_bytes()).ok()?;
    Some([
        (HEADER_WEBHOOK_ID, id.to_owned()),
        (HEADER_WEBHOOK_TIMESTAMP, at.as_second().to_string()),
        (HEADER_WEBHOOK_SIGNATURE, signature),
    ])
}

/// The status that the endpoint answered; 0 if it did not.
async fn send(client: &reqwest::Client, delivery: &Delivery) -> u16 {
    let mut request =
        client.post(&delivery.url).header("content-type", "application/json").body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(*name, value);
    }
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

fn note(app: &App, delivery: &Delivery, status: u16) {
    // The time that was signed, so that a replay can repeat it.
    let signed = delivery.headers[1].1.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    let at = signed.unwrap_or_else(|| app.clock.now());
    let mut state = app.webhooks.state();
    let Some(subscription) =
        state.subscriptions.iter_mut().find(|subscription| subscription.id == delivery.subscription)
    else {
        return;
    };
    let message = subscription.messages.iter_mut().find(|message| message.id == delivery.message);
    if message.is_some_and(|message| message.attempted(at, status)) {
        subscription.disabled = true;
    }
}
