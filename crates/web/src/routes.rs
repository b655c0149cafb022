//! The routes that every daemon has.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use daemon::Reload;
use exposition::Page;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::{Link, landing, scrape};

/// Answers whether the daemon is ready to serve, or says what it waits for.
#[derive(Clone)]
pub struct Ready(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Ready {
    /// Asks `check` each time; it must not wait.
    pub fn new(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// Ready as soon as it listens.
    pub fn always() -> Self {
        Self::new(|| Ok(()))
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

/// What the standard routes show.
#[derive(Clone, Debug)]
pub struct StandardPages {
    /// The name of the daemon.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One sentence on what it does.
    pub description: &'static str,
    /// Links of the landing page besides those to the standard routes.
    pub links: Vec<Link>,
    /// What `/-/ready` asks.
    pub ready: Ready,
    /// What `/metrics` shows.
    pub page: Arc<Page>,
    /// What `POST /-/reload` triggers.
    pub reload: Reload,
}

/// `/`, `/-/healthy`, `/-/ready`, `/-/reload` (POST or PUT) and `/metrics`.
pub fn standard_routes(pages: StandardPages) -> Router {
    let StandardPages { name, version, description, mut links, ready, page, reload } = pages;
    links.insert(0, Link { path: "/metrics", text: "metrics" });
    links.push(Link { path: "/-/healthy", text: "whether it runs" });
    links.push(Link { path: "/-/ready", text: "whether it is ready" });
    let html = landing::html(name, version, description, &links);
    let reloading = move || {
        let reload = reload.clone();
        async move {
            match reload.trigger().await {
                Ok(()) => (StatusCode::OK, "reloaded\n".to_owned()),
                Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload: {reason}\n")),
            }
        }
    };
    let is_ready = move || async move {
        match ready.0() {
            Ok(()) => (StatusCode::OK, format!("{name} is ready.\n")),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{name} is not ready: {reason}\n")),
        }
    };
    Router::new()
        .route("/", get(move || async move { Html(html.clone()) }))
        .route("/-/healthy", get(move || async move { format!("{name} is healthy.\n") }))
        .route("/-/ready", get(is_ready))
        .route("/-/reload", post(reloading.clone()).put(reloading))
        .route("/metrics", page_route(page))
}

/// A route that shows a page of metrics, in the format and encoding that the request asks for.
pub fn page_route(page: Arc<Page>) -> MethodRouter {
    get(move |headers: HeaderMap| async move {
        // Mostly a copy of pointers; but the first to ask for a form of a large page has it rendered.
        let render = move || {
            let (accept, encoding) =
                (all(&headers, &header::ACCEPT), all(&headers, &header::ACCEPT_ENCODING));
            page.scrape(accept.as_deref(), encoding.as_deref())
        };
        match tokio::task::spawn_blocking(render).await {
            Ok(scrape) => scrape::response(scrape),
            Err(_) => failed(),
        }
    })
}

fn failed() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered; see the log\n").into_response()
}

/// A header that may be there several times, as one list.
fn all(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { None } else { Some(values.join(",")) }
}
