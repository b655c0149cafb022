//! Users that leave for good: forgotten by the partner, or unknown to Basiq.

use basiq_sandbox::{
    Change,
    faults::{Fault, FaultKind},
};

use crate::world::{World, one, sum};

const STORY: &str = r#"
users:
  - name: ann
    connections:
      - institution: AU00000
        failures: [{as: bighead, from: 5m, until: never}]
        timeline: [{at: 10m, do: update}]
  - name: bob
    connections: [{institution: AU00001, timeline: [{at: -1h, do: update}]}]
"#;

const WATCHED: &str = "basiq_exporter_users_watched";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forgotten_leaves_every_page_and_the_file_and_does_not_come_back() {
    let world = World::new(STORY).await;
    let exporter = world.start().await;
    world.pass(&exporter, 20).await;
    let failing = |samples: &_| sum(samples, "basiq_connections_failing", &[]);
    exporter.until("ann fails", |samples| failing(samples) == 1.0).await;
    let ann = world.sandbox.user_id("ann").unwrap();
    assert!(exporter.page("/metrics/connections").await.contains(&ann));
    assert_eq!(exporter.forget("no%20id").await, 400);
    for _ in 0..2 {
        assert_eq!(exporter.forget(&ann).await, 204, "as often as it is asked for");
    }
    let gone = exporter.until("ann is gone", |samples| one(samples, WATCHED) == Some(1.0)).await;
    assert_eq!(failing(&gone), 0.0);
    assert_eq!(sum(&gone, "basiq_jobs_finished_total", &[("outcome", "failed")]), 1.0, "counts are kept");
    assert!(!exporter.page("/metrics/connections").await.contains(&ann));
    // Neither the users file, which names ann still, nor a hint brings ann back.
    assert_eq!(exporter.hint(&format!(r#"{{"user_id":"{ann}","kind":"updated"}}"#)).await, 202);
    world.write_users(&world.sandbox.user_ids());
    world.pass(&exporter, 20).await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(1.0));
    exporter.stop().await.unwrap();
    let packed: Vec<u8> = (0..16)
        .map(|at| {
            let hex: String = ann.chars().filter(|c| *c != '-').skip(at * 2).take(2).collect();
            u8::from_str_radix(&hex, 16).unwrap()
        })
        .collect();
    let file = std::fs::read(world.path("ledger.db")).unwrap();
    assert!(!file.windows(16).any(|bytes| bytes == packed), "the id is in the file");
    assert!(!file.windows(ann.len()).any(|bytes| bytes == ann.as_bytes()), "the id is in the file");
    let exporter = world.start().await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(1.0));
    exporter.stop().await.unwrap();

    // The command does the same to a stopped exporter.
    let bob = world.sandbox.user_id("bob").unwrap();
    let context = daemon::Context::new(world.clock.clone());
    basiq_exporter::forget(&world.config(), &bob, &context).await.unwrap();
    let exporter = world.start().await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(0.0));
    let error = basiq_exporter::forget(&world.config(), &bob, &context).await.unwrap_err();
    assert!(error.to_string().contains("DELETE /api/v1/users"), "{error}");
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_user_is_unknown_is_believed_after_an_hour_and_not_of_many_at_once() {
    let world = World::new(STORY).await;
    let exporter = world.start().await;
    let not_found = |route: &str| Fault::on(route, FaultKind::Status { code: 404, retry_after: None });
    world.sandbox.set_faults(["user", "jobs", "connections"].map(not_found).to_vec()).unwrap();
    world.pass(&exporter, 40).await;
    world.sandbox.set_faults(Vec::new()).unwrap();
    world.pass(&exporter, 60).await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(2.0), "a fault of less than an hour");
    world.sandbox.change(Change::DeleteUser { user: "ann".to_owned() }).unwrap();
    world.pass(&exporter, 50).await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(2.0), "not yet");
    world.pass(&exporter, 90).await;
    let gone = exporter.until("ann is gone", |samples| one(samples, WATCHED) == Some(1.0)).await;
    assert_eq!(sum(&gone, "basiq_connections", &[("institution", "AU00000")]), 0.0);
    // The file names ann still, and nobody asks for ann again.
    let before = world.requests("user");
    world.pass(&exporter, 60).await;
    assert_eq!(world.requests("user"), before);
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_application_makes_nobody_forgotten() {
    let users: Vec<String> = (0..30).map(|n| format!("{{name: user-{n}, connections: [{{}}]}}")).collect();
    let world = World::new(&format!("users: [{}]", users.join(", "))).await;
    let exporter = world.start().await;
    let not_found = |route: &str| Fault::on(route, FaultKind::Status { code: 404, retry_after: None });
    world.sandbox.set_faults(["user", "jobs", "connections"].map(not_found).to_vec()).unwrap();
    world.pass(&exporter, 240).await;
    assert_eq!(one(&exporter.samples().await, WATCHED), Some(30.0));
    exporter.stop().await.unwrap();
}
