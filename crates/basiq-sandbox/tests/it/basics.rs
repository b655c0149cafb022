//! Tokens, errors, lists and filters.

use basiq_sandbox::{SandboxConfig, Scenario};

use crate::support::{Basiq, hours};

#[tokio::test]
async fn a_wrong_key_is_404_and_a_token_lives_an_hour_of_the_clock() {
    let basiq = Basiq::start(Scenario::quickstart().unwrap()).await;
    let wrong = basiq.token_with("d3Jvbmc=", "SERVER_ACCESS").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.body["data"][0]["code"].as_str()),
        (404, Some("resource-not-found"))
    );
    assert!(!wrong.body["correlationId"].as_str().unwrap().is_empty());

    assert_eq!(basiq.get("/connectors").await.status, 200);
    basiq.hand.advance(hours(1));
    let expired = basiq.get("/connectors").await;
    assert_eq!(
        (expired.status.as_u16(), expired.body["data"][0]["detail"].as_str()),
        (401, Some("Token has expired"))
    );
    basiq.renew().await;
    assert_eq!(basiq.get("/connectors").await.status, 200);

    let client = basiq.token_with(&basiq.handle.api_key, "CLIENT_ACCESS").await;
    basiq.use_token(client.body["access_token"].as_str().unwrap());
    assert_eq!(basiq.get("/connectors").await.status, 403);
    basiq.use_token("nonsense");
    assert_eq!(basiq.get("/connectors").await.status, 401);
}

#[tokio::test]
async fn more_than_1500_tokens_in_five_minutes_are_403() {
    let basiq = Basiq::start(Scenario::default()).await;
    for _ in 1..1500 {
        assert_eq!(basiq.token_with(&basiq.handle.api_key, "SERVER_ACCESS").await.status, 200);
    }
    assert_eq!(basiq.token_with(&basiq.handle.api_key, "SERVER_ACCESS").await.status, 403);
    basiq.hand.advance(crate::support::minutes(5));
    assert_eq!(basiq.token_with(&basiq.handle.api_key, "SERVER_ACCESS").await.status, 200);
}

#[tokio::test]
async fn connectors_are_about_330_and_filtered() {
    let basiq = Basiq::start(Scenario::quickstart().unwrap()).await;
    let all = basiq.get("/connectors").await.body;
    assert!((325..345).contains(&all["totalCount"].as_u64().unwrap()));
    basiq.pass(hours(1)).await;
    let down = basiq.get("/connectors?filter=connector.status.eq('major-outage')").await.body;
    let ids: Vec<_> = down["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|connector| (connector["id"].as_str().unwrap(), connector["method"].as_str().unwrap()))
        .collect();
    assert_eq!(ids, [("AU01001", "web")]);
    let hooli = basiq.get("/connectors?filter=connector.id.eq('AU00000')").await.body;
    assert_eq!(hooli["totalCount"], 2);
    assert_eq!(basiq.get("/connectors?filter=connector.colour.eq('red')").await.status, 400);
}

#[tokio::test]
async fn what_is_not_there_is_404_with_basiqs_body() {
    let basiq = Basiq::start(Scenario::quickstart().unwrap()).await;
    let user = basiq.user("bighead");
    for path in [
        "/users/nobody",
        "/users/nobody/jobs",
        "/jobs/nothing",
        "/events/nothing",
        "/nowhere",
        &format!("/users/{user}/connections/none"),
    ] {
        let answer = basiq.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body["data"][0]["code"].as_str()),
            (404, Some("resource-not-found")),
            "{path}"
        );
        assert_eq!(answer.body["type"], "list");
    }
    let bad = basiq.get(&format!("/users/{user}/jobs?filter=nonsense")).await;
    assert_eq!(
        (bad.status.as_u16(), bad.body["data"][0]["code"].as_str()),
        (400, Some("parameter-not-valid"))
    );
}

#[tokio::test]
async fn lists_are_paged_by_links_next() {
    let scenario = Scenario::quickstart().unwrap();
    let whole = Basiq::start(scenario.clone()).await;
    let paged =
        Basiq::start_with(SandboxConfig { scenario, page_size: Some(7), ..SandboxConfig::default() }).await;
    for (path, key) in
        [("/connectors", "id"), ("/events", "id"), ("/events?filter=event.entity.eq('connection')", "id")]
    {
        let ids = |body: &serde_json::Value| {
            body["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item[key].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let expected = ids(&whole.get(path).await.body);
        let (mut seen, mut next, mut pages) = (Vec::new(), Some(path.to_owned()), 0);
        while let Some(path) = next {
            let body = paged.get(&path).await.body;
            seen.extend(ids(&body));
            pages += 1;
            next = body["links"]["next"].as_str().map(str::to_owned);
        }
        assert!(pages > 1, "{path}");
        assert_eq!(seen, expected, "{path}");
    }
}
