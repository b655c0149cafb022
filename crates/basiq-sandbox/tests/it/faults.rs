//! Faults of the API on demand.

use std::time::Duration;

use basiq_sandbox::{
    SandboxConfig, Scenario, Switches,
    faults::{Fault, FaultKind},
    scenario::Span,
    switches::ThrottleBody,
};
use reqwest::Method;

use crate::support::{Basiq, minutes};

async fn with(fault: Fault) -> Basiq {
    let mut basiq = Basiq::start(Scenario::quickstart().unwrap()).await;
    basiq.handle.set_faults(vec![fault]).unwrap();
    basiq.unchecked = true;
    basiq
}

#[tokio::test]
async fn statuses_come_with_basiqs_bodies_and_touch_nothing() {
    for (code, error) in [
        (429, "too-many-requests"),
        (403, "forbidden-access"),
        (500, "internal-server-error"),
        (503, "service-unavailable"),
    ] {
        let basiq = with(Fault::on("refresh", FaultKind::Status { code, retry_after: Some(7) })).await;
        let path = format!(
            "/users/{}/connections/{}/refresh",
            basiq.user("Gilfoyle"),
            basiq.handle.connection_ids("Gilfoyle")[0]
        );
        let response = basiq.request(Method::POST, &path, None).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()),
            (code, "7")
        );
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["data"][0]["code"], error);
        assert!(basiq.handle.truth().refreshes.is_empty(), "a refused refresh made no job");
        assert_eq!(basiq.get("/connectors").await.status, 200, "other routes are not met");
    }
}

#[tokio::test]
async fn the_body_of_throttling_is_a_switch() {
    for throttle_body in ThrottleBody::ALL {
        let mut scenario = Scenario::quickstart().unwrap();
        scenario.switches = Switches { throttle_body: *throttle_body, ..Switches::default() };
        scenario.faults = vec![Fault::on("connectors", FaultKind::Status { code: 403, retry_after: None })];
        let mut basiq = Basiq::start(scenario).await;
        basiq.unchecked = true;
        let answer = basiq.get("/connectors").await;
        assert_eq!(answer.status, 403);
        let code = answer.body["data"][0]["code"].as_str().unwrap_or_default();
        match throttle_body {
            ThrottleBody::Empty => assert_eq!(answer.body, ""),
            ThrottleBody::Html => assert!(answer.body.as_str().unwrap().starts_with("<html>")),
            ThrottleBody::ForbiddenAccess => assert_eq!(code, "forbidden-access"),
            ThrottleBody::AccessDenied => assert_eq!(code, "access-denied"),
            ThrottleBody::TooManyRequests => assert_eq!(code, "too-many-requests"),
        }
    }
}

#[tokio::test]
async fn bodies_are_cut_truncated_malformed_mistyped_and_huge() {
    for kind in [
        FaultKind::Cut,
        FaultKind::Truncate,
        FaultKind::Malform,
        FaultKind::WrongTypes,
        FaultKind::Huge(3_000_000),
    ] {
        let basiq = with(Fault::on("connectors", kind.clone())).await;
        let response = basiq.request(Method::GET, "/connectors", None).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.bytes().await;
        match kind {
            FaultKind::Cut => assert!(body.is_err()),
            FaultKind::Truncate | FaultKind::Malform => {
                assert!(serde_json::from_slice::<serde_json::Value>(&body.unwrap()).is_err())
            }
            FaultKind::WrongTypes => assert!(
                serde_json::from_slice::<serde_json::Value>(&body.unwrap()).unwrap()["type"].is_number()
            ),
            _ => assert!(body.unwrap().len() > 3_000_000),
        }
    }
}

#[tokio::test]
async fn slow_and_hanging_answers_and_a_refresh_that_happened_all_the_same() {
    let basiq =
        with(Fault::on("connectors", FaultKind::Slow(Span(jiff::SignedDuration::from_millis(300))))).await;
    let began = std::time::Instant::now();
    basiq.get("/connectors").await;
    assert!(began.elapsed() >= Duration::from_millis(300));

    let basiq = with(Fault::on("refresh", FaultKind::Hang)).await;
    let path = format!(
        "/users/{}/connections/{}/refresh",
        basiq.user("Gilfoyle"),
        basiq.handle.connection_ids("Gilfoyle")[0]
    );
    let hung = basiq.request(Method::POST, &path, None).timeout(Duration::from_millis(300)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(basiq.handle.truth().refreshes.len(), 1);
}

#[tokio::test]
async fn clock_skew_shifts_every_time() {
    let basiq = with(Fault::on("connections", FaultKind::Skew(Span::hours(2)))).await;
    let path = format!("/users/{}/connections", basiq.user("Gilfoyle"));
    let skewed = basiq.get(&path).await.body["data"][0]["createdDate"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    basiq.handle.set_faults(Vec::new()).unwrap();
    let right = basiq.get(&path).await.body["data"][0]["createdDate"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    assert_eq!(skewed.duration_since(right).as_secs(), 7200);
}

#[tokio::test]
async fn faults_have_a_share_a_time_and_a_number() {
    let basiq =
        with(Fault::on("connectors", FaultKind::Status { code: 500, retry_after: None }).share(0.3)).await;
    let mut met = 0;
    for _ in 0..200 {
        met += u32::from(basiq.get("/connectors?filter=connector.id.eq('AU00000')").await.status == 500);
    }
    assert!((35..90).contains(&met), "{met} of 200");

    basiq
        .handle
        .set_faults(vec![
            Fault::on("connectors", FaultKind::Status { code: 500, retry_after: None }).times(2),
        ])
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(basiq.get("/connectors").await.status.as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);

    let timed = Fault {
        from: Some(basiq_sandbox::scenario::At::minutes(5)),
        until: Some(basiq_sandbox::scenario::At::minutes(6)),
        ..Fault::on("connectors", FaultKind::Status { code: 500, retry_after: None })
    };
    basiq.handle.set_faults(vec![timed]).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(basiq.get("/connectors").await.status.as_u16());
        basiq.hand.advance(minutes(5));
    }
    assert_eq!(statuses, [200, 500, 200]);
}

#[tokio::test]
async fn a_rate_limit_answers_429_within_a_second_of_the_clock() {
    let basiq = Basiq::start_with(SandboxConfig { rate_limit: Some(5), ..SandboxConfig::default() }).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(basiq.get("/events/types").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429], "the token was the first of five");
    basiq.hand.advance(Duration::from_secs(1));
    assert_eq!(basiq.get("/events/types").await.status, 200);
    assert_eq!(basiq.handle.truth().peak_requests_per_second, 7);
}
