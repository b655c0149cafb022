//! One call: token, turn, sending, reading, and what to do when it fails.

use std::{
    collections::HashSet,
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use daemon::Secret;
use reqwest::{
    Method as Verb,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    ClientConfig, Endpoint, KeyState, Priority, Request, Status,
    answer::{Answer, Failure, Then, failure},
    gate::Gate,
    token::{Token, Tokens},
};
use crate::{
    Error, ErrorKind,
    error::decode,
    model::{Page, TokenBody},
};

/// How often a read is sent again after throttling; it waits for the pause to pass each time.
const THROTTLED_TRIES: u32 = 3;

pub(super) struct Transport {
    config: ClientConfig,
    base: Url,
    http: reqwest::Client,
    gate: Gate,
    tokens: Tokens,
    told: Mutex<KeyState>,
}

/// A request that can be made anew for each try.
struct Call {
    endpoint: Endpoint,
    verb: Verb,
    url: Url,
    body: Option<(Bytes, &'static str)>,
    priority: Priority,
}

impl Call {
    /// Whether sending it twice does no more than sending it once.
    fn is_read(&self) -> bool {
        self.verb == Verb::GET || self.endpoint == Endpoint::Token
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { endpoint: self.endpoint, kind, correlation_id: None }
    }
}

impl Transport {
    pub(super) fn new(config: ClientConfig) -> Result<Self, Error> {
        let base = base_url(&config.base_url)?;
        let http = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            // A redirect would carry identifiers, perhaps a token, to wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| settings(format!("HTTP cannot be set up: {}", error.without_url())))?;
        Ok(Self {
            gate: Gate::new(config.quota, config.clock.clone()),
            tokens: Tokens::new(config.keys.clone(), config.clock.clone()),
            told: Mutex::default(),
            config,
            base,
            http,
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn status(&self) -> Status {
        let (throttled_until, remaining_today, in_flight, waiting) = self.gate.status();
        Status { key: self.tokens.key_state(), throttled_until, remaining_today, in_flight, waiting }
    }

    pub(super) async fn check_key(&self) -> Result<(), Error> {
        self.token().await.map(|_| ())
    }

    /// Reads one resource.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        url: Url,
        priority: Priority,
    ) -> Result<T, Error> {
        let call = Call { endpoint, verb: Verb::GET, url, body: None, priority };
        let answer = self.call(&call).await?;
        decoded(&call, &answer)
    }

    /// Reads a list with all its pages.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        url: Url,
        priority: Priority,
    ) -> Result<Vec<T>, Error> {
        let bad = |why| Error { endpoint, kind: ErrorKind::BadNextLink(why), correlation_id: None };
        let (mut entries, mut seen, mut url) = (Vec::new(), HashSet::new(), url);
        for _ in 0..self.config.max_pages.max(1) {
            let page: Page<T> = self.get(endpoint, url.clone(), priority).await?;
            if entries.len() + page.data.len() > self.config.max_entries {
                return Err(bad("the list has more entries than are kept of one"));
            }
            entries.extend(page.data);
            let Some(next) = page.links.and_then(|links| links.next).filter(|next| !next.is_empty()) else {
                return Ok(entries);
            };
            let next = self.next_page(&url, &next).ok_or_else(|| bad("it leads away from the base URL"))?;
            if !seen.insert(std::mem::replace(&mut url, next)) || seen.contains(&url) {
                return Err(bad("it leads in a circle"));
            }
        }
        Err(bad("the list has more pages than are followed"))
    }

    /// Sends what changes something: once. Returns the status with the body; that of a 204 is `null`.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        verb: Verb,
        url: Url,
        body: Option<Bytes>,
        priority: Priority,
    ) -> Result<(u16, T), Error> {
        let body = body.map(|body| (body, "application/json"));
        let call = Call { endpoint, verb, url, body, priority };
        let mut answer = self.call(&call).await?;
        if answer.status == 204 {
            answer.body = b"null".to_vec();
        }
        let value = decoded(&call, &answer)
            .map_err(|error| call.error(ErrorKind::OutcomeUnknown(error.kind.to_string())))?;
        Ok((answer.status, value))
    }

    pub(super) fn json<T: Serialize>(&self, body: &T) -> Result<Bytes, Error> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|error| settings(error.to_string()))
    }

    async fn token(&self) -> Result<Token, Error> {
        let token = self.tokens.get(|key| self.fetch_token(key)).await;
        let state = self.tokens.key_state();
        let before = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), state);
        if before != state {
            self.config.observer.key(state);
        }
        token
    }

    /// `POST /token`. It goes before everything else, since everything waits for it.
    async fn fetch_token(&self, key: Secret) -> Result<TokenBody, Error> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("token");
        }
        let form = (Bytes::from_static(b"scope=SERVER_ACCESS"), "application/x-www-form-urlencoded");
        let call = Call {
            endpoint: Endpoint::Token,
            verb: Verb::POST,
            url,
            body: Some(form),
            priority: Priority::Effect,
        };
        let authorization = authorization("Basic", &key).ok_or_else(|| {
            call.error(ErrorKind::KeyUnreadable("it has characters that no key has".to_owned()))
        })?;
        let mut tries = Tries::default();
        loop {
            match self.send(&call, authorization.clone()).await {
                Ok(answer) => return decoded(&call, &answer),
                Err(failure) => self.pause_or_tell(&call, failure, &mut tries).await?,
            }
        }
    }

    async fn call(&self, call: &Call) -> Result<Answer, Error> {
        let mut tries = Tries::default();
        loop {
            let token = self.token().await?;
            let unusable = || ErrorKind::Malformed {
                path: "access_token".to_owned(),
                reason: "it has characters that no header can carry".to_owned(),
            };
            let bearer = authorization("Bearer", &token.value).ok_or_else(|| call.error(unusable()))?;
            match self.send(call, bearer).await {
                Ok(answer) => return Ok(answer),
                Err(Failure { then: Then::Renew(min_age), .. })
                    if !tries.renewed && self.tokens.reject(&token, min_age) =>
                {
                    // Refused before anything was done, so that a write may be sent again as well.
                    tries.renewed = true;
                }
                Err(failure) => self.pause_or_tell(call, failure, &mut tries).await?,
            }
        }
    }

    /// After a failure: returns when a read may be sent again, or with the error.
    async fn pause_or_tell(&self, call: &Call, failure: Failure, tries: &mut Tries) -> Result<(), Error> {
        if !call.is_read() {
            return Err(failure.error);
        }
        match failure.then {
            // The gate holds everybody until the pause has passed.
            Then::SlowDown(_)
                if tries.throttled + 1 < THROTTLED_TRIES && self.is_worth_waiting(&failure.error) =>
            {
                tries.throttled += 1;
                Ok(())
            }
            Then::TryAgain(_) if tries.failed + 1 < self.config.retry.tries => {
                tries.failed += 1;
                let longest = self.config.retry.base.saturating_mul(1 << (tries.failed - 1).min(10));
                tokio::time::sleep(longest.mul_f64(rand::random())).await;
                Ok(())
            }
            _ => Err(failure.error),
        }
    }

    fn is_worth_waiting(&self, error: &Error) -> bool {
        error.retry_after().is_none_or(|pause| pause <= self.config.patience)
    }

    /// Waits for a turn and sends once; the whole client hears of it.
    async fn send(&self, call: &Call, authorization: HeaderValue) -> Result<Answer, Failure> {
        let tell = |kind| Failure { error: call.error(kind), then: Then::Tell };
        let permit = self.gate.acquire(call.priority, self.config.patience).await.map_err(tell)?;
        self.config.observer.waited(call.priority, permit.waited);
        let started = Instant::now();
        let mut result = self.send_now(call, authorization).await;
        let duration = started.elapsed();
        drop(permit);
        if let Err(failure) = &mut result {
            self.heed(failure);
        } else {
            self.gate.succeeded();
        }
        let request =
            Request { endpoint: call.endpoint, error: result.as_ref().err().map(|f| &f.error), duration };
        tracing::debug!(endpoint = %request.endpoint, outcome = request.outcome(), ?duration, "asked Basiq");
        self.config.observer.request(&request);
        result
    }

    /// Slows everybody down if that is what was asked for.
    fn heed(&self, failure: &mut Failure) {
        match failure.then {
            Then::SlowDown(asked) => {
                let until = self.gate.throttle(asked);
                let retry_after = until.duration_since(self.config.clock.now());
                let retry_after = Duration::try_from(retry_after).unwrap_or_default();
                failure.error.kind = ErrorKind::Throttled { retry_after };
                self.config.observer.throttled(until);
            }
            Then::TryAgain(Some(asked)) => self.gate.hold(asked),
            _ => {}
        }
    }

    async fn send_now(&self, call: &Call, authorization: HeaderValue) -> Result<Answer, Failure> {
        let mut request = self
            .http
            .request(call.verb.clone(), call.url.clone())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .header("basiq-version", "3.0");
        request = match &call.body {
            Some((body, kind)) => request.header(CONTENT_TYPE, *kind).body(body.clone()),
            // A POST without a body says so: some gateways refuse one without a length.
            None if call.verb == Verb::POST => request.header(reqwest::header::CONTENT_LENGTH, 0),
            None => request,
        };
        // Until there is a connection nothing was sent.
        let broken = |error: reqwest::Error| {
            let sent = !(error.is_connect() || error.is_builder());
            self.uncertain(call, sent, describe(&error), |text| Failure {
                error: call.error(ErrorKind::Transport(text)),
                then: Then::TryAgain(None),
            })
        };
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > self.config.max_body {
                let limit = self.config.max_body;
                return Err(self.uncertain(call, true, format!("its answer exceeds {limit} bytes"), |_| {
                    Failure { error: call.error(ErrorKind::TooLarge { limit }), then: Then::Tell }
                }));
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, headers, body };
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let failure = failure(call.endpoint, &answer);
        match failure.error.kind {
            // Who failed, and before or after it was done, a 5xx does not say.
            ErrorKind::Unavailable { status, .. } if !call.is_read() => {
                self.heed(&mut failure.clone());
                let kind = ErrorKind::OutcomeUnknown(format!("status {status}"));
                Err(Failure { error: Error { kind, ..failure.error }, then: Then::Tell })
            }
            _ => Err(failure),
        }
    }

    /// A failure on the way; of a write that was sent, its outcome is not known.
    fn uncertain(
        &self,
        call: &Call,
        sent: bool,
        text: String,
        read: impl FnOnce(String) -> Failure,
    ) -> Failure {
        if sent && !call.is_read() {
            return Failure { error: call.error(ErrorKind::OutcomeUnknown(text)), then: Then::Tell };
        }
        read(text)
    }

    /// A list's next page, if it is within the base URL.
    fn next_page(&self, current: &Url, next: &str) -> Option<Url> {
        let mut next = current.join(next).ok()?;
        next.set_fragment(None);
        let prefix = format!("{}/", self.base.path().trim_end_matches('/'));
        let within = next.origin() == self.base.origin()
            && next.username().is_empty()
            && next.password().is_none()
            && next.path().starts_with(&prefix);
        within.then_some(next)
    }
}

