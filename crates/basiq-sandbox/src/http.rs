//! The listener, and what surrounds every request: counts, faults, authentication, error bodies and dates.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    app::{App, TokenState},
    draw::Draw,
    errors::ApiError,
    faults::FaultKind,
    routes, spoil,
    switches::{ExpiredToken, ThrottleBody},
};

/// Answers until stopped. Stopping cuts open connections, as a server that goes away does.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let router = routes::router().layer(middleware::from_fn_with_state(Arc::clone(&app), surround));
    let router: Router = router.merge(admin::router()).with_state(app);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of file descriptors, say: give connections time to end.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    let mut server = hyper::server::conn::http1::Builder::new();
                    // A fault that cuts a body ends the connection with an error: that is its purpose.
                    let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }
    }
}

/// The name under which a route is counted and met by faults.
pub(crate) fn route_name(method: &Method, path: &str) -> &'static str {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        (_, ["token"]) => "token",
        (_, ["users", _]) => "user",
        (_, ["users", _, "jobs"]) => "jobs",
        (_, ["jobs", _]) => "job",
        (_, ["jobs", _, "mfa"]) => "mfa",
        (_, ["users", _, "connections"]) => "connections",
        (_, ["users", _, "connections", _]) => "connection",
        (_, ["users", _, "connections", _, "refresh"]) => "refresh",
        (_, ["connectors"]) => "connectors",
        (_, ["events"]) => "events",
        (_, ["events", "types", ..]) => "event-types",
        (_, ["events", _]) => "event",
        (_, ["notifications", ..]) => "webhooks",
        _ => "other",
    }
}

async fn surround(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let now = app.clock.now();
    let route = route_name(request.method(), request.uri().path());
    let (number, in_second) = {
        let mut requests = app.requests();
        let number = requests.began(route, now);
        (number, requests.this_second())
    };
    let correlation = correlation(app.seed, number);
    let fault = app.faults().meet(route, now, app.epoch, app.seed);
    let limited = app.rate_limit.is_some_and(|limit| in_second > limit);

    let throttle = app.world.env().switches.throttle_body;
    let early = match &fault {
        Some(FaultKind::Status { code, retry_after }) => {
            Some(refusal(throttle, *code, *retry_after, &correlation))
        }
        _ if limited => Some(refusal(throttle, 429, Some(1), &correlation)),
        _ if route == "token" => None,
        _ => authenticate(&app, &request, now).map(|error| error.respond(&correlation, throttle)),
    };
    if let Some(FaultKind::Slow(span)) = &fault {
        tokio::time::sleep(span.0.unsigned_abs()).await;
    }
    let mut response = match early {
        Some(response) => response,
        None => {
            let response = next.run(request).await;
            match response.extensions().get::<ApiError>() {
                Some(error) => error.respond(&correlation, throttle),
                None => response,
            }
        }
    };
    if fault == Some(FaultKind::Hang) {
        app.requests().answered(route, 0);
        std::future::pending::<()>().await;
    }
    app.requests().answered(route, response.status().as_u16());
    let skew = match &fault {
        Some(FaultKind::Skew(span)) => span.0,
        _ => jiff::SignedDuration::ZERO,
    };
    if let Some(kind) = fault {
        response = spoil_response(response, kind, app.seed).await;
    }
    let shown = now.checked_add(skew).unwrap_or(now);
    if let Some(date) = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&shown)
        .ok()
        .and_then(|date| HeaderValue::from_str(&date).ok())
    {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn correlation(seed: u64, number: u64) -> String {
    let draw = Draw::new(seed, "correlation").with(number);
    let (a, b) = (draw.bits(), draw.with(1).bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

fn refusal(throttle: ThrottleBody, code: u16, retry_after: Option<u64>, correlation: &str) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error =
        if status == StatusCode::FORBIDDEN { ApiError::throttled() } else { ApiError::of_status(status) };
    let mut response = error.respond(correlation, throttle);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn authenticate(app: &App, request: &Request, now: jiff::Timestamp) -> Option<ApiError> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let Some(token) = header.strip_prefix("Bearer ") else { return Some(ApiError::unauthorized()) };
    match app.token_state(token, now) {
        TokenState::Valid => None,
        TokenState::Unknown => Some(ApiError::unauthorized()),
        TokenState::WrongScope => {
            Some(ApiError::forbidden("forbidden-access", "Access to this resource is forbidden."))
        }
        TokenState::Expired => Some(ApiError::token_expired(match app.world.env().switches.expired_token {
            ExpiredToken::Unauthorized => StatusCode::UNAUTHORIZED,
            ExpiredToken::Forbidden => StatusCode::FORBIDDEN,
        })),
    }
}

async fn spoil_response(response: Response, kind: FaultKind, seed: u64) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = match kind {
        FaultKind::Cut => {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len().max(2)));
            let half = bytes.slice(..bytes.len() / 2);
            Body::new(spoil::Broken::new(half))
        }
        FaultKind::Huge(extra) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Body::new(spoil::Padded::new(bytes, extra))
        }
        kind => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Body::from(spoil::spoil(bytes, &kind, seed))
        }
    };
    Response::from_parts(parts, body)
}

impl IntoResponse for ApiError {
    /// The body is written by [`surround`], which knows the correlation id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Bounded reading of what clients send.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, 1024 * 1024)
        .await
        .map_err(|_| ApiError::bad("invalid-content", "Posted request not valid.", "body"))
}
