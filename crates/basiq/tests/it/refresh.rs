//! Retries are for reads. A refresh is sent once, and says so when nobody knows what became of it.

use std::time::Duration;

use basiq::{Client, ErrorKind, JobRef, Priority, Refreshed};

use crate::server::{Reply, Server, error, json};

const P: Priority = Priority::Effect;
const REFRESH: &str = "/users/u1/connections/c1/refresh";

async fn refresh(reply: Reply) -> (Result<Refreshed, basiq::Error>, usize) {
    let server = Server::with_token(move |_| reply.clone()).await;
    let mut config = server.config();
    config.request_timeout = Duration::from_millis(300);
    let result = Client::new(config).unwrap().refresh("u1", "c1", P).await;
    (result, server.count(REFRESH))
}

#[tokio::test]
async fn a_new_job_is_told_from_one_that_was_there() {
    let job = JobRef { id: "j1".into() };
    let body = r#"{"type":"job","id":"j1","links":{"self":"x"}}"#;
    assert_eq!(refresh(json(202, body)).await, (Ok(Refreshed::Started(job.clone())), 1));
    assert_eq!(refresh(json(200, body)).await, (Ok(Refreshed::Existing(job)), 1));
}

#[tokio::test]
async fn an_unknown_outcome_is_never_sent_again() {
    let cut = "HTTP/1.1 202 X\r\ncontent-length: 900\r\n\r\n{\"type\":";
    for reply in [
        error(500, "internal-server-error"),
        error(503, "service-unavailable"),
        Reply::Drop,
        Reply::Hang,
        Reply::Raw(cut.into()),
        Reply::Raw(b"garbage\r\n\r\n".to_vec()),
        json(202, "{\"type\":\"job\"}"),
        json(202, ""),
        json(202, "<html>"),
        Reply::Endless("HTTP/1.1 202 X\r\n\r\n".into()),
    ] {
        let text = format!("{reply:?}");
        let (result, sent) = refresh(reply).await;
        let error = result.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::OutcomeUnknown(_)), "{text}: {error}");
        assert_eq!(sent, 1, "{text}");
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_known() {
    for (reply, outcome) in [
        (error(400, "parameter-not-valid"), "refused"),
        (error(403, "access-denied"), "forbidden"),
        (error(404, "resource-not-found"), "not_found"),
        (error(429, "too-many-requests"), "throttled"),
    ] {
        let (result, sent) = refresh(reply).await;
        assert_eq!((result.unwrap_err().kind.as_str(), sent), (outcome, 1));
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    // A token first; then the server is gone.
    let server = Server::with_token(|_| json(200, "{}")).await;
    let client = server.client();
    client.check_key().await.unwrap();
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = client.refresh("u1", "c1", P).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Transport(_)), "{error}");
}

#[tokio::test]
async fn reads_are_tried_again_but_not_for_ever() {
    for (fault, outcome) in [
        (error(503, "service-unavailable"), "unavailable"),
        (Reply::Drop, "transport"),
        (Reply::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 900\r\n\r\n{\"id\":".to_vec()), "transport"),
    ] {
        for (faults, works) in [(0, true), (2, true), (3, false)] {
            let reply = fault.clone();
            let server = Server::start(move |asked, before| match before {
                _ if asked.path == "/token" => crate::server::token(),
                n if n <= faults => reply.clone(),
                _ => json(200, r#"{"id":"j1"}"#),
            })
            .await;
            let result = server.client().job("j1", P).await;
            assert_eq!(result.as_ref().is_ok(), works, "{fault:?} {faults}: {result:?}");
            assert_eq!(server.count("/jobs/j1"), faults.min(2) + 1);
            if let Err(error) = result {
                assert_eq!(error.kind.as_str(), outcome);
            }
        }
    }
}

#[tokio::test]
async fn what_a_second_try_cannot_change_is_not_tried_again() {
    for reply in [error(400, "x"), error(404, "x"), error(409, "x"), json(200, "<html>"), json(302, "")] {
        let text = format!("{reply:?}");
        let server = Server::with_token(move |_| reply.clone()).await;
        server.client().user("u1", P).await.unwrap_err();
        assert_eq!(server.count("/users/u1"), 1, "{text}");
    }
}
