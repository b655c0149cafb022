//! Sending, once.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use reqwest::Method as Verb;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{ClientConfig, Endpoint, KeyState, Priority, Status, config::KeyPlace};
use crate::{
    Error, ErrorKind,
    error::decode,
    model::{Page, TokenBody},
};

pub(super) struct Transport {
    config: ClientConfig,
    base: Url,
    http: reqwest::Client,
}

fn error(endpoint: Endpoint, kind: ErrorKind) -> Error {
    Error { endpoint, kind, correlation_id: None }
}

impl Transport {
    pub(super) fn new(config: ClientConfig) -> Result<Self, Error> {
        let fail = |text: String| error(Endpoint::Token, ErrorKind::Transport(text));
        let base = Url::parse(&config.base_url).map_err(|e| fail(format!("the base URL is none: {e}")))?;
        let http = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| fail(e.without_url().to_string()))?;
        Ok(Self { config, base, http })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn status(&self) -> Status {
        Status {
            key: KeyState::Untried,
            throttled_until: None,
            remaining_today: self.config.quota.per_day,
            in_flight: 0,
            waiting: 0,
        }
    }

    pub(super) async fn check_key(&self) -> Result<(), Error> {
        self.token().await.map(|_| ())
    }

    async fn token(&self) -> Result<String, Error> {
        let key = match &self.config.keys.current {
            KeyPlace::Value(key) => key.clone(),
            KeyPlace::File(path) => daemon::Secret::from_file(path)
                .map_err(|e| error(Endpoint::Token, ErrorKind::KeyUnreadable(e.to_string())))?,
        };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("token");
        }
        let request = self
            .http
            .post(url)
            .header("authorization", format!("Basic {}", key.expose()))
            .form(&[("scope", "SERVER_ACCESS")]);
        let (status, body) = self.send(Endpoint::Token, request).await?;
        if status == 404 {
            return Err(error(Endpoint::Token, ErrorKind::KeyRefused));
        }
        let body: TokenBody = self.checked(Endpoint::Token, status, &body)?;
        Ok(body.access_token)
    }

    pub(super) fn json<T: Serialize>(&self, endpoint: Endpoint, body: &T) -> Result<Bytes, Error> {
        let bytes =
            serde_json::to_vec(body).map_err(|e| error(endpoint, ErrorKind::Transport(e.to_string())))?;
        Ok(bytes.into())
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        url: Url,
        _: Priority,
    ) -> Result<T, Error> {
        let request = self.http.get(url).bearer_auth(self.token().await?);
        let (status, body) = self.send(endpoint, request).await?;
        self.checked(endpoint, status, &body)
    }

    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        url: Url,
        priority: Priority,
    ) -> Result<Vec<T>, Error> {
        let page: Page<T> = self.get(endpoint, url, priority).await?;
        let _ = page.links.and_then(|links| links.next);
        Ok(page.data)
    }

    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        verb: Verb,
        url: Url,
        body: Option<Bytes>,
        _: Priority,
    ) -> Result<(u16, T), Error> {
        let mut request = self.http.request(verb, url).bearer_auth(self.token().await?);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let (status, body) = self.send(endpoint, request).await?;
        let body = if status == 204 { Bytes::from_static(b"null") } else { body };
        Ok((status, self.checked(endpoint, status, &body)?))
    }

    fn checked<T: DeserializeOwned>(&self, endpoint: Endpoint, status: u16, body: &[u8]) -> Result<T, Error> {
        match status {
            200..300 => {
                decode(body).map_err(|(path, reason)| error(endpoint, ErrorKind::Malformed { path, reason }))
            }
            404 => Err(error(endpoint, ErrorKind::NotFound { code: None })),
            _ => Err(error(endpoint, ErrorKind::Refused { status, code: None })),
        }
    }

    async fn send(
        &self,
        endpoint: Endpoint,
        request: reqwest::RequestBuilder,
    ) -> Result<(u16, Bytes), Error> {
        let _started = Instant::now();
        let fail = |e: reqwest::Error| error(endpoint, ErrorKind::Transport(e.without_url().to_string()));
        let request = request.header("basiq-version", "3.0").header("accept", "application/json");
        let mut response = request.send().await.map_err(fail)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(fail)? {
            body.extend_from_slice(&chunk);
            if body.len() > self.config.max_body {
                return Err(error(endpoint, ErrorKind::TooLarge { limit: self.config.max_body }));
            }
        }
        Ok((response.status().as_u16(), body.freeze()))
    }
}
