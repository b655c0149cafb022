//! Basiq's webhooks, received on the public listener: signed as Standard Webhooks, told before they are acknowledged.
//!
//! A webhook says only that something happened; Basiq is then asked what ([`basiq::Client::event`]). What was missed,
//! because the exporter did not run or Basiq gave up on the endpoint, is read from Basiq's list of events.

mod guard;
mod secrets;
mod subscribe;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration as StdDuration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use basiq::{Client, Event, Notification, Priority, Subscription};
use daemon::config::Duration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Found, Item, News, Reporter, Source, What,
    news::{self, Sweep},
};
use crate::ledger::{Id, Ms, span};
use guard::{Guard, Known, Refusal};
use secrets::Secrets;

/// Basiq's webhooks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address that Basiq posts to, as the subscription has it: how the subscription is recognised.
    pub url: String,
    /// The path that is served on the public listener; that of `url` unless something in between rewrites it.
    #[serde(default)]
    pub path: Option<String>,
    /// File with the secret that Basiq gave when the subscription was made (`whsec_…`); read again when it changes.
    /// `basiq-exporter subscribe` makes both.
    pub secret_file: PathBuf,
    /// File with the secret that is to replace it; need not exist yet. Both are accepted.
    #[serde(default)]
    pub next_secret_file: Option<PathBuf>,
    /// How often the subscription is looked at. While it is missing or not active, Basiq's events are read as often.
    #[serde(default = "interval")]
    pub interval: Duration,
}

impl super::Settings for Config {
    fn place(&mut self, place: &dyn Fn(&mut PathBuf)) {
        std::iter::once(&mut self.secret_file).chain(&mut self.next_secret_file).for_each(place);
    }
}

fn interval() -> Duration {
    Duration(StdDuration::from_secs(5 * 60))
}

/// The largest body; Basiq's have some hundred bytes.
const BYTES: usize = 64 * 1024;
/// How long Basiq may take to say what happened before it is told to send the webhook again. Real time.
const PATIENCE: StdDuration = StdDuration::from_secs(10);
/// How often Basiq's events are read although the subscription is active: a webhook that was given up is news late,
/// not never. By the clock.
const SWEEP_EVERY: Ms = span::HOUR;
/// All labels of `basiq_exporter_webhooks_total`.
const OUTCOMES: [&str; 9] =
    ["accepted", "ignored", "duplicate", "malformed", "late", "replayed", "busy", "forged", "failed"];
/// Events that the subscription must name, so that what is announced is seen at once.
const NEEDED: [&str; 7] = [
    "user.created",
    "user.deleted",
    "connection.created",
    "connection.deleted",
    "connection.invalidated",
    "connection.activated",
    "consent.revoked",
];

/// The source.
#[derive(Debug)]
pub(super) struct Webhooks(Config);

impl Webhooks {
    pub(super) fn new(config: &Config) -> Self {
        Self(config.clone())
    }

    fn path(&self) -> Result<String, String> {
        let url = reqwest::Url::parse(&self.0.url)
            .map_err(|_| "discovery.webhooks.url: must be a full address, https://…".to_owned())?;
        let path = self.0.path.clone().unwrap_or_else(|| url.path().to_owned());
        if !path.starts_with('/') || path.contains(['{', '}', '*', '?', '#']) {
            return Err("discovery.webhooks.path: must begin with / and be a plain path".to_owned());
        }
        Ok(path)
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.0.secret_file.clone(), self.0.next_secret_file.clone())
    }

    /// Whether Basiq has our subscription and it is active.
    async fn is_active(&self, reporter: &Reporter) -> Result<bool, basiq::Error> {
        let all = reporter.client.subscriptions(Priority::Routine).await?;
        let ours: Vec<&Subscription> = all.iter().filter(|one| one.url == self.0.url).collect();
        let active: Vec<_> = ours.iter().filter(|one| one.status == "active").collect();
        let named = |event: &str| active.iter().any(|one| one.subscribed_events.iter().any(|e| e == event));
        let lacking: Vec<&str> = NEEDED.into_iter().filter(|event| !named(event)).collect();
        if ours.is_empty() {
            tracing::warn!("Basiq has no webhook subscription with the address of discovery.webhooks.url");
        } else if active.is_empty() {
            tracing::warn!(status = ours[0].status, "the webhook subscription is not active");
        } else if !lacking.is_empty() {
            tracing::warn!(events = lacking.join(", "), "the webhook subscription lacks events");
        }
        Ok(!active.is_empty())
    }
}

#[async_trait]
impl Source for Webhooks {
    fn name(&self) -> String {
        "webhooks".to_owned()
    }

    fn check(&self) -> Result<(), String> {
        self.path()?;
        if self.0.interval.0.is_zero() {
            return Err("discovery.webhooks.interval: 0 is no interval; give one, for example 5m".to_owned());
        }
        self.secrets().read().map(|_| ())
    }

    async fn subscribe(&self, client: &Client, replace: bool) -> Result<bool, String> {
        self.make_subscription(client, replace).await.map(|()| true)
    }

    fn public(&self, reporter: &Reporter) -> Option<Router> {
        let endpoint = Endpoint {
            reporter: reporter.clone(),
            secrets: Mutex::new(self.secrets()),
            guard: Mutex::default(),
        };
        reporter.own.seed_webhooks(&OUTCOMES);
        let route = Router::new().route(&self.path().ok()?, post(take));
        Some(route.layer(DefaultBodyLimit::max(BYTES)).with_state(Arc::new(endpoint)))
    }

