//! One call: token, turn, sending, and what to do when it fails.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use daemon::{Secret, traces::TARGET};
use reqwest::{Method as Verb, header::HeaderValue};
use serde::{Serialize, de::DeserializeOwned};
use tracing::{Instrument, field::Empty};
use url::Url;

use super::{
    ClientConfig, Endpoint, KeyState, Priority, Request, Status,
    answer::{Answer, Failure, Then},
    gate::Gate,
    refusals::Refusals,
    token::{Token, Tokens},
    wire::{Call, Wire, authorization, base_url, settings},
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
    wire: Wire,
    gate: Gate,
    tokens: Tokens,
    refusals: Mutex<Refusals>,
    told: Mutex<KeyState>,
}

impl Transport {
    pub(super) fn new(config: ClientConfig) -> Result<Self, Error> {
        let base = base_url(&config.base_url)?;
        Ok(Self {
            gate: Gate::new(config.quota, config.clock.clone()),
            tokens: Tokens::new(config.keys.clone(), config.clock.clone()),
            refusals: Mutex::default(),
            told: Mutex::default(),
            wire: Wire::new(&config)?,
            config,
            base,
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn status(&self) -> Status {
        let (throttled_until, remaining_today, in_flight, waiting) = self.gate.status();
        Status { key: self.tokens.key_state(), throttled_until, remaining_today, in_flight, waiting }
    }

    pub(super) fn resume(&self, spent: &[(i64, u64)]) {
        self.gate.resume(spent);
    }

    pub(super) fn spent(&self) -> Vec<(i64, u64)> {
        self.gate.spent()
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
            // Somebody else's words under a 200 (a gateway's, say), taken for an empty list, would make everything
            // that is not named seem deleted.
            let resource = matches!(
                endpoint,
                Endpoint::Jobs | Endpoint::Connections | Endpoint::Connectors | Endpoint::Events
            );
            if resource && page.kind.is_none() && page.data.is_empty() {
                let (path, reason) = (".".to_owned(), "it is no list: `type` is missing".to_owned());
                return Err(Error {
                    endpoint,
                    kind: ErrorKind::Malformed { path, reason },
                    correlation_id: None,
                });
            }
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
        let before = std::mem::replace(&mut *locked(&self.told), state);
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
        let span = tracing::info_span!(target: TARGET, "ask Basiq", endpoint = %call.endpoint, method = %call.verb, outcome = Empty);
        let result = self.call_until_told(call).instrument(span.clone()).await;
        span.record("outcome", result.as_ref().map_or_else(|error| error.kind.as_str(), |_| "success"));
        result
    }

    async fn call_until_told(&self, call: &Call) -> Result<Answer, Error> {
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
        let result = self.wire.send(call, authorization).await;
        let duration = started.elapsed();
        drop(permit);
        let result = match result {
            Ok(answer) => {
                self.gate.succeeded();
                locked(&self.refusals).answered(call.endpoint, self.config.clock.now());
                Ok(answer)
            }
            Err(failure) => Err(self.heed(call, failure)),
        };
        let request =
            Request { endpoint: call.endpoint, error: result.as_ref().err().map(|f| &f.error), duration };
        tracing::debug!(endpoint = %request.endpoint, outcome = request.outcome(), ?duration, "asked Basiq");
        self.config.observer.request(&request);
        result
    }

    /// Slows everybody down if that is what was asked for.
    fn heed(&self, call: &Call, mut failure: Failure) -> Failure {
        if matches!(failure.error.kind, ErrorKind::Forbidden { .. }) && self.is_throttling(call) {
            failure.then = Then::SlowDown(None);
        }
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
        failure
    }

    /// Whether a 403 that does not say so is throttling; see [`Refusals`].
    fn is_throttling(&self, call: &Call) -> bool {
        let mut hasher = DefaultHasher::new();
        call.url.as_str().hash(&mut hasher);
        locked(&self.refusals).refused(call.endpoint, hasher.finish(), self.config.clock.now())
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way through a change, so that a poisoned lock still guards a sound state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been tried of one call.
#[derive(Default)]
struct Tries {
    renewed: bool,
    throttled: u32,
    failed: u32,
}

fn decoded<T: DeserializeOwned>(call: &Call, answer: &Answer) -> Result<T, Error> {
    decode(&answer.body).map_err(|(path, reason)| call.error(ErrorKind::Malformed { path, reason }))
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
}
