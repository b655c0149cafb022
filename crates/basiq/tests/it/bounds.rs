//! Nothing received is unbounded, in size or in time.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use basiq::{Client, ConnectorFilter, ErrorKind, Priority};

use crate::server::{Reply, Server};

const P: Priority = Priority::Routine;

async fn ask(reply: Reply) -> (basiq::Error, Duration) {
    let server = Server::with_token(move |_| reply.clone()).await;
    let mut config = server.config();
    config.max_body = 1024 * 1024;
    config.request_timeout = Duration::from_secs(5);
    config.retry.tries = 1;
    let started = Instant::now();
    let error = Client::new(config).unwrap().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    (error, started.elapsed())
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    for head in [
        "HTTP/1.1 200 X\r\n\r\n",
        "HTTP/1.1 200 X\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 500 X\r\n\r\n",
    ] {
        let (error, took) = ask(Reply::Endless(head.into())).await;
        assert_eq!(error.kind, ErrorKind::TooLarge { limit: 1024 * 1024 });
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn a_compressed_body_counts_as_what_it_becomes() {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&vec![b' '; 8 * 1024 * 1024]).unwrap();
    let body = zip.finish().unwrap();
    assert!(body.len() < 64 * 1024);
    let (error, _) = ask(Reply::Of(200, "content-encoding: gzip\r\n".into(), body)).await;
    assert_eq!(error.kind, ErrorKind::TooLarge { limit: 1024 * 1024 });
}

#[tokio::test]
async fn a_million_empty_entries_are_refused() {
    let body = format!("{{\"data\":[{}]}}", vec!["{\"id\":\"\"}"; 100_000].join(","));
    let (error, _) = ask(Reply::Of(200, String::new(), body.into_bytes())).await;
    let ErrorKind::Malformed { path, reason } = &error.kind else { panic!("{error}") };
    assert!(path.starts_with("data") && reason.contains("10000 entries"), "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = Server::with_token(|_| Reply::Hang).await;
    let mut config = server.config();
    config.request_timeout = Duration::from_millis(150);
    let started = Instant::now();
    let error = Client::new(config).unwrap().user("u1", P).await.unwrap_err();
    assert!(
        matches!(&error.kind, ErrorKind::Transport(why) if why.starts_with("no answer in time")),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(server.count("/users/u1"), 3);
}

#[tokio::test]
async fn plain_http_on_a_tls_port_and_the_reverse_are_told() {
    let server = Server::with_token(|_| Reply::Drop).await;
    let mut config = server.config();
    config.base_url = server.url.replace("http://", "https://");
    let error = Client::new(config).unwrap().user("u1", P).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Transport(_)), "{error}");
    assert!(server.asked().is_empty(), "the key left without TLS");
}
