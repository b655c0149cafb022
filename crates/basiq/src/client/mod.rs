//! The client: what can be asked, and how it is kept polite.

mod answer;
mod config;
mod endpoint;
mod gate;
mod keys;
mod meter;
mod observer;
mod refusals;
mod token;
mod transport;
mod wire;

use std::sync::Arc;

use reqwest::Method as Verb;
use url::Url;

pub use config::{ClientConfig, KeySource, Priority, Quota, Retry};
pub use endpoint::{ConnectorFilter, Endpoint, EventFilter};
pub use observer::{KeyState, NoObserver, Observer, Request, Status};

use crate::{
    Error, ErrorKind,
    model::{Connection, Connector, Event, Job, JobRef, Message, NewSubscription, Subscription, User, is_id},
};
use endpoint::{filter_value, with_filter};
use transport::Transport;

/// The answer to a refresh. Both spend the same of Basiq's patience, but only [`Self::Started`] is an attempt
/// of ours (behaviour, section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// 202: a new job.
    Started(JobRef),
    /// 200: the job of that connection which is running already, or stands in Basiq's retry queue.
    Existing(JobRef),
}

impl Refreshed {
    /// The job, either way.
    pub fn job(&self) -> &JobRef {
        match self {
            Self::Started(job) | Self::Existing(job) => job,
        }
    }
}

