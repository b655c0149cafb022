//! What happens to connections: Basiq's test users, refresh, the 7-day list, recovery.

use basiq_sandbox::{
    Refreshed, Scenario, Status,
    scenario::{Act, Failure, Method, Queue, Until},
};
use serde_json::Value;

use crate::support::{Basiq, failed, hours, minutes};

/// The newest job of a user's list.
async fn newest(basiq: &Basiq, name: &str) -> Value {
    basiq.jobs(name).await.remove(0)
}

#[tokio::test]
async fn the_quickstart_begins_healthy_and_its_personas_fail_as_basiq_documents() {
    let basiq = Basiq::start(Scenario::quickstart().unwrap()).await;
    for user in basiq.handle.truth().users {
        // keenan's job has been in the retry queue for almost 7 days.
        let failing =
            user.connections.iter().any(|connection| connection.is_failing(basiq.handle.truth().now));
        assert_eq!(failing, user.name == "keenan", "{}", user.name);
    }
    basiq.pass(hours(1)).await;
    for (name, step, code, detail) in [
        ("bighead", "verify-credentials", "invalid-credentials", Some("Account is locked")),
        ("erlich", "retrieve-accounts", "account-not-accessible-requires-user-action", None),
        ("jianYang", "retrieve-accounts", "service-unavailable", None),
        ("monica", "verify-credentials", "invalid-credentials", None),
        ("dinesh", "retrieve-transactions", "service-unavailable", None),
        ("russ", "verify-credentials", "service-unavailable", None),
    ] {
        let job = newest(&basiq, name).await;
        let (failed_step, result) = failed(&job).unwrap_or_else(|| panic!("{name}: {job}"));
        assert_eq!((failed_step.as_str(), result["code"].as_str()), (step, Some(code)), "{name}");
        if let Some(detail) = detail {
            assert_eq!(result["details"], detail, "{name}");
        }
        assert_eq!(
            basiq.connection(name).await["status"],
            if code == "invalid-credentials" { "invalid" } else { "active" },
            "{name}"
        );
    }
    for name in ["gavinBelson", "Gilfoyle", "jared", "richard", "laurieBream", "ashMann"] {
        assert_eq!(failed(&newest(&basiq, name).await), None, "{name}");
    }
    basiq.pass(hours(5)).await;
    for user in basiq.handle.truth().users {
        let now = basiq.handle.truth().now;
        assert!(
            user.connections.iter().all(|connection| !connection.is_failing(now)),
            "{} ends well",
            user.name
        );
    }
}

