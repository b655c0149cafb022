//! Alerts that are sent here: by a Prometheus as if this were its Alertmanager, or by an Alertmanager's webhook.
//!
//! - `POST /api/v2/alerts`: what Prometheus sends (`alerting.alertmanagers` in its configuration).
//! - `POST /api/v2/webhook`: what Alertmanager sends (`webhook_configs`, version 4).
//!
//! Both ask for the source's token or password. An answer of 2xx means that what was sent is durable. Alerts
//! without a label `action`, or with `none`, ask for nothing and are passed over; one that cannot be used is named in the answer
//! (400) and does not keep the others of its batch from being taken. So are alerts that a webhook left out
//! (`truncatedAlerts`).
//!
//! Of several replicas the one that plans takes alerts; the others answer 503. Nothing is lost where senders are given
//! every replica: Prometheus sends each alert to all of its Alertmanagers, and again while it fires and for 15 minutes
//! after it ended; an Alertmanager tries its webhook again.
//!
//! An alert without a connection that is not sent again before its `endsAt` becomes unknown: it lasts until it is
//! sent again or resolved, and operators get the notice `BasiqAlerterSenderSilent`.

mod alert;
mod book;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::Engine as _;
use daemon::{Clock, Fatal, Secret, Timestamp, config};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, Notify};

use super::{Make, Measures, Row, Run, Sender, Source};
use crate::{demand::Action, evidence::Look, plan::Said, rules::Changes};
use alert::Received;
use book::Pushed;

/// Larger than any batch of Prometheus (64 alerts), and than a group of an Alertmanager with 20,000 alerts: one that is
/// refused for its size is not sent again.
pub(crate) const MAX_BODY: usize = 32 << 20;
/// Until a report that could not be committed is made again, in real time.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes alerts that others evaluate. Off unless it is configured with a token or a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// The name under which its state is kept.
    pub name: String,
    /// The file with the token that senders show.
    pub bearer_token_file: Option<PathBuf>,
    /// The name that senders log in with, if not by token.
    pub username: Option<String>,
    /// The file with their password.
    pub password_file: Option<PathBuf>,
    /// The message for alerts with the action `notify-user` whose annotations name none.
    pub template: Option<String>,
    /// The closing message for the same.
    pub closing_template: Option<String>,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            name: "push".to_owned(),
            bearer_token_file: None,
            username: None,
            password_file: None,
            template: None,
            closing_template: None,
        }
    }
}

pub(super) fn make(settings: &PushConfig, make: &Make<'_>) -> Result<Box<dyn Source>, Fatal> {
    let secret = |key: &str, path: &PathBuf| {
        config::secret_from(&format!("sources.push.{key}"), &config::relative_to(make.file, path))
    };
    let PushConfig { name, bearer_token_file, username, password_file, template, closing_template } =
        settings;
    for (key, name) in [("template", template), ("closing_template", closing_template)] {
        if let Some(name) = name.as_ref().filter(|name| !make.templates.contains(name)) {
            return Err(Fatal::settings(format!(
                "sources.push.{key}: there is no message template {name:?}; there are {}",
                make.templates.join(", ")
            )));
        }
    }
    let login = match (bearer_token_file, username, password_file) {
        (Some(token), None, None) => {
            Secret::new(format!("Bearer {}", secret("bearer_token_file", token)?.expose()))
        }
        (None, Some(user), Some(password)) => {
            let pair = format!("{user}:{}", secret("password_file", password)?.expose());
            Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
        }
        _ => {
            return Err(Fatal::settings(
                "sources.push: set bearer_token_file, or username and password_file; nobody may send alerts without",
            ));
        }
    };
    let usual = [("template", template.clone()), ("closing_template", closing_template.clone())];
    let shared = Shared {
        login,
        templates: make.templates.clone(),
        usual,
        live: Mutex::new(None),
        changed: Notify::new(),
    };
    Ok(Box::new(Push { name: name.as_str().into(), shared: Arc::new(shared) }))
}

struct Push {
    name: Arc<str>,
    shared: Arc<Shared>,
}