/// What has been tried of one call.
#[derive(Default)]
struct Tries {
    renewed: bool,
    throttled: u32,
    failed: u32,
}

fn settings(text: String) -> Error {
    Error { endpoint: Endpoint::Token, kind: ErrorKind::Settings(text), correlation_id: None }
}

fn base_url(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|error| settings(format!("the base URL is none: {error}")))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if plain => Ok(url),
        "http" | "https" => Err(settings("the base URL must have no user, query or fragment".to_owned())),
        _ => Err(settings("the base URL must begin with https:// (or http://)".to_owned())),
    }
}

fn authorization(scheme: &str, secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn decoded<T: DeserializeOwned>(call: &Call, answer: &Answer) -> Result<T, Error> {
    decode(&answer.body).map_err(|(path, reason)| call.error(ErrorKind::Malformed { path, reason }))
}

/// What went wrong on the way, without the URL: it has ids in it.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the connection broke"
    };
    // The innermost cause says what the system says: refused, reset, a bad certificate.
    let Some(mut cause) = error.source() else { return what.to_owned() };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause: String = cause.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    format!("{what}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    fn transport(base: &str) -> Transport {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = ClientConfig::new(KeySource::value(Secret::new("key")));
        config.base_url = base.to_owned();
        Transport::new(config).unwrap()
    }

    #[test]
    fn next_pages_stay_within_the_base_url() {
        for base in ["https://gw.example.com/basiq", "https://gw.example.com/basiq/"] {
            let transport = transport(base);
            let current = Url::parse("https://gw.example.com/basiq/connectors").unwrap();
            let next = |link: &str| transport.next_page(&current, link).map(|url| url.to_string());
            for good in
                ["https://gw.example.com/basiq/connectors?next=2", "?next=2", "/basiq/connectors?next=2"]
            {
                assert_eq!(
                    next(good).as_deref(),
                    Some("https://gw.example.com/basiq/connectors?next=2"),
                    "{good}"
                );
            }
            for bad in [
                "https://evil.example/basiq/connectors?next=2",
                "http://gw.example.com/basiq/connectors",
                "https://gw.example.com:444/basiq/connectors",
                "//evil.example/basiq/connectors",
                "https://user@gw.example.com/basiq/connectors",
                "/other",
                "/basiqal",
                "/basiq/../admin",
                "/basiq/%2e%2e/admin",
                "file:///etc/passwd",
                "javascript:alert(1)",
                "https://[",
            ] {
                assert_eq!(next(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_base_url_that_cannot_serve_is_refused_with_what_to_do() {
        for bad in
            ["au-api.basiq.io", "ftp://au-api.basiq.io", "https://k@au-api.basiq.io", "https://x/?a=b", ""]
        {
            assert!(matches!(base_url(bad).unwrap_err().kind, ErrorKind::Settings(_)), "{bad}");
        }
        assert!(base_url("http://127.0.0.1:9767").is_ok());
    }
}
