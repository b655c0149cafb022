//! Basiq's retry queue, under each value of each switch.

use basiq_sandbox::{
    Left, SandboxConfig, Scenario, Switches,
    switches::{ExistingBody, ExistingSteps, QueuedSteps, QueuedUpdated, Readable},
};
use serde_json::Value;

use crate::support::{Basiq, failed, hours, minutes, start_time};

/// `heals` is queued at 10 minutes and heals before its second try; `expires` never heals; `plain` is refreshed, not updated.
const STORY: &str = "
users:
  - {name: heals, connections: [{failures: [{from: 5m, until: 3h}], timeline: [{at: 10m, do: update}]}]}
  - {name: expires, connections: [{failures: [{from: -7d}], timeline: [{at: -6d23h, do: update}]}]}
  - {name: plain, connections: [{failures: [{from: 5m}]}]}
";

async fn under(switches: Switches) -> Basiq {
    let mut scenario = Scenario::from_yaml(STORY).unwrap();
    scenario.switches = switches;
    Basiq::start_with(SandboxConfig { scenario, ..SandboxConfig::default() }).await
}

fn statuses(job: &Value) -> Vec<&str> {
    job["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn queued_jobs_heal_or_expire_with_one_id_under_every_switch() {
    for (name, switches) in Switches::each() {
        let basiq = under(switches).await;
        basiq.pass(minutes(30)).await;
        let first = basiq.refresh("heals").await;
        assert_eq!(first.status, 200, "{name}: queued");
        basiq.pass(hours(2)).await;
        assert_eq!(
            basiq.refresh("heals").await.body["id"],
            first.body["id"],
            "{name}: queued after a second try"
        );
        basiq.pass(hours(2)).await;
        assert_eq!(basiq.refresh("heals").await.status, 202, "{name}: healed");

        let truth = basiq.handle.truth_of("heals").unwrap();
        let job = &truth.connections[0].jobs[0];
        assert_eq!(job.id, first.body["id"].as_str().unwrap(), "{name}");
        assert_eq!(
            job.tries.iter().map(|run| run.failed.is_none()).collect::<Vec<_>>(),
            [false, false, true],
            "{name}"
        );
        assert_eq!(job.left.map(|(_, how)| how), Some(Left::Success), "{name}");
        let shown = basiq.get(&format!("/jobs/{}", job.id)).await.body;
        assert_eq!(statuses(&shown), ["success"; 3], "{name}");

        let expired = &basiq.handle.truth_of("expires").unwrap().connections[0].jobs[0];
        assert_eq!(
            expired.left,
            Some((start_time() + jiff::SignedDuration::from_hours(1), Left::Expired)),
            "{name}"
        );
        assert_eq!(expired.tries.len(), 84, "{name}: every two hours for seven days");
        let by_id = basiq.get(&format!("/jobs/{}", expired.id)).await;
        let gone = basiq.handle.truth().now.duration_since(expired.created).as_hours() >= 24 * 7
            && name.contains("Gone");
        assert_eq!(by_id.status.as_u16(), if gone { 404 } else { 200 }, "{name}");
        if !gone {
            assert!(failed(&by_id.body).is_some(), "{name}: an expired job stays failed");
        }
    }
}

#[tokio::test]
async fn a_failed_refresh_is_not_queued() {
    let basiq = under(Switches::default()).await;
    basiq.pass(minutes(10)).await;
    for _ in 0..3 {
        assert_eq!(basiq.refresh("plain").await.status, 202);
        basiq.pass(minutes(10)).await;
    }
}

#[tokio::test]
async fn a_queued_job_looks_between_tries_as_the_switches_say() {
    for (queued_steps, expected) in [
        (QueuedSteps::Failed, ["failed", "pending", "pending"]),
        (QueuedSteps::Pending, ["pending", "pending", "pending"]),
        (QueuedSteps::InProgress, ["in-progress", "pending", "pending"]),
    ] {
        for (existing_steps, after) in [
            (ExistingSteps::AsQueued, expected),
            (ExistingSteps::Failed, ["failed", "pending", "pending"]),
            (ExistingSteps::Reset, ["pending", "pending", "pending"]),
        ] {
            let basiq = under(Switches { queued_steps, existing_steps, ..Switches::default() }).await;
            basiq.pass(minutes(30)).await;
            assert_eq!(statuses(&basiq.jobs("heals").await[0]), expected);
            basiq.refresh("heals").await;
            assert_eq!(statuses(&basiq.jobs("heals").await[0]), after, "{queued_steps:?} {existing_steps:?}");
        }
    }
}

#[tokio::test]
async fn updated_moves_with_each_try_or_stays() {
    for (queued_updated, moves) in [(QueuedUpdated::EachTry, true), (QueuedUpdated::FirstFailure, false)] {
        let basiq = under(Switches { queued_updated, ..Switches::default() }).await;
        basiq.pass(minutes(30)).await;
        let first = basiq.jobs("heals").await[0]["updated"].clone();
        basiq.pass(hours(2)).await;
        let second = basiq.jobs("heals").await[0]["updated"].clone();
        assert_eq!(first != second, moves, "{first} {second}");
        basiq.pass(hours(2)).await;
        assert_ne!(basiq.jobs("heals").await[0]["updated"], first, "success is always seen");
    }
}

#[tokio::test]
async fn the_body_of_a_200_and_the_life_of_a_job_id_are_switches() {
    let basiq =
        under(Switches { existing_body: ExistingBody::Job, readable: Readable::Day, ..Switches::default() })
            .await;
    basiq.pass(minutes(30)).await;
    let body = basiq.refresh("heals").await.body;
    assert_eq!(body["steps"].as_array().unwrap().len(), 3);
    let path = format!("/jobs/{}", body["id"].as_str().unwrap());
    for (day, status) in [(6, 200), (7, 200), (8, 404)] {
        basiq.hand.set(start_time() + jiff::SignedDuration::from_hours(24 * day + 1));
        basiq.renew().await;
        assert_eq!(basiq.get(&path).await.status, status, "day {day}");
    }
}

#[tokio::test]
async fn spellings_are_switches() {
    use basiq_sandbox::switches::{DateSpelling, DetailSpelling, MethodSpelling, SourceLink};
    let switches = Switches {
        date_spelling: DateSpelling::CreatedDate,
        detail_spelling: DetailSpelling::Detail,
        method_spelling: MethodSpelling::OpenDashBanking,
        source_link: SourceLink::Always,
        ..Switches::default()
    };
    let basiq = under(switches).await;
    basiq.pass(minutes(10) + std::time::Duration::from_secs(1)).await;
    let running = &basiq.jobs("heals").await[0];
    assert!(
        running["links"]["source"].is_string()
            && running["createdDate"].is_string()
            && running.get("created").is_none()
    );
    basiq.pass(minutes(1)).await;
    assert!(failed(&basiq.jobs("heals").await[0]).unwrap().1["detail"].is_string());
    let methods = basiq.get("/connectors?filter=connector.id.eq('AU00000')").await.body;
    assert_eq!(methods["data"][1]["method"], "open-banking");
}

#[tokio::test]
async fn what_is_refused_is_a_switch() {
    use basiq_sandbox::switches::{ExpiredToken, RefreshInvalid};
    for (refresh_invalid, status) in
        [(RefreshInvalid::BadRequest, 400), (RefreshInvalid::Forbidden, 403), (RefreshInvalid::Allowed, 202)]
    {
        let mut scenario = Scenario::from_yaml("users: [{name: a, connections: [{failures: [{as: bighead}], timeline: [{at: -1h, do: update}]}]}]").unwrap();
        scenario.switches =
            Switches { refresh_invalid, expired_token: ExpiredToken::Forbidden, ..Switches::default() };
        let basiq = Basiq::start(scenario).await;
        assert_eq!(basiq.refresh("a").await.status.as_u16(), status);
        basiq.hand.advance(hours(1));
        assert_eq!(basiq.get("/connectors").await.status, 403, "the token has expired");
    }
}
