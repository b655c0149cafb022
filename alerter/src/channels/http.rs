//! What the plugins that speak HTTP share: one way to ask, bounded in time and size, and one reading of
//! the answer. Nothing of an answer's text enters an error: it may quote what was sent.

use std::time::Duration;

use daemon::{Secret, Timestamp};
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::{DeliveryError, SettingsError};

/// The most of an answer that is read: a page of long comments fits.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// The longest wait that a `Retry-After` can ask for.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A client that follows no redirect: a POST must not become a GET elsewhere.
pub(super) fn client(deadline: Duration) -> Result<reqwest::Client, SettingsError> {
    // Whoever installed a provider first wins; both are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(deadline.min(Duration::from_secs(5)))
        .timeout(deadline)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("basiq-alerter/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| SettingsError::new("TLS cannot be set up with the platform's certificates"))
}

/// An `http` or `https` address; plain `http` only to this machine.
pub(super) fn url(text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text).map_err(|_| SettingsError::new("`url` must be a full address, https://…"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingsError::new("`url` must hold no user and no password; use the settings for them"));
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err(SettingsError::new("`url` must begin with https:// (http:// works only to this machine)")),
    }
}

/// Why a request failed, without the address it went to.
pub(super) fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the connection broke"
    }
}

/// An answer: its status and its body, whose size is bounded.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
    effect: Effect,
}

impl Answer {
    /// The body as JSON. Anything else, such as the page of a proxy or of a maintenance, says nothing of what was asked.
    pub(super) fn json<T: DeserializeOwned>(&self, who: &str) -> Result<T, DeliveryError> {
        let why = || format!("{who} answered something that is not documented");
        serde_json::from_slice(&self.body).map_err(|_| self.effect.unanswered(why()))
    }
}

/// Whether a repetition of the request could do its work twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Asking again changes nothing more: reads, and writes under a key.
    Repeatable,
    /// Once is once: without an answer nobody knows.
    Once,
}

impl Effect {
    /// A request was sent, and its answer cannot be read.
    fn unanswered(self, why: String) -> DeliveryError {
        match self {
            Self::Repeatable => DeliveryError::Retry { after: None, why },
            Self::Once => DeliveryError::Unknown { why },
        }
    }
}

/// Sends a request and reads the answer as behaviour's sections 4 and 5 ask: throttling and faults of
/// servers are tried again, refused authentication is the channel's fault, other refusals are final.
pub(super) async fn ask(
    who: &str,
    effect: Effect,
    request: reqwest::RequestBuilder,
) -> Result<Answer, DeliveryError> {
    // No answer has this status: informational ones never end a request.
    let given = ask_or(who, effect, request, StatusCode::CONTINUE).await?;
    given.ok_or_else(|| DeliveryError::Retry { after: None, why: format!("{who} did not end its answer") })
}

