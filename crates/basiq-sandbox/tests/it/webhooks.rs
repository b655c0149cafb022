//! Webhooks: what is sent, how it is signed, and what happens to an endpoint that does not answer.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use basiq_sandbox::{Change, Scenario, Trick, scenario::Act};
use http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Basiq, hours, minutes};

/// An endpoint that keeps what it gets and answers what it is told.
#[derive(Clone, Default)]
struct Endpoint {
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    failing: Arc<Mutex<bool>>,
}

impl Endpoint {
    async fn start() -> (Self, String) {
        let endpoint = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let keep = async |State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes| {
            endpoint.got.lock().unwrap().push((headers, body));
            if *endpoint.failing.lock().unwrap() {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::NO_CONTENT
            }
        };
        let router = Router::new().route("/hook", post(keep)).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (endpoint, url)
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    async fn reaches(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        for _ in 0..500 {
            if self.count() >= count {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let got = self.got.lock().unwrap().clone();
        assert_eq!(got.len(), count);
        got
    }
}

async fn subscribe(basiq: &Basiq, url: &str, events: &[&str]) -> Value {
    let answer = basiq
        .call(
            Method::POST,
            "/notifications/webhooks",
            Some(json!({"url": url, "name": "test", "subscribedEvents": events})),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

fn kinds(got: &[(HeaderMap, Bytes)]) -> Vec<String> {
    got.iter()
        .map(|(_, body)| {
            serde_json::from_slice::<Value>(body).unwrap()["eventTypeId"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// Whether the signature fits, whatever the time.
fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let expected = Webhook::new(secret)
        .unwrap()
        .sign(&text("webhook-id"), text("webhook-timestamp").parse().unwrap(), body)
        .unwrap();
    text("webhook-signature").split(' ').any(|signature| signature == expected)
}

#[tokio::test]
async fn changes_are_announced_signed_and_lead_to_the_event_but_a_failing_bank_is_not() {
    let basiq = Basiq::yaml("users: [{name: a, connections: [{failures: [{as: bighead, from: 5m, until: credentials}]}, {institution: AU01001, failures: [{from: 0, queue: never}]}]}]").await;
    let (endpoint, url) = Endpoint::start().await;
    let webhook = subscribe(&basiq, &url, &["connection.invalidated", "connection.activated"]).await;
    basiq.pass(minutes(6)).await;
    basiq.handle.act("a", 0, Act::Update).unwrap();
    basiq.handle.act("a", 1, Act::Update).unwrap();
    basiq.pass(minutes(1)).await;
    endpoint.reaches(1).await;
    basiq.handle.act("a", 0, Act::GiveCredentials).unwrap();
    basiq.pass(minutes(1)).await;
    let got = endpoint.reaches(2).await;
    assert_eq!(kinds(&got), ["connection.invalidated", "connection.activated"]);
    for (headers, body) in &got {
        assert!(is_signed(webhook["secret"].as_str().unwrap(), headers, body));
    }
    let body: Value = serde_json::from_slice(&got[0].1).unwrap();
    let event = basiq.get(body["links"]["event"].as_str().unwrap()).await.body;
    assert_eq!(
        (&event["id"], &event["eventType"], &event["data"]["status"]),
        (&body["eventId"], &json!("invalidated"), &json!("active"))
    );
    assert_eq!(body["links"]["eventEntity"], event["dataRef"]);

    let path = format!("/notifications/webhooks/{}/messages", webhook["id"].as_str().unwrap());
    let messages = basiq.get(&path).await.body;
    assert_eq!(messages["data"].as_array().unwrap().len(), 2);
    assert_eq!(messages["data"][0]["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_retried_on_schedule_and_then_disabled() {
    let basiq = Basiq::yaml("users: [{name: a, connections: [{}]}]").await;
    let (endpoint, url) = Endpoint::start().await;
    *endpoint.failing.lock().unwrap() = true;
    let webhook = subscribe(&basiq, &url, &["connection.deleted"]).await;
    let path = format!("/notifications/webhooks/{}", webhook["id"].as_str().unwrap());
    basiq.handle.act("a", 0, Act::Delete).unwrap();
    endpoint.reaches(1).await;
    for (index, seconds) in [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000].into_iter().enumerate() {
        attempts(&basiq, &path, index + 1).await;
        assert_eq!(basiq.get(&path).await.body["status"], "active");
        basiq.pass(std::time::Duration::from_secs(seconds - 1)).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(endpoint.count(), index + 1, "not before its time");
        basiq.pass(std::time::Duration::from_secs(1)).await;
        endpoint.reaches(index + 2).await;
    }
    attempts(&basiq, &path, 8).await;
    assert_eq!(basiq.get(&path).await.body["status"], "disabled");
}

/// Waits until the sandbox has noted so many attempts of the first message.
async fn attempts(basiq: &Basiq, path: &str, count: usize) {
    for _ in 0..500 {
        let messages = basiq.get(&format!("{path}/messages")).await.body;
        if messages["data"][0]["attempts"].as_array().is_some_and(|attempts| attempts.len() >= count) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("no {count} attempts");
}

#[tokio::test]
async fn dishonest_messages_on_demand() {
    let basiq = Basiq::yaml("users: [{name: a, connections: [{}]}]").await;
    let (endpoint, url) = Endpoint::start().await;
    let webhook = subscribe(&basiq, &url, &["connection.updated"]).await;
    let secret = webhook["secret"].as_str().unwrap();
    basiq.handle.act("a", 0, Act::Update).unwrap();
    basiq.pass(minutes(1)).await;
    let honest = endpoint.reaches(1).await.remove(0);
    attempts(&basiq, &format!("/notifications/webhooks/{}", webhook["id"].as_str().unwrap()), 1).await;
    for (count, trick) in
        [Trick::Forged, Trick::Late, Trick::Replayed, Trick::Duplicated].into_iter().enumerate()
    {
        basiq.hand.advance(minutes(1));
        basiq.handle.change(Change::Webhook(trick)).unwrap();
        let (headers, body) = endpoint.reaches(count + 2).await.pop().unwrap();
        let age = basiq.handle.truth().now.as_second()
            - headers["webhook-timestamp"].to_str().unwrap().parse::<i64>().unwrap();
        let same_id = headers["webhook-id"] == honest.0["webhook-id"];
        assert_eq!(body, honest.1);
        assert_eq!(
            (is_signed(secret, &headers, &body), age >= 600, same_id),
            match trick {
                Trick::Forged => (false, false, false),
                Trick::Late => (true, true, false),
                Trick::Replayed => (true, false, true),
                Trick::Duplicated => (true, false, false),
            },
            "{trick:?}"
        );
    }
}

#[tokio::test]
async fn subscriptions_are_listed_changed_deleted_and_refused() {
    let basiq = Basiq::start(Scenario::default()).await;
    let first = subscribe(&basiq, "http://127.0.0.1:9/a", &["user.created"]).await;
    let add = async |body: Value| basiq.call(Method::POST, "/notifications/webhooks", Some(body)).await;
    assert_eq!(
        add(json!({"url": "http://127.0.0.1:9/a", "subscribedEvents": ["user.deleted"]})).await.status,
        409
    );
    let taken = add(json!({"url": "http://127.0.0.1:9/b", "subscribedEvents": ["user.created"]})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.body["data"][0]["code"].as_str()),
        (400, Some("event-already-subscribed"))
    );
    assert_eq!(
        add(json!({"url": "http://127.0.0.1:9/b", "subscribedEvents": ["bank.failed"]})).await.status,
        400
    );
    assert_eq!(add(json!({"url": "nonsense"})).await.status, 400);
    let path = format!("/notifications/webhooks/{}", first["id"].as_str().unwrap());
    let changed = basiq
        .call(
            Method::POST,
            &path,
            Some(json!({"url": "http://127.0.0.1:9/c", "subscribedEvents": ["bank.failed", "user.deleted"]})),
        )
        .await;
    assert_eq!(
        (changed.status.as_u16(), changed.body.get("secret").is_some()),
        (400, false),
        "{}",
        changed.body
    );
    let changed = basiq
        .call(
            Method::POST,
            &path,
            Some(json!({"url": "http://127.0.0.1:9/c", "subscribedEvents": ["user.deleted"]})),
        )
        .await;
    assert_eq!((changed.status.as_u16(), changed.body["url"].as_str()), (200, Some("http://127.0.0.1:9/c")));
    assert_eq!(basiq.get("/notifications/webhooks").await.body["count"], 1);
    assert_eq!(basiq.call(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(basiq.call(Method::DELETE, &path, None).await.status, 404);
}

#[tokio::test]
async fn generated_users_are_announced_once_each() {
    let basiq =
        Basiq::yaml("population: {users: 400, every: 4h, wrong_credentials: 0.2, unavailable: 0.3}").await;
    let (endpoint, url) = Endpoint::start().await;
    subscribe(
        &basiq,
        &url,
        &["connection.invalidated", "connection.activated", "connection.updated", "consent.warning"],
    )
    .await;
    for _ in 0..18 {
        basiq.pass(minutes(20)).await;
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    basiq.pass(hours(0)).await;
    let start = basiq.handle.epoch();
    let end = basiq.handle.truth().now;
    let mut expected = 0;
    for id in basiq.handle.user_ids() {
        let events = basiq.handle.truth_of(&id).unwrap().events;
        expected += events
            .iter()
            .filter(|event| {
                start < event.at
                    && event.at <= end
                    && ["connection.invalidated", "connection.activated", "connection.updated"]
                        .contains(&event.kind)
            })
            .count();
    }
    assert!(expected > 400, "{expected}");
    let got = endpoint.reaches(expected).await;
    let mut ids: Vec<_> = got
        .iter()
        .map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap()["eventId"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), expected);
}
