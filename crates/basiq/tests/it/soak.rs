//! All faults at once: no call is stuck, the quota holds, and nothing leaks into an error.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use basiq::{Client, Priority, Quota};
use daemon::{Clock, Timestamp};

use crate::{
    documents::OPERATIONS,
    server::{KEY, Reply, Server, TOKEN, error, json, token},
};

/// A fault by number; about one in three is none.
fn fault(n: u64) -> Reply {
    let secret = format!(r#"{{"id":{{"{TOKEN}":"gavin@hooli.com"}},"data":[{{"id":["gavin@hooli.com"]}}]}}"#);
    match n % 24 {
        0 => error(401, "unauthorized-access"),
        1 => error(403, "invalid-authorization-token"),
        2 => error(403, "access-denied"),
        3 => Reply::Of(429, "retry-after: 2\r\n".into(), Vec::new()),
        4 => error(429, "too-many-requests"),
        5 => error(500, "internal-server-error"),
        6 => Reply::Of(503, "retry-after: 1\r\n".into(), b"gavin@hooli.com".to_vec()),
        7 => Reply::Drop,
        8 => Reply::Hang,
        9 => Reply::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 50\r\n\r\n{\"id\"".to_vec()),
        10 => Reply::Raw(b"gavin@hooli.com".to_vec()),
        11 => json(200, secret),
        12 => Reply::Endless("HTTP/1.1 200 X\r\n\r\n".into()),
        13 => json(404, "gavin@hooli.com"),
        14 => json(200, "{\"data\":[{\"id\":\"gavin@hooli.com"),
        _ => json(200, r#"{"id":"x1","data":[{"id":"x1"}]}"#),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stuck_and_the_quota_holds() {
    let counter = Arc::new(AtomicU64::new(0));
    let numbers = Arc::clone(&counter);
    let server = Server::start(move |asked, _| {
        // A step that reaches all faults in no order that calls could fall in with.
        let n = numbers.fetch_add(7, Ordering::Relaxed);
        match asked.path.as_str() {
            "/token" if !n.is_multiple_of(5) => token(),
            _ => fault(n),
        }
    })
    .await;
    const SPEED: f64 = 200.0;
    let anchor = Timestamp::now();
    let quota = Quota { per_second: 5.0, burst: 10, per_day: 100_000, concurrency: 16 };
    let mut config = server.config();
    config.quota = quota;
    config.clock = Clock::scaled(anchor, SPEED);
    config.request_timeout = Duration::from_millis(200);
    config.max_body = 256 * 1024;
    let started = Instant::now();
    let client = Client::new(config).unwrap();
    let callers: Vec<_> = (0..40)
        .map(|caller: usize| {
            let client = client.clone();
            tokio::spawn(async move {
                let (mut good, mut bad) = (0, Vec::new());
                for n in 0..25 {
                    let call = OPERATIONS[(caller + n) % OPERATIONS.len()].call;
                    match call.ask(&client).await {
                        Ok(_) => good += 1,
                        Err(error) => {
                            // What is wrong with all of Basiq passes, as callers know.
                            let pause = if error.is_global() { 50 } else { 0 };
                            tokio::time::sleep(Duration::from_millis(pause)).await;
                            bad.push(error);
                        }
                    }
                }
                (good, bad)
            })
        })
        .collect();
    let (mut good, mut bad) = (0, Vec::new());
    for caller in callers {
        let done =
            tokio::time::timeout(Duration::from_secs(60), caller).await.expect("a call is stuck").unwrap();
        good += done.0;
        bad.extend(done.1);
    }
    for error in &bad {
        let text = format!("{error} {error:?}");
        for secret in [KEY, TOKEN, "gavin", "hooli"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let passed = started.elapsed().as_secs_f64() * SPEED;
    let allowed = f64::from(quota.burst) + quota.per_second * passed;
    let sent = server.asked().len();
    assert!((sent as f64) <= allowed + 1.0, "{sent} sent, {allowed} allowed");
    let kinds: BTreeSet<_> = bad.iter().map(|error| error.kind.as_str()).collect();
    assert!(good > 100 && kinds.len() >= 8, "{good} good, {kinds:?}");
    let status = client.status();
    assert_eq!((status.in_flight, status.waiting), (0, 0));
}

#[tokio::test]
async fn callers_that_give_up_leave_nothing_behind() {
    let server = Server::with_token(|_| Reply::Hang).await;
    let mut config = server.config();
    config.quota.concurrency = 4;
    let client = Client::new(config).unwrap();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.user("u1", Priority::Routine).await })
        })
        .collect();
    while server.count("/users/u1") < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for call in &calls {
        call.abort();
    }
    for call in calls {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let status = client.status();
    assert_eq!((status.in_flight, status.waiting), (0, 0));
}
