//! Connections: accepted, limited, encrypted, and given to the router.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::{IntoResponse, Response},
};
use daemon::{CancellationToken, Fatal, traces::TARGET};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::ParsedCertificate;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    WebConfig,
    config::Loaded,
    stall::{StallGuard, Turn},
};

/// Bounds of what clients may ask of a listener. Times are real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the queue of the system.
    pub connections: usize,
    /// From the first byte of a connection, or of a request on it, to the end of its headers; also for
    /// the handshake of TLS.
    pub headers: Duration,
    /// From the end of an answer to the next request on the same connection. Longer than the usual intervals of scrapes, and
    /// than the minute for which proxies and clients keep a connection: whoever asks again just when it is closed
    /// loses the request.
    pub idle: Duration,
    /// Bytes of the request's line and headers.
    pub header_bytes: usize,
    /// From the end of the headers to the beginning of the answer; also how long an answer may take
    /// without the client reading any of it.
    pub request: Duration,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// After a stop, for requests that are being answered.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            header_bytes: 32 * 1024,
            request: Duration::from_secs(60),
            body_bytes: 4 * 1024 * 1024,
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves `router` until `stop`, with the default [`Limits`].
///
/// # Errors
/// As [`serve_with`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: WebConfig,
    stop: CancellationToken,
) -> Result<(), Fatal> {
    serve_with(listener, router, config, Limits::default(), stop).await
}

/// Serves `router` until `stop`; then answers what was asked already, and returns.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    config: WebConfig,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Fatal> {
    let address = listener.local_addr().map_err(|error| Fatal::running(format!("cannot listen: {error}")))?;
    tracing::info!(%address, tls = config.encrypts(), authentication = config.authenticates(), "listening");
    daemon::notify::notify(daemon::notify::State::Ready);
    let router = router
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(axum::middleware::map_response(async |answer: Response| {
            if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
                tracing::warn!("a request was refused: its body is too large");
            }
            answer
        }))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.request))
        .layer(CatchPanicLayer::new());
    let (slots, tracker) = (Arc::new(Semaphore::new(limits.connections)), TaskTracker::new());
    loop {
        let accepted = async {
            // A slot first: what cannot be served stays in the queue of the system.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection (reset before it was accepted), or no file handles left.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, config, stop) = (router.clone(), config.clone(), stop.clone());
        tracker.spawn(async move {
            let _slot = slot;
            connection(stream, peer, router, config, limits, stop).await;
        });
    }
    tracker.close();
    if timeout(limits.drain, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "connections cut off while stopping");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    config: WebConfig,
    limits: Limits,
    stop: CancellationToken,
) {
    // Answers are written in few large pieces; waiting for more only delays their end.
    let _ = stream.set_nodelay(true);
    let loaded = config.current();
    let Some(tls) = loaded.tls.clone() else {
        return requests(stream, peer, router, config, limits, stop).await;
    };
    match timeout(limits.headers, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) if client_is_allowed(&loaded, &stream) => {
            requests(stream, peer, router, config, limits, stop).await;
        }
        Ok(Ok(_)) => tracing::debug!("a client's certificate has none of client_allowed_sans"),
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

/// Whether a client that showed a certificate has one of the names that are allowed.
fn client_is_allowed(loaded: &Loaded, stream: &TlsStream<TcpStream>) -> bool {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let Some(certificate) = certificate.filter(|_| !loaded.client_sans.is_empty()) else { return true };
    let Ok(certificate) = ParsedCertificate::try_from(certificate) else { return false };
    loaded.client_sans.iter().any(|san| rustls::client::verify_server_name(&certificate, san).is_ok())
}

async fn requests<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    config: WebConfig,
    limits: Limits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turn = Turn::default();
    let stream = Box::pin(StallGuard::new(stream, limits.request, limits.headers, turn.clone()));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (router, config, turn) = (router.clone(), config.clone(), turn.clone());
        turn.pass();
        async move {
            let answer = answer(request.map(Body::new), peer, router, config).await;
            turn.pass();
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // Of hyper's, it runs between requests, too; the stream watches the headers.
            .header_read_timeout(limits.idle.max(limits.headers))
            .max_buf_size(limits.header_bytes)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client left, was too slow, or spoke something else; its own matter.
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(mut request: Request, peer: SocketAddr, router: Router, config: WebConfig) -> Response {
    let loaded = config.current();
    let mut response = if !loaded.users.admit(request.headers()).await {
        let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"restricted\""));
        (StatusCode::UNAUTHORIZED, [challenge], "Unauthorized\n").into_response()
    } else if is_cross_site(&request) {
        (StatusCode::FORBIDDEN, "asked by another site\n").into_response()
    } else {
        request.extensions_mut().insert(ConnectInfo(peer));
        let span = span(&request);
        let response = match router.oneshot(request).instrument(span.clone()).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        span.record("status", response.status().as_u16());
        response
    };
    for (name, value) in &loaded.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// The span of a request that is to do something: a webhook, a hint, pushed alerts. What only reads is none.
fn span(request: &Request) -> Span {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Span::none();
    }
    let path: String = request.uri().path().chars().take(128).collect();
    tracing::info_span!(target: TARGET, "request", method = %request.method(), path, status = Empty)
}

/// Whether a browser sends this on behalf of another site's page: such a page may not change anything
/// here, whatever the browser knows of the user's passwords.
fn is_cross_site(request: &Request) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    changes && site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}
