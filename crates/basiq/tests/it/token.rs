//! The token and the key over the wire; their arithmetic is tested beside it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use basiq::{Client, ErrorKind, KeyState, Priority};
use daemon::{Clock, Timestamp};

use crate::server::{Server, error, json, token};

const P: Priority = Priority::Routine;

#[tokio::test]
async fn a_hundred_calls_at_once_cost_one_token() {
    let server = Server::with_token(|_| json(200, r#"{"id":"j1"}"#)).await;
    let client = server.client();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.job("j1", P).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((server.count("/token"), server.count("/jobs/j1")), (1, 100));
    assert_eq!(client.status().key, KeyState::Current);
}

/// A server that refuses every token but the newest, and hands out a second one only.
async fn expiring(status: u16, code: &'static str) -> Server {
    let handed = AtomicUsize::new(0);
    Server::start(move |asked, _| match asked.path.as_str() {
        "/token" => {
            let n = handed.fetch_add(1, Ordering::SeqCst);
            json(200, format!(r#"{{"access_token":"t{n}","token_type":"Bearer","expires_in":3600}}"#))
        }
        _ if asked.header("authorization") == "Bearer t1" => json(202, r#"{"id":"j1"}"#),
        _ => error(status, code),
    })
    .await
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_also_for_a_refresh() {
    for (status, code) in
        [(401, "unauthorized-access"), (403, "invalid-authorization-token"), (403, "access-denied")]
    {
        let server = expiring(status, code).await;
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let mut config = server.config();
        config.clock = clock;
        let client = Client::new(config).unwrap();
        client.check_key().await.unwrap();
        hand.advance(Duration::from_secs(301));
        client.refresh("u1", "c1", P).await.unwrap();
        assert_eq!(
            (server.count("/token"), server.count("/users/u1/connections/c1/refresh")),
            (2, 2),
            "{status}"
        );
        client.job("j1", P).await.unwrap();
        assert_eq!(server.count("/token"), 2);
    }
}

#[tokio::test]
async fn a_lasting_refusal_is_an_error_and_costs_few_tokens() {
    for (status, outcome) in [(401, "unauthorized"), (403, "forbidden")] {
        let server = Server::with_token(move |_| error(status, "access-denied")).await;
        let client = server.client();
        for _ in 0..20 {
            let error = client.job("j1", P).await.unwrap_err();
            assert_eq!(error.kind.as_str(), outcome);
            assert_eq!(error.correlation_id.as_deref(), Some("ac5ah5i"));
        }
        assert!(server.count("/token") <= 2, "{}", server.count("/token"));
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_at_start_and_asked_again_only_after_a_minute() {
    let server =
        Server::start(|_, before| if before < 2 { error(404, "resource-not-found") } else { token() }).await;
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    let mut config = server.config();
    config.clock = clock;
    let client = Client::new(config).unwrap();
    for round in 1..=2 {
        for _ in 0..5 {
            assert_eq!(client.check_key().await.unwrap_err().kind, ErrorKind::KeyRefused);
        }
        assert_eq!((server.count("/token"), client.status().key), (round, KeyState::Refused));
        hand.advance(Duration::from_secs(61));
    }
    client.check_key().await.unwrap();
    assert_eq!(client.status().key, KeyState::Current);
}

#[tokio::test]
async fn a_key_file_that_is_missing_says_which() {
    let server = Server::with_token(|_| json(200, "{}")).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = server.config();
    config.keys = basiq::KeySource::file(dir.path().join("basiq-key"));
    let client = Client::new(config).unwrap();
    let error = client.check_key().await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::KeyUnreadable(why) if why.contains("basiq-key")), "{error}");
    assert_eq!(client.status().key, KeyState::Unreadable);
    assert!(server.asked().is_empty());
}
