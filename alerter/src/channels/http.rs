//! What the plugins that speak HTTP share: one way to ask, bounded in time and size, and one reading of
//! the answer. Nothing of an answer's text enters an error: it may quote what was sent.

use std::time::Duration;

use daemon::Secret;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::{DeliveryError, SettingsError};

/// The most of an answer that is read.
const MAX_BODY: usize = 1024 * 1024;
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

/// An answer: its status and at most a mebibyte of its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, who: &str) -> Result<T, DeliveryError> {
        let why =
            |_| DeliveryError::Permanent { why: format!("{who} answered something that is not documented") };
        serde_json::from_slice(&self.body).map_err(why)
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
        // What never left is safe to send again; so is what changes nothing twice.
        match effect {
            Effect::Once if !error.is_connect() && !error.is_builder() => DeliveryError::Unknown { why },
            _ => DeliveryError::Retry { after: None, why },
        }
    };
    let mut response = request.send().await.map_err(|error| lost(&error))?;
    let status = response.status();
    if status.is_success() {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(DeliveryError::Unknown { why: format!("{who} answered more than a mebibyte") });
            }
            body.extend_from_slice(&chunk);
        }
        return Ok(Some(Answer { status, body }));
    }
    if status == none {
        return Ok(None);
    }
    let after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(MAX_WAIT));
    Err(refused(who, effect, status, after))
}

fn refused(who: &str, effect: Effect, status: StatusCode, after: Option<Duration>) -> DeliveryError {
    let why = format!("{who} answered {}", status.as_u16());
    match status.as_u16() {
        429 | 503 => DeliveryError::Retry { after, why },
        403 if after.is_some() => DeliveryError::Retry { after, why },
        401 | 403 | 404 | 407 => DeliveryError::Channel { why },
        408 | 425 => DeliveryError::Retry { after, why },
        // A gateway that lost its answer may have passed the request on.
        500 | 502 | 504 if effect == Effect::Once => DeliveryError::Unknown { why },
        500.. => DeliveryError::Retry { after, why },
        300..=399 => {
            DeliveryError::Channel { why: format!("{why}, a redirect; configure where it leads to") }
        }
        _ => DeliveryError::Permanent { why },
    }
}

/// A secret from a file, or the error of the setting that names it.
pub(super) fn secret(key: &str, file: &std::path::Path) -> Result<Secret, SettingsError> {
    Secret::from_file(file).map_err(|error| SettingsError::new(format!("`{key}` cannot be read: {error}")))
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
