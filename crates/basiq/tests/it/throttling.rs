//! Quota and throttling over the wire, on a clock moved by hand.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use basiq::{Client, ErrorKind, Priority, Quota};
use daemon::{Clock, Hand, Timestamp};

use crate::server::{Reply, Server, error, json};

const P: Priority = Priority::Routine;

fn manual(server: &Server, quota: Quota) -> (Client, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    let mut config = server.config();
    (config.clock, config.quota) = (clock, quota);
    config.patience = Duration::from_secs(3600);
    (Client::new(config).unwrap(), hand)
}

fn quota(per_second: f64, burst: u32) -> Quota {
    Quota { per_second, burst, per_day: 1000, concurrency: 100 }
}

async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("not in a second");
}

#[tokio::test]
async fn every_request_counts_the_token_and_each_try_too() {
    let server = Server::start(|asked, before| match before {
        _ if asked.path == "/token" => crate::server::token(),
        1 | 2 => error(503, "service-unavailable"),
        _ => json(200, r#"{"id":"j1"}"#),
    })
    .await;
    let (client, _hand) = manual(&server, quota(1.0, 50));
    client.job("j1", P).await.unwrap();
    assert_eq!((server.asked().len(), client.status().remaining_today), (4, 996));
}

#[tokio::test]
async fn the_rate_holds_on_the_clock_that_is_given() {
    let server = Server::with_token(|_| json(200, r#"{"id":"j1"}"#)).await;
    let (client, hand) = manual(&server, quota(1.0, 3));
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.job("j1", P).await })
        })
        .collect();
    eventually(|| server.asked().len() == 3).await;
    for sent in 4..=11 {
        assert_eq!(server.asked().len(), sent - 1);
        hand.advance(Duration::from_millis(1001));
        eventually(|| server.asked().len() == sent).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn throttling_holds_everybody_until_the_time_that_was_asked_for() {
    for reply in [
        Reply::Of(429, "retry-after: 30\r\n".into(), Vec::new()),
        Reply::Of(403, "retry-after: 30\r\n".into(), b"{}".to_vec()),
    ] {
        let throttling = Arc::new(AtomicBool::new(true));
        let now = Arc::clone(&throttling);
        let server = Server::with_token(move |_| match now.load(Ordering::SeqCst) {
            true => reply.clone(),
            false => json(200, r#"{"id":"j1"}"#),
        })
        .await;
        let (client, hand) = manual(&server, quota(1000.0, 50));
        let start = || {
            let client = client.clone();
            tokio::spawn(async move { client.job("j1", Priority::Effect).await })
        };
        let first = start();
        eventually(|| client.status().throttled_until.is_some()).await;
        let others = [start(), start()];
        throttling.store(false, Ordering::SeqCst);
        hand.advance(Duration::from_secs(29));
        eventually(|| client.status().waiting == 3).await;
        assert_eq!(server.asked().len(), 2);
        // 30 seconds, and up to a tenth more so that not all come back at once.
        hand.advance(Duration::from_secs(5));
        for call in others.into_iter().chain([first]) {
            call.await.unwrap().unwrap();
        }
        assert_eq!(client.status().throttled_until, None);
    }
}

#[tokio::test]
async fn throttling_that_does_not_end_is_told_with_its_delay_and_id() {
    let server = Server::with_token(|_| error(429, "too-many-requests")).await;
    let mut config = server.config();
    config.patience = Duration::ZERO;
    let client = Client::new(config).unwrap();
    let error = client.user("u1", P).await.unwrap_err();
    let ErrorKind::Throttled { retry_after } = error.kind else { panic!("{error}") };
    assert!(retry_after > Duration::ZERO && error.is_global());
    assert_eq!((error.correlation_id.as_deref(), server.count("/users/u1")), (Some("ac5ah5i"), 1));
    // The next caller hears it without a request.
    assert!(matches!(client.user("u2", P).await.unwrap_err().kind, ErrorKind::Throttled { .. }));
    assert_eq!(server.count("/users/u2"), 0);
}

#[tokio::test]
async fn a_used_up_day_is_told_at_once() {
    let server = Server::with_token(|_| json(200, r#"{"id":"j1"}"#)).await;
    let (client, hand) = manual(&server, Quota { per_day: 10, ..quota(1000.0, 50) });
    let mut sent = 0;
    while client.job("j1", Priority::Background).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 7, "eight with the token");
    let error = client.job("j1", Priority::Background).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::QuotaExhausted { .. }), "{error}");
    assert!(error.retry_after().unwrap() > Duration::from_secs(3600));
    client.job("j1", Priority::Effect).await.unwrap();
    hand.advance(Duration::from_secs(25 * 3600));
    client.job("j1", Priority::Background).await.unwrap();
}

#[tokio::test]
async fn throttling_that_looks_like_a_lack_of_permission_is_found_out() {
    let refusing = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&refusing);
    let server = Server::with_token(move |_| match now.load(Ordering::SeqCst) {
        true => error(403, "forbidden-access"),
        false => json(200, r#"{"type":"list","data":[]}"#),
    })
    .await;
    let mut config = server.config();
    config.patience = Duration::ZERO;
    let client = Client::new(config).unwrap();
    client.jobs("u0", None, P).await.unwrap();
    refusing.store(true, Ordering::SeqCst);
    let mut outcomes = Vec::new();
    for user in ["u1", "u2", "u3", "u4"] {
        outcomes.push(client.jobs(user, None, P).await.unwrap_err().kind.as_str());
    }
    assert_eq!(outcomes, ["forbidden", "forbidden", "throttled", "throttled"]);
    assert!(client.status().throttled_until.is_some());
    assert_eq!(server.count("/users/u4/jobs"), 0);
}