#[tokio::test]
async fn steps_take_time_and_those_after_a_failure_stay_pending() {
    let basiq = Basiq::yaml(
        "users: [{name: a, connections: [{failures: [{step: retrieve-accounts, queue: never}]}]}]",
    )
    .await;
    let started = basiq.refresh("a").await;
    assert_eq!(started.status, 202);
    let path = format!("/jobs/{}", started.body["id"].as_str().unwrap());
    let statuses = |job: &Value| {
        job["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut seen: Vec<Vec<String>> = Vec::new();
    for _ in 0..40 {
        let job = basiq.get(&path).await.body;
        if seen.last() != Some(&statuses(&job)) {
            seen.push(statuses(&job));
        }
        basiq.hand.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(
        seen,
        [
            ["in-progress", "pending", "pending"],
            ["success", "in-progress", "pending"],
            ["success", "failed", "pending"]
        ]
    );
}

#[tokio::test]
async fn a_refresh_while_one_runs_is_200_with_the_same_job_and_202_afterwards() {
    let basiq = Basiq::yaml("users: [{name: a, connections: [{}]}]").await;
    let first = basiq.refresh("a").await;
    let second = basiq.refresh("a").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 200));
    assert_eq!(first.body["id"], second.body["id"]);
    basiq.pass(minutes(1)).await;
    let third = basiq.refresh("a").await;
    assert_eq!(third.status, 202);
    assert_ne!(first.body["id"], third.body["id"]);
    let outcomes: Vec<_> = basiq.handle.truth().refreshes.iter().map(|refresh| refresh.outcome).collect();
    assert!(
        matches!(outcomes[..], [Refreshed::Started(a), Refreshed::Existing(b), Refreshed::Started(c)] if a == b && c == a + 1),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn open_banking_allows_twenty_refreshes_a_day() {
    let basiq = Basiq::yaml(
        "users: [{name: a, connections: [{method: openbanking}]}, {name: b, connections: [{method: web}]}]",
    )
    .await;
    for name in ["a", "b"] {
        for _ in 0..20 {
            assert_eq!(basiq.refresh(name).await.status, 202);
            basiq.pass(minutes(1)).await;
        }
        assert_eq!(basiq.refresh(name).await.status, if name == "a" { 403 } else { 202 });
    }
    basiq.pass(hours(24)).await;
    assert_eq!(basiq.refresh("a").await.status, 202);
}

#[tokio::test]
async fn jobs_leave_the_list_after_seven_days_and_the_filter_keeps_one_connections_jobs() {
    let basiq = Basiq::yaml(
        "users: [{name: a, connections: [{timeline: [{at: 0, do: update}, {at: 1m, do: report}, {at: 1m, do: statement}]}, {institution: AU01001, timeline: [{at: 5m, do: update}]}]}]",
    )
    .await;
    basiq.pass(minutes(10)).await;
    assert_eq!(basiq.jobs("a").await.len(), 4);
    let user = basiq.user("a");
    for (index, connection) in basiq.handle.connection_ids("a").into_iter().enumerate() {
        let listed =
            basiq.get(&format!("/users/{user}/jobs?filter=connection.id.eq('{connection}')")).await.body;
        let jobs = listed["data"].as_array().unwrap();
        assert_eq!(jobs.len(), 1, "statements and reports are no jobs of a connection");
        assert!(jobs[0]["links"]["source"].as_str().unwrap().ends_with(&connection));
        assert_eq!(jobs[0]["institution"]["id"], ["AU00000", "AU01001"][index]);
    }
    let ids: Vec<_> =
        basiq.jobs("a").await.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    basiq.pass(hours(24 * 7) - minutes(6)).await;
    assert_eq!(basiq.jobs("a").await.len(), 1, "three of the four are over 7 days old");
    basiq.pass(minutes(6)).await;
    assert!(basiq.jobs("a").await.is_empty());
    assert_eq!(
        basiq.get(&format!("/jobs/{}", ids[0])).await.status,
        200,
        "a job is readable by id for longer"
    );
}

#[tokio::test]
async fn credentials_given_again_make_a_job_and_the_connection_recovers() {
    let basiq = Basiq::yaml(
        "users: [{name: a, connections: [{failures: [{as: bighead, from: 0, until: credentials}]}]}]",
    )
    .await;
    basiq.handle.act("a", 0, Act::Update).unwrap();
    basiq.pass(minutes(1)).await;
    assert_eq!(basiq.connection("a").await["status"], "invalid");
    basiq.handle.act("a", 0, Act::Update).unwrap();
    basiq.pass(minutes(1)).await;
    assert_eq!(basiq.jobs("a").await.len(), 1, "Basiq does not update an invalid connection");
    basiq.handle.act("a", 0, Act::GiveCredentials).unwrap();
    basiq.pass(minutes(1)).await;
    assert_eq!(basiq.connection("a").await["status"], "active");
    assert_eq!(failed(&newest(&basiq, "a").await), None);
    let events: Vec<_> = basiq.handle.truth_of("a").unwrap().events.iter().map(|event| event.kind).collect();
    assert_eq!(
        events,
        [
            "connection.invalidated",
            "connection.activated",
            "connection.updated",
            "account.updated",
            "transactions.updated"
        ]
    );
}

#[tokio::test]
async fn a_popup_stays_until_the_user_acts_at_the_bank() {
    let basiq =
        Basiq::yaml("users: [{name: a, connections: [{failures: [{as: erlich, until: action}]}]}]").await;
    for act in [Act::Update, Act::GiveCredentials, Act::Refresh] {
        basiq.handle.act("a", 0, act).unwrap();
        basiq.pass(minutes(1)).await;
        assert_eq!(failed(&newest(&basiq, "a").await).unwrap().0, "retrieve-accounts", "{act:?}");
    }
    basiq.handle.act("a", 0, Act::ActAtBank).unwrap();
    assert_eq!(basiq.refresh("a").await.status, 202);
    basiq.pass(minutes(1)).await;
    assert_eq!(failed(&newest(&basiq, "a").await), None);
}

#[tokio::test]
async fn consent_ends_with_its_events_and_the_connection_is_invalid() {
    let basiq = Basiq::yaml(
        "users: [{name: a, connections: [{method: openbanking, consent_expires: 8d, timeline: [{at: 9d, do: update}]}, {method: openbanking, timeline: [{at: 1h, do: revoke-consent}, {at: 2h, do: refresh}]}]}]",
    )
    .await;
    basiq.pass(hours(24 * 9)).await;
    let truth = basiq.handle.truth_of("a").unwrap();
    let kinds = |index: usize| {
        truth
            .events
            .iter()
            .filter(|event| event.connection_id.as_ref() == Some(&truth.connections[index].id))
            .map(|event| event.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(0),
        ["consent.expired", "connection.invalidated"],
        "the warning, a week before, has left the list"
    );
    assert!(truth.connections.iter().all(|connection| connection.status == Status::Invalid));
    assert!(
        truth.connections.iter().all(|connection| connection.jobs.is_empty()),
        "nothing was updated after the end"
    );
}

#[tokio::test]
async fn pied_piper_always_asks_for_mfa_and_nucleus_half_the_time() {
    let many = |institution: &str| {
        format!(
            "{{name: {institution}, connections: [{{institution: {institution}, updates: {{every: 1h, first: 0}}, mfa_answer: 20s}}]}}"
        )
    };
    let basiq = Basiq::yaml(&format!(
        "users: [{}, {}, {{name: silent, connections: [{{institution: AU00001, mfa_answer: never}}]}}]",
        many("AU00001"),
        many("AU00002")
    ))
    .await;
    basiq.pass(hours(100)).await;
    let asked = async |name: &str| {
        let jobs = basiq.jobs(name).await;
        let asked = jobs
            .iter()
            .filter(|job| {
                job["steps"].as_array().unwrap().iter().any(|step| step["title"] == "mfa-challenge")
            })
            .count();
        (asked, jobs.len())
    };
    let (always, all) = asked("AU00001").await;
    assert_eq!(always, all);
    let (half, all) = asked("AU00002").await;
    assert!(half * 3 > all && half * 3 < all * 2, "{half} of {all}");

    // A challenge that nobody answers fails; one that is answered goes on at once.
    let job = basiq.refresh("silent").await.body["id"].as_str().unwrap().to_owned();
    basiq.pass(minutes(7)).await;
    let (step, result) = failed(&basiq.get(&format!("/jobs/{job}")).await.body).unwrap();
    assert_eq!((step.as_str(), result["code"].as_str()), ("mfa-challenge", Some("multifactor-required")));
    basiq.handle.act("silent", 0, Act::GiveCredentials).unwrap();
    basiq.pass(std::time::Duration::from_secs(15)).await;
    let job = newest(&basiq, "silent").await;
    assert_eq!(job["steps"][1]["result"]["type"], "mfa-challenge");
    let path = format!("/jobs/{}/mfa", job["id"].as_str().unwrap());
    let answer = serde_json::json!({"mfa-response": ["1234"]});
    assert_eq!(basiq.call(reqwest::Method::POST, &path, Some(answer.clone())).await.status, 202);
    basiq.pass(minutes(1)).await;
    assert_eq!(failed(&newest(&basiq, "silent").await), None);
    assert_eq!(
        basiq.call(reqwest::Method::POST, &path, Some(answer)).await.status,
        400,
        "nothing is asked any more"
    );
}

#[tokio::test]
async fn an_outage_shows_in_connectors_and_fails_the_share_it_says() {
    let basiq = Basiq::yaml(
        "population: {users: 300, wrong_credentials: 0, user_action: 0, unavailable: 0, waves: [{from: 0, until: 1d, share: 0.3, code: maintenance}]}\nusers: [{name: a, connections: [{institution: AU01001}]}]\nconnectors: [{institution: AU01001, method: web, status: major-outage, from: 1h, until: 2h, failing: 1.0}]",
    )
    .await;
    basiq.pass(minutes(50)).await;
    assert_eq!(basiq.refresh("a").await.status, 202);
    basiq.pass(minutes(15)).await;
    assert_eq!(
        basiq.get("/connectors?filter=connector.status.ne('operational')").await.body["totalCount"],
        1
    );
    basiq.refresh("a").await;
    basiq.pass(minutes(1)).await;
    assert_eq!(failed(&newest(&basiq, "a").await).unwrap().1["code"], "service-unavailable");
    basiq.pass(hours(1)).await;
    assert_eq!(
        basiq.get("/connectors?filter=connector.status.ne('operational')").await.body["totalCount"],
        0
    );

    basiq.pass(hours(23)).await;
    let ids = basiq.handle.user_ids();
    let now = basiq.handle.truth().now;
    let failing = ids
        .iter()
        .filter_map(|id| basiq.handle.truth_of(id))
        .filter(|user| user.name != "a" && user.connections[0].is_failing(now))
        .count();
    assert!((60..120).contains(&failing), "{failing} of 300");
}

#[tokio::test]
async fn changes_while_it_runs_begin_now_and_leave_the_past_alone() {
    let basiq = Basiq::yaml("population: {users: 50, every: 1h}\nusers: [{name: a, connections: [{updates: {every: 1h, first: -5h}}]}]").await;
    basiq.pass(hours(3)).await;
    let id = basiq.handle.user_ids()[30].clone();
    let before = serde_json::to_value(basiq.handle.truth_of(&id).unwrap()).unwrap();
    basiq
        .handle
        .fail(
            "a",
            0,
            Failure {
                code: Some("maintenance".to_owned()),
                until: Until::Never,
                queue: Queue::Never,
                ..Failure::default()
            },
        )
        .unwrap();
    basiq
        .handle
        .set_connector("AU00000", Some(Method::Web), basiq_sandbox::scenario::ConnectorStatus::MajorOutage)
        .unwrap();
    assert_eq!(serde_json::to_value(basiq.handle.truth_of(&id).unwrap()).unwrap(), before);
    assert!(!basiq.handle.truth_of("a").unwrap().connections[0].is_failing(basiq.handle.truth().now));
    basiq.pass(minutes(61)).await;
    assert!(basiq.handle.truth_of("a").unwrap().connections[0].is_failing(basiq.handle.truth().now));
    basiq.handle.heal("a", 0).unwrap();
    basiq.pass(hours(1)).await;
    assert!(!basiq.handle.truth_of("a").unwrap().connections[0].is_failing(basiq.handle.truth().now));
    assert!(basiq.handle.act("nobody", 0, Act::Update).is_err());
    assert!(basiq.handle.act("a", 9, Act::Update).is_err());
}
