//! Nobody can hold or fill a daemon from outside.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use web::{Limits, WebConfig};

use crate::server::{ask, start, status};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let server = start(WebConfig::open(), Limits { headers: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_for_longer_than_headers_may_take() {
    let limits = Limits { headers: SHORT, idle: SHORT * 6, ..Limits::default() };
    let server = start(WebConfig::open(), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut part = [0; 1024];
    for _ in 0..3 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let read = stream.read(&mut part).await.unwrap();
        assert!(String::from_utf8_lossy(&part[..read]).contains("200"));
        tokio::time::sleep(SHORT * 2).await;
    }
    // Not for good.
    let ended = tokio::time::timeout(SHORT * 40, stream.read(&mut part)).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let ended = tokio::time::timeout(SHORT * 40, silent.read(&mut part)).await;
    assert!(matches!(ended, Ok(Ok(_) | Err(_))), "{ended:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let limits = Limits { header_bytes: 8192, body_bytes: 1000, ..Limits::default() };
    let server = start(WebConfig::open(), limits).await;
    let (head, _) = ask(&server, &format!("GET /\nX: {}", "x".repeat(10_000))).await;
    assert_eq!(status(&head), 431);
    let body = "x".repeat(2000);
    let (head, _) = ask(&server, &format!("POST /echo\nContent-Length: 2000\n\n{body}")).await;
    assert_eq!(status(&head), 413);
    let (head, answer) =
        ask(&server, &format!("POST /echo\nContent-Length: 1000\n\n{}", &body[..1000])).await;
    assert_eq!((status(&head), answer), (200, b"1000".to_vec()));
}

#[tokio::test]
async fn a_request_that_hangs_ends() {
    let server = start(WebConfig::open(), Limits { request: SHORT, ..Limits::default() }).await;
    assert_eq!(status(&ask(&server, "GET /hang").await.0), 503);
}

#[tokio::test]
async fn a_panic_is_one_answer() {
    let server = start(WebConfig::open(), Limits::default()).await;
    assert_eq!(status(&ask(&server, "GET /panic").await.0), 500);
    assert_eq!(status(&ask(&server, "GET /-/healthy").await.0), 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = start(WebConfig::open(), Limits { connections: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let second = ask(&server, "GET /-/healthy");
    tokio::pin!(second);
    assert!(tokio::time::timeout(SHORT, second.as_mut()).await.is_err(), "served beyond the limit");
    drop(first);
    assert_eq!(status(&second.await.0), 200);
}

#[tokio::test]
async fn a_stop_finishes_what_was_asked_and_drops_what_hangs() {
    let server =
        start(WebConfig::open(), Limits { drain: Duration::from_secs(1), ..Limits::default() }).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let slow = ask(&server, "GET /slow");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop.cancel();
    };
    let ((head, _), ()) = tokio::join!(slow, stop);
    assert_eq!(status(&head), 200, "a request in hand is answered");
    let begin = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    ended.unwrap().unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(3));
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
}
