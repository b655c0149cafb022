//! What the caller can measure.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use basiq::{Client, ErrorKind, KeyState, Observer, Priority, Request};
use daemon::Timestamp;

use crate::server::{Server, error, json, token};

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn request(&self, request: &Request<'_>) {
        assert!(request.duration > Duration::ZERO);
        self.0.lock().unwrap().push(format!("{} {}", request.endpoint, request.outcome()));
    }

    fn waited(&self, priority: Priority, _: Duration) {
        self.0.lock().unwrap().push(format!("turn of {}", priority.as_str()));
    }

    fn throttled(&self, until: Timestamp) {
        assert!(until > Timestamp::now());
        self.0.lock().unwrap().push("slower".into());
    }

    fn key(&self, state: KeyState) {
        self.0.lock().unwrap().push(format!("key {state:?}"));
    }
}

#[tokio::test]
async fn each_try_each_wait_and_each_change_is_told() {
    let server = Server::start(|_, before| match before {
        0 => token(),
        1 => error(503, "service-unavailable"),
        2 => json(200, r#"{"id":"u1"}"#),
        3 => error(500, "internal-server-error"),
        4 => error(404, "resource-not-found"),
        _ => error(429, "too-many-requests"),
    })
    .await;
    let log = Arc::new(Log::default());
    let mut config = server.config();
    config.observer = log.clone();
    config.patience = Duration::ZERO;
    let client = Client::new(config).unwrap();
    client.user("u1", Priority::Routine).await.unwrap();
    let error = client.refresh("u1", "c1", Priority::Effect).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OutcomeUnknown(_)));
    assert!(client.job("j1", Priority::Running).await.unwrap_err().is_not_found());
    client.job("j1", Priority::Background).await.unwrap_err();
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            "turn of effect",
            "token success",
            "key Current",
            "turn of routine",
            "user unavailable",
            "turn of routine",
            "user success",
            "turn of effect",
            "refresh outcome_unknown",
            "turn of running",
            "job not_found",
            "turn of background",
            "slower",
            "job throttled",
        ]
    );
}