/// As [`ask`]; `None` if the answer has the status `none`.
pub(super) async fn ask_or(
    who: &str,
    effect: Effect,
    request: reqwest::RequestBuilder,
    none: StatusCode,
) -> Result<Option<Answer>, DeliveryError> {
    let lost = |error: &reqwest::Error| {
        let why = format!("{who}: {}", reason(error));
        // What never left is safe to send again.
        let left = !error.is_connect() && !error.is_builder();
        if left { effect.unanswered(why) } else { DeliveryError::Retry { after: None, why } }
    };
    let mut response = request.send().await.map_err(|error| lost(&error))?;
    let status = response.status();
    if status.is_success() {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(effect.unanswered(format!("{who} answered more than 4 MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        return Ok(Some(Answer { status, body, effect }));
    }
    if status == none {
        return Ok(None);
    }
    Err(refused(who, effect, status, wait(status, response.headers(), Timestamp::now())))
}

/// How long the other side asks to be left in peace: `Retry-After` in seconds or as a date, else the times
/// at which limits end as Jira (`X-RateLimit-Reset`, ISO 8601) and Zendesk (`ratelimit-reset`, seconds) say
/// with every answer, which matter only for one that was refused for its rate.
fn wait(status: StatusCode, headers: &header::HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let date = |text: &str| {
        let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(until(zoned.timestamp()))
    };
    let asked = value("retry-after").and_then(|text| seconds(text).or_else(|| date(text)));
    let reset = || value("x-ratelimit-reset").and_then(|text| text.parse().ok()).map(until);
    let limit = || value("ratelimit-reset").and_then(seconds);
    let throttled = status == StatusCode::TOO_MANY_REQUESTS;
    asked.or_else(|| throttled.then(|| reset().or_else(limit)).flatten()).map(|wait| wait.min(MAX_WAIT))
}

fn refused(who: &str, effect: Effect, status: StatusCode, after: Option<Duration>) -> DeliveryError {
    let why = format!("{who} answered {}", status.as_u16());
    match status.as_u16() {
        429 | 503 => DeliveryError::Retry { after, why },
        403 if after.is_some() => DeliveryError::Retry { after, why },
        401 | 403 | 404 | 407 => DeliveryError::Channel { why },
        408 | 425 => DeliveryError::Retry { after, why },
        // A gateway that lost its answer may have passed the request on.
        500 | 502 | 504 if effect == Effect::Once => effect.unanswered(why),
        500.. => DeliveryError::Retry { after, why },
        300..=399 => {
            DeliveryError::Channel { why: format!("{why}, a redirect; configure where it leads to") }
        }
        _ => DeliveryError::Permanent { why },
    }
}

/// A secret from a file, or the error of the setting that names it.
pub(super) fn secret(key: &str, file: &std::path::Path) -> Result<Secret, SettingsError> {
    Secret::from_file(file).map_err(|error| unreadable(key, file, &error))
}

/// The error of the setting `key`, whose file cannot be read.
pub(super) fn unreadable(key: &str, file: &std::path::Path, error: &std::io::Error) -> SettingsError {
    SettingsError::new(format!("`{key}`: {}: {}", file.display(), daemon::config::unreadable(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in ["https://a.test/x", "http://127.0.0.1:9093", "http://[::1]/", "http://localhost:1/x"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in
            ["http://a.test/", "ftp://a.test", "a.test", "https://me:pw@a.test/", "http://localhost.a.test/"]
        {
            let error = url(bad).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!error.is_empty() && !error.contains("pw"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_wait_is_read_in_each_of_the_forms_in_which_it_is_asked_for() {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        for (headers, seconds) in [
            (&[("retry-after", "7")][..], Some(7)),
            (&[("retry-after", "Sun, 22 Nov 2026 03:01:00 GMT")], Some(60)),
            (&[("retry-after", "Sun, 22 Nov 2026 02:00:00 GMT")], Some(0)),
            (&[("x-ratelimit-reset", "2026-11-22T03:02:00Z")], Some(120)),
            (&[("ratelimit-reset", "41")], Some(41)),
            (&[("retry-after", "3"), ("ratelimit-reset", "41")], Some(3)),
            (&[("retry-after", "99999999999")], Some(24 * 3600)),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<header::HeaderMap>();
            let asked = wait(StatusCode::TOO_MANY_REQUESTS, &headers, now);
            assert_eq!(asked.map(|wait| wait.as_secs()), seconds, "{headers:?}");
            let denied = wait(StatusCode::FORBIDDEN, &headers, now);
            assert_eq!(denied.is_some(), headers.contains_key("retry-after") && seconds.is_some());
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_none() {
        let answered = |effect| {
            let answer = Answer { status: StatusCode::OK, body: b"<html>Back soon</html>".to_vec(), effect };
            answer.json::<serde_json::Value>("x").unwrap_err()
        };
        assert!(matches!(answered(Effect::Repeatable), DeliveryError::Retry { after: None, .. }));
        assert!(matches!(answered(Effect::Once), DeliveryError::Unknown { .. }), "it may have been taken");
    }

    #[test]
    fn statuses_mean_what_they_mean_for_mail() {
        let kind = |effect, status: u16, after| match refused(
            "x",
            effect,
            StatusCode::from_u16(status).unwrap(),
            after,
        ) {
            DeliveryError::Retry { .. } => "retry",
            DeliveryError::Channel { .. } => "channel",
            DeliveryError::Unknown { .. } => "unknown",
            DeliveryError::Permanent { .. } => "permanent",
            other => panic!("{other:?}"),
        };
        let second = Some(Duration::from_secs(1));
        for (effect, status, after, expected) in [
            (Effect::Once, 429, second, "retry"),
            (Effect::Once, 503, None, "retry"),
            (Effect::Once, 403, second, "retry"),
            (Effect::Once, 403, None, "channel"),
            (Effect::Once, 401, None, "channel"),
            (Effect::Once, 404, None, "channel"),
            (Effect::Once, 302, None, "channel"),
            (Effect::Once, 400, None, "permanent"),
            (Effect::Once, 409, None, "permanent"),
            (Effect::Once, 413, None, "permanent"),
            (Effect::Once, 422, None, "permanent"),
            (Effect::Once, 500, None, "unknown"),
            (Effect::Once, 504, None, "unknown"),
            (Effect::Repeatable, 500, None, "retry"),
            (Effect::Repeatable, 504, None, "retry"),
        ] {
            assert_eq!(kind(effect, status, after), expected, "{effect:?} {status}");
        }
    }
}
