//! Who is looked at when: need before turn, banks in trouble, jobs older than the list, and one user's slowness.

use std::time::Duration;

use basiq_exporter::Config;
use basiq_sandbox::{
    faults::{Fault, FaultKind},
    scenario::{Act, ConnectorStatus},
};

use crate::world::{World, one, sum};

/// Twenty users at one bank and five at another, all well; an update would fail.
fn two_banks() -> String {
    let user = |n: usize| {
        let bank = if n < 20 { "AU00000" } else { "AU00001" };
        format!(
            "{{name: user-{n}, connections: [{{institution: {bank}, failures: [{{code: service-unavailable, from: 1m, queue: never}}], timeline: [{{at: -1h, do: update}}]}}]}}"
        )
    };
    format!("users: [{}]", (0..25).map(user).collect::<Vec<_>>().join(", "))
}

fn slow_pass(world: &World) -> Config {
    let mut config = world.config();
    config.poll = basiq_exporter::config::Poll::default();
    config.poll.pass = daemon::config::Duration(Duration::from_secs(400 * 24 * 3600));
    config
}

/// How many looks there are in the next 40 minutes.
async fn looks(world: &World, exporter: &crate::world::Running) -> u64 {
    let before = world.requests("jobs");
    world.pass(exporter, 40).await;
    world.requests("jobs") - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_bank_whose_connector_changed_are_looked_at_sooner_and_no_others() {
    let world = World::new(&two_banks()).await;
    let exporter = world.start_with(slow_pass(&world)).await;
    assert_eq!(looks(&world, &exporter).await, 0, "a pass takes 400 days");
    for status in [ConnectorStatus::MajorOutage, ConnectorStatus::Operational] {
        let before = world.requests("jobs");
        world.sandbox.set_connector("AU00000", None, status).unwrap();
        world.tick(61);
        exporter
            .until("the connector's state", |samples| {
                let down = [("institution", "AU00000"), ("level", "major")];
                (sum(samples, "basiq_institution_outage", &down) > 0.0)
                    == (status == ConnectorStatus::MajorOutage)
            })
            .await;
        world.pass(&exporter, 40).await;
        assert_eq!(world.requests("jobs") - before, 20, "{status:?}");
    }
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_that_newly_fail_at_a_bank_bring_its_others_forward() {
    let world = World::new(&two_banks()).await;
    let exporter = world.start_with(slow_pass(&world)).await;
    world.skip(2);
    for n in 0..20 {
        world.sandbox.act(&format!("user-{n}"), 0, Act::Update).unwrap();
    }
    world.tick(60);
    let failing = |samples: &_| sum(samples, "basiq_connections_failing", &[]);
    let hint = async |n: usize| {
        let user = world.sandbox.user_id(&format!("user-{n}")).unwrap();
        assert_eq!(exporter.hint(&format!(r#"{{"user_id":"{user}","kind":"updated"}}"#)).await, 202);
    };
    hint(0).await;
    exporter.until("one fails", |samples| failing(samples) == 1.0).await;
    let jobs = world.requests("jobs");
    world.tick(60);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.requests("jobs"), jobs, "one is no wave");
    hint(1).await;
    exporter.until("two fail", |samples| failing(samples) >= 2.0).await;
    world.pass(&exporter, 40).await;
    exporter.until("the others are found", |samples| failing(samples) == 20.0).await;
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_job_older_than_the_list_is_read_by_its_id() {
    let world = World::new(
        r#"
users:
  - name: ann
    connections:
      - institution: AU00000
        failures: [{code: service-unavailable, from: 1m, until: never}]
        timeline: [{at: 5m, do: update}]
"#,
    )
    .await;
    let mut config = slow_pass(&world);
    config.poll.queued = daemon::config::Duration(Duration::from_secs(2 * 3600));
    let exporter = world.start_with(config).await;
    world.skip(6);
    let user = world.sandbox.user_id("ann").unwrap();
    assert_eq!(exporter.hint(&format!(r#"{{"user_id":"{user}","kind":"updated"}}"#)).await, 202);
    world.skip(60 * 3);
    world.pass(&exporter, 10).await;
    exporter.until("queued", |samples| sum(samples, "basiq_retry_queue_jobs", &[]) == 1.0).await;
    assert_eq!(world.requests("job"), 0, "what the list shows is not read singly");
    world.skip(60 * 24 * 7);
    let left =
        |samples: &_| sum(samples, "basiq_retry_queue_jobs_left_total", &[("reason", "expired")]) == 1.0;
    exporter.until("its expiry", left).await;
    assert!(world.requests("job") >= 1);
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_quota_is_short_need_decides_and_the_lag_is_shown() {
    let world = World::new(&two_banks()).await;
    let mut config = slow_pass(&world);
    let quota = &mut config.basiq.quota;
    (quota.per_second, quota.burst, quota.concurrency) = (0.1, 1, 2);
    let (exporter, _) = world.start_unchecked(config, &world.sandbox.api_key).await;
    exporter
        .until("all are known", |samples| one(samples, "basiq_exporter_users_watched") == Some(25.0))
        .await;
    let user = world.sandbox.user_id("user-24").unwrap();
    let started = world.clock.now().as_second() as f64;
    for _ in 0..12 {
        world.tick(10);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.sandbox.act("user-24", 0, Act::Update).unwrap();
    assert_eq!(exporter.hint(&format!(r#"{{"user_id":"{user}","kind":"updated"}}"#)).await, 202);
    let mut seconds = 0;
    let failing = loop {
        world.tick(10);
        seconds += 10;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let samples = exporter.samples().await;
        if sum(&samples, "basiq_connections_failing", &[]) == 1.0 {
            break samples;
        }
        // 25 users take 500 seconds at this quota.
        assert!(seconds < 200, "the hinted user waits behind the others");
    };
    assert_eq!(one(&failing, "basiq_exporter_warm"), Some(0.0));
    let lag = one(&failing, "basiq_exporter_oldest_due_poll_timestamp_seconds").unwrap();
    assert!(lag <= started + 1.0, "what is overdue since the start is shown: {lag} > {started}");
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_never_answered_delays_nobody() {
    let world = World::new(&two_banks()).await;
    let mut config = world.config();
    config.basiq.quota.concurrency = 1;
    world.sandbox.set_faults(vec![Fault::on("connections", FaultKind::Hang).times(1)]).unwrap();
    let begun = std::time::Instant::now();
    let (exporter, _) = world.start_unchecked(config, &world.sandbox.api_key).await;
    exporter.until("all others", |samples| sum(samples, "basiq_connections", &[]) == 24.0).await;
    assert!(begun.elapsed() < Duration::from_secs(28), "not only after its timeout of 30 s");
    exporter.stop().await.unwrap();
}