/// What the handlers and the task that ends alerts share.
struct Shared {
    /// What the header `Authorization` must be.
    login: Secret,
    templates: Arc<[String]>,
    /// Annotations for demands of messages that name none.
    usual: [(&'static str, Option<String>); 2],
    /// There once the source runs. Held while a report is committed: one batch after the other.
    live: Mutex<Option<Live>>,
    changed: Notify,
}

struct Live {
    clock: Clock,
    reports: Sender,
    pushed: Pushed,
    measures: Measures,
}

#[async_trait]
impl Source for Push {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn router(&mut self) -> Option<Router> {
        let router = Router::new()
            .route("/api/v2/alerts", post(prometheus))
            .route("/api/v2/webhook", post(alertmanager))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .route_layer(middleware::from_fn_with_state(self.shared.clone(), admitted))
            .with_state(self.shared.clone());
        Some(router)
    }

    async fn preview(self: Box<Self>, at: Timestamp, _look: &Look, state: Vec<Row>) -> Said {
        let (pushed, changes) = Pushed::restore(self.name.clone(), self.shared.templates.clone(), &state, at);
        Said { firing: pushed.firing(at), ended: changes.ended }
    }

    async fn run(self: Box<Self>, run: Run) {
        let Run { clock, stop, reports, state, measures, .. } = run;
        let templates = self.shared.templates.clone();
        let now = clock.now();
        let (pushed, mut changes) = Pushed::restore(self.name.clone(), templates, &state, now);
        changes.firing = pushed.firing(now);
        if !reports.send(now, changes).await && stop.is_cancelled() {
            return;
        }
        *self.shared.live.lock().await = {
            let clock = clock.clone();
            Some(Live { clock, reports, pushed, measures })
        };
        loop {
            let next = {
                let mut live = self.shared.live.lock().await;
                let Some(Live { pushed, reports, .. }) = live.as_mut() else { return };
                let now = clock.now();
                if commit(pushed, reports, now, |pushed| (pushed.expire(now), ())).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
                pushed.next_due()
            };
            let due = async {
                match next {
                    Some(due) => clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.changed.notified() => {}
                () = due => {}
            }
        }
    }
}

/// Makes a change durable, or takes it back.
async fn commit<T>(
    pushed: &mut Pushed,
    reports: &Sender,
    now: Timestamp,
    change: impl FnOnce(&mut Pushed) -> (Changes, T),
) -> Result<T, ()> {
    // What a handler that was dropped while it waited (its sender hung up) left half done.
    pushed.take_back();
    let (changes, more) = change(pushed);
    if changes.is_empty() || reports.send(now, changes).await {
        pushed.keep();
        return Ok(more);
    }
    pushed.take_back();
    Err(())
}

/// Nothing of a stranger's body is kept. It is passed over to its end: who is still sending would not see the answer.
async fn admitted(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if shared.admits(request.headers()) {
        return next.run(request).await;
    }
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    let ask = [(header::WWW_AUTHENTICATE, "Bearer, Basic realm=\"alerts\"")];
    (StatusCode::UNAUTHORIZED, ask).into_response()
}

async fn prometheus(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.take(alert::of_prometheus(&body)).await
}

async fn alertmanager(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.take(alert::of_alertmanager(&body)).await
}

/// What cannot be used is said to the sender, and to whoever reads the log. No reason repeats what was sent.
fn refuse(errors: &[String]) -> Response {
    let first = errors.first().map_or("", String::as_str);
    tracing::warn!(refused = errors.len(), first, "alerts that were sent cannot be used");
    answer(StatusCode::BAD_REQUEST, errors)
}

fn answer(status: StatusCode, errors: &[String]) -> Response {
    (status, Json(json!({ "errors": errors }))).into_response()
}

impl Shared {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown.is_some_and(|shown| Secret::new(shown) == self.login)
    }

    /// Adds the usual templates to what asks for a message and names none.
    fn complete(&self, mut received: Vec<Result<Received, String>>) -> Vec<Result<Received, String>> {
        for received in received.iter_mut().flatten() {
            let asks =
                received.labels.get("action").is_some_and(|action| action == Action::NotifyUser.as_str());
            if !asks || received.annotations.contains_key("template") {
                continue;
            }
            for (name, usual) in &self.usual {
                if let Some(usual) = usual {
                    received.annotations.insert((*name).to_owned(), usual.clone());
                }
            }
        }
        received
    }

    async fn take(&self, read: Result<Vec<Result<Received, String>>, String>) -> Response {
        let received = match read {
            Ok(received) => self.complete(received),
            Err(reason) => return refuse(&[reason]),
        };
        let mut live = self.live.lock().await;
        let Some(Live { clock, reports, pushed, measures }) = live.as_mut() else {
            return answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &["this process does not plan (it starts, or another replica leads); send it again"
                    .to_owned()],
            );
        };
        let now = clock.now();
        let Ok(errors) = commit(pushed, reports, now, |pushed| pushed.receive(received, now)).await else {
            let reason = "it could not be stored; send it again".to_owned();
            return answer(StatusCode::SERVICE_UNAVAILABLE, &[reason]);
        };
        measures.succeeded(reports.source(), now);
        drop(live);
        self.changed.notify_one();
        match &*errors {
            [] => StatusCode::OK.into_response(),
            errors => refuse(errors),
        }
    }
}

#[cfg(test)]
mod tests;
