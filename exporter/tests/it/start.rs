//! What the exporter says when it cannot start.

use crate::world::World;

const NOBODY: &str = "users: []\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_at_the_start_is_one_line() {
    let world = World::new(NOBODY).await;
    let (exporter, _) = world.start_unchecked(world.config(), "d3Jvbmc6a2V5").await;
    let error = exporter.ended().await.unwrap_err();
    assert_eq!((error.code(), error.to_string().lines().count()), (1, 1));
    assert!(error.to_string().contains("key"), "{error}");
    assert!(!error.to_string().contains("d3Jvbmc6a2V5"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_basiq_that_is_not_there_is_one_line_that_names_the_setting() {
    let world = World::new(NOBODY).await;
    let mut config = world.config();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.basiq.url = format!("http://{nobody}");
    let (exporter, _) = world.start_unchecked(config, "a2V5").await;
    let error = exporter.ended().await.unwrap_err();
    assert_eq!((error.code(), error.to_string().lines().count()), (1, 1));
    assert!(error.to_string().contains("basiq.url"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_work_are_refused_with_their_key() {
    let world = World::new(NOBODY).await;
    let mut config = world.config();
    config.poll.pass = daemon::config::Duration(std::time::Duration::ZERO);
    config.basiq.quota.per_second = 0.0;
    let (exporter, _) = world.start_unchecked(config, "a2V5").await;
    let error = exporter.ended().await.unwrap_err();
    assert_eq!(error.code(), 2);
    for key in ["poll.pass", "basiq.quota.per_second"] {
        assert!(error.to_string().contains(key), "{error}");
    }
    std::fs::remove_file(world.path("users.yml")).unwrap();
    let (exporter, _) = world.start_unchecked(world.config(), "a2V5").await;
    let error = exporter.ended().await.unwrap_err();
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("discovery.file.paths"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_basiq_does_not_answer_ends_it_at_once() {
    let world = World::new(NOBODY).await;
    let mut config = world.config();
    // It accepts connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.basiq.url = format!("http://{}", mute.local_addr().unwrap());
    let (exporter, _) = world.start_unchecked(config, "a2V5").await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    tokio::time::timeout(std::time::Duration::from_secs(2), exporter.stop()).await.unwrap().unwrap();
}
