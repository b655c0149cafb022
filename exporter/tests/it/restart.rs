//! Kills, lost files, hints.

use basiq_exporter::Config;

use crate::world::{World, label, one, sum};

const STORY: &str = r#"
seed: 11
users:
  - name: ann
    connections:
      - institution: AU00000
        failures: [{code: invalid-credentials, from: 5m, until: never}]
        timeline: [{at: -5h, do: update}, {at: 10m, do: update}]
  - name: bob
    connections:
      - institution: AU00001
        timeline: [{at: -5h, do: update}, {at: 10m, do: update}, {at: 70m, do: update}]
"#;

const FINISHED: &str = "basiq_jobs_finished_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_nothing_visible_and_a_lost_file_makes_nothing_old_new() {
    let world = World::new(STORY).await;
    let exporter = world.start().await;
    world.pass(&exporter, 15).await;
    let seen = |samples: &_| sum(samples, FINISHED, &[]) == 2.0;
    let before = exporter.until("both jobs counted", seen).await;
    assert_eq!(sum(&before, FINISHED, &[("outcome", "failed")]), 1.0);
    exporter.kill().await;

    // What happens meanwhile is counted afterwards, what was counted is not counted again.
    world.skip(65);
    let exporter = world.start().await;
    world.pass(&exporter, 5).await;
    let after = exporter.until("the third job counted", |samples| sum(samples, FINISHED, &[]) == 3.0).await;
    let since = "basiq_connection_failing_since_timestamp_seconds";
    assert_eq!(sum(&before, since, &[]), sum(&after, since, &[]));
    for (key, value) in
        before.iter().filter(|((name, _), _)| name.starts_with("basiq_job") && name.ends_with("_total"))
    {
        assert!(after.get(key).is_some_and(|later| later >= value), "{key:?} fell");
    }
    exporter.stop().await.unwrap();

    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(world.path(name));
    }
    let exporter = world.start().await;
    world.pass(&exporter, 10).await;
    let rebuilt = exporter.samples().await;
    assert_eq!(sum(&rebuilt, FINISHED, &[]), 0.0);
    assert_eq!(sum(&rebuilt, since, &[]), sum(&after, since, &[]), "it still fails, since then");
    assert_eq!(sum(&rebuilt, "basiq_connection_baseline", &[]), 1.0);
    exporter.stop().await.unwrap();

    // A damaged file is moved aside and rebuilt.
    std::fs::write(world.path("ledger.db"), vec![7; 8192]).unwrap();
    let exporter = world.start().await;
    exporter.stop().await.unwrap();
    let aside = std::fs::read_dir(world.folder.path()).unwrap();
    let damaged =
        aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert_eq!(damaged.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_stay_who_they_are_when_the_path_of_their_file_changes() {
    let world = World::new(STORY).await;
    let exporter = world.start().await;
    world.pass(&exporter, 15).await;
    let counted = |samples: &_| sum(samples, FINISHED, &[]) == 2.0;
    exporter.until("both jobs counted", counted).await;
    exporter.stop().await.unwrap();
    world.skip(20);
    std::fs::rename(world.path("users.yml"), world.path("moved.yml")).unwrap();
    let text = format!("{{file: [{{paths: ['{}']}}]}}", world.path("moved.yml").display());
    let mut config: Config = world.config();
    config.discovery = daemon::config::decode("test", &text).unwrap();
    let exporter = world.start_with(config).await;
    let after = exporter.samples().await;
    assert_eq!(one(&after, "basiq_exporter_users_watched"), Some(2.0));
    assert_eq!(sum(&after, FINISHED, &[]), 2.0, "nothing counts again");
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_exporter_on_the_same_file_says_so() {
    let world = World::new(STORY).await;
    let exporter = world.start().await;
    let (second, _) = world.start_unchecked(world.config(), &world.sandbox.api_key).await;
    let error = second.ended().await.unwrap_err();
    assert_eq!(error.code(), 1);
    assert!(error.to_string().contains("in use by another process"), "{error}");
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_finds_a_user_that_no_file_names_and_is_evidence_of_the_queue() {
    let world = World::new(
        r#"
users:
  - name: cid
    connections:
      - institution: AU00000
        failures: [{code: service-unavailable, from: -30m, until: never}]
        timeline: [{at: -20m, do: update}]
"#,
    )
    .await;
    world.write_users(&[]);
    let mut config: Config = world.config();
    config.poll = Config::default().poll;
    let exporter = world.start_with(config).await;
    assert_eq!(one(&exporter.samples().await, "basiq_exporter_users_watched"), Some(0.0));
    let (user, connection) =
        (world.sandbox.user_id("cid").unwrap(), world.sandbox.connection_ids("cid")[0].clone());
    let job = world.sandbox.truth().users[0].connections[0].jobs.last().unwrap().id.clone();
    let hint = |kind: &str| {
        format!(r#"{{"user_id":"{user}","connection_id":"{connection}","job_id":"{job}","kind":"{kind}"}}"#)
    };
    assert_eq!(exporter.hint("{}").await, 400);
    assert_eq!(exporter.hint(&hint("refreshed")).await, 202);
    let since = "basiq_connection_failing_since_timestamp_seconds";
    let named = [("connection_id", connection.as_str())];
    exporter
        .until("queued", |samples| {
            label(samples, since, &named, "scenario").as_deref() == Some("retry-queued")
                && sum(samples, "basiq_retry_queue_jobs", &[]) == 1.0
        })
        .await;
    exporter.stop().await.unwrap();
}
