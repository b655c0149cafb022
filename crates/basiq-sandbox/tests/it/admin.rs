//! The admin interface over HTTP, and Basiq's files against every route.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    openapi,
    support::{Basiq, failed, minutes},
};

impl Basiq {
    /// A change by the admin interface; its status and what it said.
    async fn change(&self, change: Value) -> (u16, String) {
        let response = self.request(Method::POST, "/sandbox/change", Some(change)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn admin(&self, path: &str) -> Value {
        self.request(Method::GET, path, None).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn everything_can_be_changed_over_http() {
    let basiq = Basiq::yaml("population: {users: 3}").await;
    for change in [
        json!({"add-user": {"name": "a", "email": "a@people.example", "connections": [{}]}}),
        json!({"add-connection": {"user": "a", "connection": {"institution": "AU01001"}}}),
        json!({"fail": {"user": "a", "failure": {"code": "maintenance"}}}),
        json!({"act": {"user": "a", "connection": 0, "act": "update"}}),
        json!({"connector": {"institution": "AU01001", "status": "partial-outage", "from": "0"}}),
        json!({"wave": {"from": "0", "until": "1h", "share": 0.0, "code": "maintenance"}}),
        json!({"add-fault": {"route": "job", "kind": {"status": {"code": 503}}}}),
        json!({"switches": {"queued_steps": "pending"}}),
        json!({"webhook": "forged"}),
        json!({"advance": "1m"}),
    ] {
        assert_eq!(basiq.change(change.clone()).await, (204, String::new()), "{change}");
    }
    assert_eq!(basiq.admin("/sandbox/switches").await["queued_steps"], "pending");
    assert_eq!(basiq.admin("/sandbox/faults").await[0][0]["route"], "job");
    let truth = basiq.admin("/sandbox/truth/a").await;
    assert_eq!(truth["connections"][0]["jobs"][0]["tries"][0]["failed"][1], "maintenance");
    assert_eq!(truth["connections"][1]["jobs"][0]["kind"], "create");
    assert_eq!(basiq.admin("/sandbox/users?from=1&limit=2").await.as_array().unwrap().len(), 2);
    assert_eq!(basiq.admin("/sandbox/clock").await["now"], "2026-03-02T09:01:00Z");
    let shown = basiq.get("/connectors?filter=connector.status.eq('partial-outage')").await.body;
    assert_eq!(shown["totalCount"], 2, "both connectors of the bank");

    for change in [
        json!("heal"),
        json!({"heal": {"user": "nobody"}}),
        json!({"act": {"user": "a", "connection": 7, "act": "update"}}),
        json!({"connector": {"institution": "x", "status": "operational", "from": "0"}}),
    ] {
        let (status, said) = basiq.change(change.clone()).await;
        assert!(status == 400 && said.len() > 5, "{change}: {said}");
    }
    for change in [
        json!({"heal": {"user": "a"}}),
        json!("connectors-operational"),
        json!({"faults": []}),
        json!({"delete-user": {"user": "a"}}),
        json!("revoke-tokens"),
    ] {
        assert_eq!(basiq.change(change.clone()).await, (204, String::new()), "{change}");
    }
    assert_eq!(basiq.get("/connectors").await.status, 401);
    basiq.renew().await;
    assert_eq!(basiq.get("/users/a").await.status, 404, "names are no ids of Basiq");
    let gone = basiq.admin("/sandbox/truth/a").await;
    assert_eq!(basiq.get(&format!("/users/{}", gone["id"].as_str().unwrap())).await.status, 404);
}

/// Reads every route of a world that has everything in it; `Basiq` holds each answer against the files.
#[tokio::test]
async fn every_route_answers_as_basiqs_files_say() {
    let basiq = Basiq::yaml(
        "
users:
  - name: a
    email: a@people.example
    created: -1h
    connections:
      - {created: -30m, failures: [{as: bighead, from: 0}], timeline: [{at: 1m, do: update}, {at: 2m, do: report}, {at: 2m, do: statement}]}
      - {method: openbanking, created: -20m, consent_expires: 5m, timeline: [{at: 10m, do: give-credentials}]}
      - {institution: AU00001, mfa_answer: never, timeline: [{at: 1m, do: update}]}
      - {failures: [{from: 0}], timeline: [{at: 1m, do: update}]}
      - {failures: [{as: erlich}], timeline: [{at: 1m, do: update}]}
      - {method: openbanking, created: 3m}
",
    )
    .await;
    basiq.call(Method::POST, "/notifications/webhooks", Some(json!({"url": "http://127.0.0.1:9/"}))).await;
    for _ in 0..4 {
        basiq.pass(minutes(3)).await;
        let user = basiq.user("a");
        for path in ["", "/jobs", "/connections", "/connections?filter=status.eq('invalid')"] {
            assert_eq!(basiq.get(&format!("/users/{user}{path}")).await.status, 200);
        }
        for job in basiq.jobs("a").await {
            let single = basiq.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
            assert_eq!(single.status, 200);
            assert_eq!(failed(&single.body).map(|(step, _)| step), failed(&job).map(|(step, _)| step));
        }
        for event in basiq.get("/events").await.body["data"].as_array().unwrap() {
            assert_eq!(basiq.get(&format!("/events/{}", event["id"].as_str().unwrap())).await.status, 200);
        }
        for connection in basiq.handle.connection_ids("a") {
            let refreshed = basiq.post(&format!("/users/{user}/connections/{connection}/refresh")).await;
            assert!([200, 202, 400, 404].contains(&refreshed.status.as_u16()), "{}", refreshed.body);
        }
    }
    for path in ["/connectors", "/events/types", "/events/types/user.created", "/notifications/webhooks"] {
        assert_eq!(basiq.get(path).await.status, 200, "{path}");
    }
    let webhooks = basiq.get("/notifications/webhooks").await.body;
    let webhook = format!("/notifications/webhooks/{}", webhooks["data"][0]["id"].as_str().unwrap());
    let messages = basiq.get(&format!("{webhook}/messages?limit=3")).await.body;
    assert_eq!(messages["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        basiq
            .get(&format!("{webhook}/messages/{}", messages["data"][0]["id"].as_str().unwrap()))
            .await
            .status,
        200
    );
    assert_eq!(
        basiq
            .call(Method::POST, "/notifications/messages/test", Some(json!({"eventTypeId": "user.created"})))
            .await
            .status,
        201
    );
    let user = format!("/users/{}", basiq.user("a"));
    let connection = format!("{user}/connections/{}", basiq.handle.connection_ids("a")[0]);
    for path in [&webhook, &connection, &user] {
        assert_eq!(basiq.call(Method::DELETE, path, None).await.status, 204, "{path}");
        assert_eq!(basiq.get(path).await.status, 404, "{path}");
    }
}

#[test]
fn every_allowed_violation_names_its_page_once() {
    let lines = openapi::allowed();
    let mut seen = std::collections::HashSet::new();
    for (violation, page) in lines {
        assert!(seen.insert(*violation), "listed twice: {violation}");
        assert!(page.starts_with("Guide \"") || page.starts_with("Reference \""), "{violation}: {page}");
    }
}
