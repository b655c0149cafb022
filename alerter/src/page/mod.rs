//! The page for support staff and operators: what fails and why, the story of an incident, a message as
//! the customer got it, what is going out, tickets. Rendered here, without scripts, under a strict content
//! security policy.

mod actions;
mod api;
mod banks;
mod handlers;
mod identity;
mod list;
mod overview;
mod steering;
mod view;
mod words;

use std::{sync::Arc, time::Duration};

pub use actions::{Commands, ToStore};
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use daemon::Clock;
pub use identity::{Access, PageConfig, ProxyConfig};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use tokio::sync::watch;

use crate::{
    channels::{Contacts, message::Renderer},
    config::Actions,
    evidence::Snapshot,
    store::Browse,
};

/// What may be loaded on the page: its own style sheet, and messages in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// A message is shown as a customer's mail program would: its own styles, and nothing that acts.
const MESSAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; frame-ancestors 'self'";
/// After a button was pressed, the planner has this long (real time) before the page shows what became of it.
const TAKEN: Duration = Duration::from_millis(700);

/// What the page reads and shows.
#[derive(Clone)]
pub struct PageState {
    /// The store, read only.
    pub store: Arc<dyn Browse>,
    /// Where buttons are taken down.
    pub commands: Arc<dyn Commands>,
    /// Knows which user the partner means by its own id.
    pub contacts: Arc<dyn Contacts>,
    /// What banks are called, and how their connectors are.
    pub evidence: watch::Receiver<Arc<Snapshot>>,
    /// Who may do what.
    pub access: Access,
    /// Makes messages again from their variables.
    pub renderer: Arc<Renderer>,
    /// For "12 min ago".
    pub clock: Clock,
    /// `production` or another name, shown on every page.
    pub environment: Arc<str>,
    /// Which actions are off, in dry run or live.
    pub actions: Actions,
}

/// The page's routes, to be mounted at the root: `/incidents`, `/incidents/{reference}`, `/banks`, `/steering`,
/// `/effects`, `/message`, `/message.html`, `/actions`, `/page.css`, `/api/v1/users/{id}/status` and
/// `/api/v1/connections/{id}/done`.
pub fn router(state: PageState) -> Router {
    let shared = Shared { state, templates: Arc::new(templates()), overview: overview::Cache::default() };
    Router::new()
        .route("/incidents", get(list::incidents))
        .route("/incidents/{reference}", get(handlers::incident))
        .route("/banks", get(banks::banks))
        .route("/steering", get(steering::steering))
        .route("/effects", get(handlers::effects))
        .route("/message", get(handlers::message))
        .route("/message.html", get(handlers::message_html))
        .route("/actions", post(actions::act))
        .route("/api/v1/users/{user}/status", get(api::status))
        .route("/api/v1/connections/{connection}/done", post(actions::done))
        .route_layer(from_fn_with_state(shared.clone(), identity::identify))
        .route("/page.css", get(style))
        .with_state(shared)
}

/// What shows or changes something of people: refused off loopback without authentication.
pub const PRIVATE: [&str; 8] =
    ["/incidents", "/banks", "/steering", "/effects", "/message", "/message.html", "/actions", "/api/v1"];

/// The links of the landing page.
pub const LINKS: [(&str, &str, &str); 4] = [
    ("/incidents", "Incidents", "what fails now, and why"),
    ("/banks", "Banks", "what Basiq says of them, and what fails there"),
    ("/effects", "Going out", "messages, refreshes, tickets and notices"),
    ("/steering", "Steering", "what is held, dead or paused, with buttons"),
];

#[derive(Clone)]
struct Shared {
    state: PageState,
    templates: Arc<Environment<'static>>,
    overview: overview::Cache,
}

impl Shared {
    /// Renders a template of the page.
    fn page(&self, template: &str, values: impl serde::Serialize) -> Response {
        let environment = &*self.state.environment;
        let frame = minijinja::context! { environment, actions => words::actions(&self.state.actions), here => template };
        let values = minijinja::Value::from_serialize(values);
        let all = minijinja::context! { ..frame, ..values };
        match self.templates.get_template(template).and_then(|template| template.render(all)) {
            Ok(html) => html_response(StatusCode::OK, html, POLICY),
            Err(error) => {
                tracing::error!(template, kind = %error.kind(), line = error.line(), "a page cannot be rendered");
                problem(StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be shown; the log says why.")
            }
        }
    }

    /// The counts that head lists, or what to answer where the store cannot be read.
    async fn counted(&self) -> Result<Arc<overview::Counted>, Response> {
        let counted = self.overview.get(&self.state.store, self.state.clock.now()).await;
        counted.map_err(|error| handlers::failed(&error))
    }

    /// What banks are called.
    fn names(&self) -> banks::Names {
        banks::Names::new(self.state.evidence.borrow().clone())
    }
}

fn html_response(status: StatusCode, html: String, policy: &'static str) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With less, browsers would send no origin with a form over plain HTTP, and it could not be told from another
    // site's.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A short answer in plain text.
fn problem(status: StatusCode, text: &'static str) -> Response {
    let mut response = (status, text).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn style() -> Response {
    let css = include_str!("templates/page.css");
    ([(header::CONTENT_TYPE, "text/css"), (header::CACHE_CONTROL, "max-age=300")], css).into_response()
}

fn templates() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in [
        ("frame.html", include_str!("templates/frame.html")),
        ("parts.html", include_str!("templates/parts.html")),
        ("banks.html", include_str!("templates/banks.html")),
        ("steering.html", include_str!("templates/steering.html")),
        ("incidents.html", include_str!("templates/incidents.html")),
        ("incident.html", include_str!("templates/incident.html")),
        ("effects.html", include_str!("templates/effects.html")),
        ("message.html", include_str!("templates/message.html")),
        ("missing.html", include_str!("templates/missing.html")),
    ] {
        // Embedded and covered by a test that renders each: what fails here is never shipped.
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(name, %error, "an embedded template does not compile");
        }
    }
    environment
}