    async fn run(self: Box<Self>, reporter: Reporter) {
        let mut sweep = Sweep::from(reporter.mark);
        let (mut was_active, mut swept) = (false, None);
        loop {
            let now = reporter.now();
            match self.is_active(&reporter).await {
                Ok(active) => {
                    reporter.own.set_subscription(active);
                    // Also once after it has become active: what was before was not sent.
                    let due = swept.is_none_or(|at: Ms| now >= at + SWEEP_EVERY);
                    if !active || !was_active || due {
                        match sweep.read(&reporter.client, now).await {
                            Ok((items, mark)) => {
                                swept = Some(now);
                                was_active = active;
                                let news = News { items, mark: Some(mark) };
                                if !reporter.tell(Found::News(news)).await {
                                    return;
                                }
                            }
                            Err(error) => {
                                tracing::warn!(%error, "Basiq's events cannot be read; tried again")
                            }
                        }
                    } else if !reporter.tell(Found::Same).await {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "the webhook subscription cannot be looked at"),
            }
            tokio::select! {
                () = reporter.context.stop.cancelled() => return,
                () = reporter.context.clock.sleep(self.0.interval.0) => {}
            }
        }
    }
}

/// What receives.
struct Endpoint {
    reporter: Reporter,
    secrets: Mutex<Secrets>,
    guard: Mutex<Guard>,
}

/// How a webhook ended: the label of the metric and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Taken in and stored.
    Accepted,
    /// Of a type that means nothing here.
    Ignored,
    /// A message that was taken in before, sent again since our answer was lost.
    Duplicate,
    /// Refused, for this reason.
    Refused(Refusal),
    /// Not signed by Basiq.
    Forged,
    /// Signed, but no webhook of Basiq's.
    Malformed,
    /// Basiq could not be asked what happened; to be sent again.
    Failed,
}

impl Outcome {
    fn answer(self) -> (&'static str, StatusCode) {
        match self {
            Self::Accepted => ("accepted", StatusCode::NO_CONTENT),
            Self::Ignored => ("ignored", StatusCode::NO_CONTENT),
            Self::Duplicate => ("duplicate", StatusCode::NO_CONTENT),
            Self::Refused(Refusal::Headers) => ("malformed", StatusCode::BAD_REQUEST),
            Self::Refused(Refusal::Time) => ("late", StatusCode::BAD_REQUEST),
            Self::Refused(Refusal::Replay) => ("replayed", StatusCode::CONFLICT),
            Self::Refused(Refusal::Busy) => ("busy", StatusCode::SERVICE_UNAVAILABLE),
            Self::Forged => ("forged", StatusCode::UNAUTHORIZED),
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST),
            Self::Failed => ("failed", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

async fn take(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let receiver = Arc::clone(&endpoint);
    // In a task of its own: a sender that hangs up leaves no message half taken in.
    let received = tokio::spawn(async move { receiver.receive(&headers, &body).await });
    let (outcome, status) = received.await.unwrap_or(Outcome::Failed).answer();
    endpoint.reporter.own.webhook(outcome);
    if !status.is_success() {
        tracing::warn!(outcome, "a webhook was refused");
    }
    status
}

impl Endpoint {
    async fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Outcome {
        let now = self.reporter.now();
        let signed = match guard::headers(headers, now) {
            Ok(signed) => signed,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let is_basiqs = {
            let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.verify(&signed, body)
        };
        if !is_basiqs {
            return Outcome::Forged;
        }
        let known = self.guard.lock().unwrap_or_else(PoisonError::into_inner).enter(&signed, now);
        match known {
            Ok(Known::No) => {}
            Ok(Known::Taken) => return Outcome::Duplicate,
            Err(refusal) => return Outcome::Refused(refusal),
        }
        let outcome = match Notification::parse(body) {
            Ok(notification) => self.take_in(&notification, now).await,
            Err(_) => Outcome::Malformed,
        };
        let taken = matches!(outcome, Outcome::Accepted | Outcome::Ignored);
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).leave(&signed.id, taken);
        outcome
    }

    async fn take_in(&self, notification: &Notification, now: Ms) -> Outcome {
        let item = match self.item(notification, now).await {
            Ok(Some(item)) => item,
            Ok(None) => return Outcome::Ignored,
            Err(outcome) => return outcome,
        };
        let news = News { items: vec![item], mark: None };
        match tokio::time::timeout(PATIENCE, self.reporter.tell_durably(Found::News(news))).await {
            Ok(true) => Outcome::Accepted,
            Ok(false) | Err(_) => Outcome::Failed,
        }
    }

    /// What a webhook means. What is evidence is read from Basiq, which dates it: this delivery may be its fifth.
    async fn item(&self, notification: &Notification, now: Ms) -> Result<Option<Item>, Outcome> {
        let (entity, event_type) = notification.event_name.split_once('.').ok_or(Outcome::Malformed)?;
        let place = notification.place.as_ref();
        let told = Event {
            id: notification.event_id.clone(),
            created: None,
            entity: entity.to_owned(),
            event_type: event_type.to_owned(),
            user_id: place.map(|place| place.user_id.clone()).unwrap_or_default(),
            connection_id: place.and_then(|place| place.connection_id.clone()),
            ..Event::default()
        };
        if !matches!(entity, "connection" | "consent" | "user") {
            return Ok(None);
        }
        let quick = Id::parse(&told.user_id).and_then(|_| news::item(&told, now));
        if let Some(item) = &quick
            && matches!(item.what, What::Changed | What::Worked)
        {
            return Ok(quick);
        }
        let asked = self.reporter.client.event(&notification.event_id, Priority::Running);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(event)) => Ok(news::item(&event, now)),
            // It cannot be read any more; a look tells what is.
            Ok(Err(error)) if error.is_not_found() => {
                Ok(quick.map(|item| Item { what: What::Changed, ..item }))
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "Basiq does not say what its webhook is about; it will send it again");
                Err(Outcome::Failed)
            }
            Err(_) => Err(Outcome::Failed),
        }
    }
}
