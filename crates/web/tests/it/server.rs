//! A server on a free port, and requests as they go over the wire.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use daemon::{CancellationToken, Fatal, Reload};
use exposition::{Desc, Page, Sheet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use web::{Limits, Link, Ready, StandardPages, WebConfig, serve_with, standard_routes};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) reload: Reload,
    pub(crate) task: JoinHandle<Result<(), Fatal>>,
}

pub(crate) async fn start(config: WebConfig, limits: Limits) -> Server {
    let mut sheet = Sheet::new(&[Desc::gauge("up", "Whether.")]);
    for row in 0..1000_u64 {
        sheet.set(row, &[(0, &[("row", row.to_string().as_str())], 1.0)]);
    }
    let page = Page::new();
    page.publish([sheet.part()]);
    let reload = Reload::new();
    let router = standard_routes(StandardPages {
        name: "test-daemon",
        version: "1.2.3",
        description: "Tests.",
        links: vec![Link { path: "/page", text: "for people" }],
        ready: Ready::new(|| Err("still warming up".to_owned())),
        page: Arc::new(page),
        reload: reload.clone(),
    });
    let echo = |body: String| async move { body.len().to_string() };
    let router = router.merge(
        Router::new()
            .route("/hang", get(std::future::pending::<()>))
            .route("/slow", get(|| async { tokio::time::sleep(Duration::from_millis(300)).await }))
            .route("/panic", get(panics))
            .route("/echo", axum::routing::post(echo)),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(serve_with(listener, router, config, limits, stop.clone()));
    Server { address, stop, reload, task }
}

async fn panics() -> &'static str {
    panic!("as a test")
}

/// The answer to `request`, of which the head is completed here; head and body.
pub(crate) async fn ask(server: &Server, request: &str) -> (String, Vec<u8>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    exchange(stream, request).await.unwrap()
}

pub(crate) async fn exchange<S>(mut stream: S, request: &str) -> std::io::Result<(String, Vec<u8>)>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    let (headers, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let mut head = format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for header in headers.lines() {
        head += &format!("{header}\r\n");
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let body = answer.split_off((end + 4).min(answer.len()));
    Ok((String::from_utf8_lossy(&answer).to_ascii_lowercase(), body))
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default()
}