/// A client of the Basiq API. Cheap to clone; all clones share token, quota and connections.
#[derive(Clone)]
pub struct Client(Arc<Transport>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Nothing is sent, and the key is not read yet; see [`Self::check_key`].
    ///
    /// # Errors
    /// [`ErrorKind::Settings`]: the base URL is none, or TLS cannot be set up. A rustls provider must be
    /// installed before.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        Transport::new(config).map(|transport| Self(Arc::new(transport)))
    }

    /// Gets a token, if there is none yet. For the start of a daemon, where a key that Basiq does not know
    /// ([`ErrorKind::KeyRefused`]) is a wrong setting.
    ///
    /// # Errors
    /// The key cannot be read, is refused, or Basiq cannot be reached.
    pub async fn check_key(&self) -> Result<(), Error> {
        self.0.check_key().await
    }

    /// What the client knows of itself now: key, throttling, what is left of the day.
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// What was used of the day's quota: requests by hour since the epoch, oldest first. To be kept, and given to
    /// [`Self::resume`] after a restart.
    pub fn spent(&self) -> Vec<(i64, u64)> {
        self.0.spent()
    }

    /// Adds what an earlier process used, as its [`Self::spent`] said.
    pub fn resume(&self, spent: &[(i64, u64)]) {
        self.0.resume(spent);
    }

    /// `GET /users/{userId}`.
    ///
    /// # Errors
    /// Any [`Error`]; not found means that the user is gone.
    pub async fn user(&self, user: &str, priority: Priority) -> Result<User, Error> {
        let url = self.url(Endpoint::User, &[("users", "the user"), (user, "the user's id")])?;
        self.0.get(Endpoint::User, url, priority).await
    }

    /// `GET /users/{userId}/jobs`: jobs less than 7 days old, of one connection if given.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn jobs(
        &self,
        user: &str,
        connection: Option<&str>,
        priority: Priority,
    ) -> Result<Vec<Job>, Error> {
        let mut url = self.user_url(Endpoint::Jobs, user, &[("jobs", "")])?;
        if let Some(id) = connection {
            with_filter(&mut url, &[format!("connection.id.eq({})", filter_value(Endpoint::Jobs, id)?)]);
        }
        self.0.list(Endpoint::Jobs, url, priority).await
    }

    /// `GET /jobs/{jobId}`.
    ///
    /// # Errors
    /// Any [`Error`]; not found means that Basiq shows it no longer.
    pub async fn job(&self, id: &str, priority: Priority) -> Result<Job, Error> {
        let url = self.url(Endpoint::Job, &[("jobs", ""), (id, "the job's id")])?;
        let mut job: Job = self.0.get(Endpoint::Job, url, priority).await?;
        if job.id.is_empty() {
            id.clone_into(&mut job.id);
        }
        Ok(job)
    }

    /// `GET /users/{userId}/connections`: all of the user's, or the one given (which is never read as a single
    /// resource: that carries balances and account numbers). Empty if that one does not exist.
    ///
    /// # Errors
    /// Any [`Error`]; not found means that the user is gone.
    pub async fn connections(
        &self,
        user: &str,
        connection: Option<&str>,
        priority: Priority,
    ) -> Result<Vec<Connection>, Error> {
        let endpoint = Endpoint::Connections;
        let url = self.user_url(endpoint, user, &[("connections", "")])?;
        let Some(id) = connection else { return self.0.list(endpoint, url, priority).await };
        let mut filtered = url.clone();
        with_filter(&mut filtered, &[format!("connection.id.eq({})", filter_value(endpoint, id)?)]);
        let found = match self.0.list::<Connection>(endpoint, filtered, priority).await {
            // The reference names the property `id`, its neighbours spell such filters `connection.id`;
            // where this one is refused, the whole list tells as much.
            Err(Error { kind: ErrorKind::Refused { .. }, .. }) => {
                self.0.list(endpoint, url, priority).await?
            }
            other => other?,
        };
        Ok(found.into_iter().filter(|connection| connection.id == id).collect())
    }

    /// `POST /users/{userId}/connections/{connectionId}/refresh`. Sent once; do not refresh in bulk (it loads
    /// the banks' sites and can lock users out).
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] if it was sent and nobody knows what became of it; any other [`Error`]
    /// means that no job was started.
    pub async fn refresh(
        &self,
        user: &str,
        connection: &str,
        priority: Priority,
    ) -> Result<Refreshed, Error> {
        let path = [("connections", ""), (connection, "the connection's id"), ("refresh", "")];
        let url = self.user_url(Endpoint::Refresh, user, &path)?;
        let (status, job) =
            self.0.write::<JobRef>(Endpoint::Refresh, Verb::POST, url, None, priority).await?;
        Ok(if status == 200 { Refreshed::Existing(job) } else { Refreshed::Started(job) })
    }

    /// `GET /connectors`: the banks, one entry for each method.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn connectors(
        &self,
        filter: &ConnectorFilter,
        priority: Priority,
    ) -> Result<Vec<Connector>, Error> {
        let mut url = self.url(Endpoint::Connectors, &[("connectors", "")])?;
        with_filter(&mut url, &filter.terms()?);
        self.0.list(Endpoint::Connectors, url, priority).await
    }

    /// `GET /events`: of the last 7 days.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn events(&self, filter: &EventFilter, priority: Priority) -> Result<Vec<Event>, Error> {
        let mut url = self.url(Endpoint::Events, &[("events", "")])?;
        with_filter(&mut url, &filter.terms()?);
        self.0.list(Endpoint::Events, url, priority).await
    }

    /// `GET /events/{id}`.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn event(&self, id: &str, priority: Priority) -> Result<Event, Error> {
        let url = self.url(Endpoint::Event, &[("events", ""), (id, "the event's id")])?;
        let mut event: Event = self.0.get(Endpoint::Event, url, priority).await?;
        if event.id.is_empty() {
            id.clone_into(&mut event.id);
        }
        Ok(event)
    }

    /// `GET /notifications/webhooks`.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn subscriptions(&self, priority: Priority) -> Result<Vec<Subscription>, Error> {
        let url = self.webhooks_url(&[])?;
        self.0.list(Endpoint::Webhooks, url, priority).await
    }

    /// `POST /notifications/webhooks`. The answer alone carries the secret.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn subscribe(&self, new: &NewSubscription, priority: Priority) -> Result<Subscription, Error> {
        let url = self.webhooks_url(&[])?;
        let body = self.0.json(new)?;
        Ok(self.0.write(Endpoint::Webhooks, Verb::POST, url, Some(body), priority).await?.1)
    }

    /// `POST /notifications/webhooks/{webhookId}`: sets a subscription to a new state.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn update_subscription(
        &self,
        id: &str,
        new: &NewSubscription,
        priority: Priority,
    ) -> Result<Subscription, Error> {
        let url = self.webhooks_url(&[(id, "the subscription's id")])?;
        let body = self.0.json(new)?;
        Ok(self.0.write(Endpoint::Webhooks, Verb::POST, url, Some(body), priority).await?.1)
    }

    /// `DELETE /notifications/webhooks/{webhookId}`.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn unsubscribe(&self, id: &str, priority: Priority) -> Result<(), Error> {
        let url = self.webhooks_url(&[(id, "the subscription's id")])?;
        self.0.write::<Nothing>(Endpoint::Webhooks, Verb::DELETE, url, None, priority).await?;
        Ok(())
    }

    /// `GET /notifications/webhooks/{webhookId}/messages`: what was sent to a subscription.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn messages(&self, id: &str, priority: Priority) -> Result<Vec<Message>, Error> {
        let url = self.webhooks_url(&[(id, "the subscription's id"), ("messages", "")])?;
        self.0.list(Endpoint::Messages, url, priority).await
    }

    fn webhooks_url(&self, rest: &[(&str, &'static str)]) -> Result<Url, Error> {
        let path = [&[("notifications", ""), ("webhooks", "")], rest].concat();
        self.url(Endpoint::Webhooks, &path)
    }

    fn user_url(&self, endpoint: Endpoint, user: &str, rest: &[(&str, &'static str)]) -> Result<Url, Error> {
        let path = [&[("users", ""), (user, "the user's id")], rest].concat();
        self.url(endpoint, &path)
    }

    /// The base URL with segments of a path, each with what to call it if it is no id.
    fn url(&self, endpoint: Endpoint, path: &[(&str, &'static str)]) -> Result<Url, Error> {
        let mut url = self.0.base().clone();
        if let Some((_, what)) = path.iter().find(|(segment, _)| !is_id(segment)) {
            return Err(Error { endpoint, kind: ErrorKind::InvalidId(what), correlation_id: None });
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.iter().map(|(segment, _)| segment));
        }
        Ok(url)
    }
}

/// An answer whose body is of no interest.
pub(crate) struct Nothing;

impl<'de> serde::Deserialize<'de> for Nothing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}
