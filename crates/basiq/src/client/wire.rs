//! HTTP, once: one request sent, one answer read to its end or to the limit.

use std::error::Error as _;

use bytes::Bytes;
use daemon::Secret;
use reqwest::{
    Method as Verb,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use url::Url;

use super::{
    ClientConfig, Endpoint, Priority,
    answer::{Answer, Failure, Then, failure},
};
use crate::{Error, ErrorKind};

/// A request that can be made anew for each try.
pub(super) struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) verb: Verb,
    pub(super) url: Url,
    /// With its media type.
    pub(super) body: Option<(Bytes, &'static str)>,
    pub(super) priority: Priority,
}

impl Call {
    /// Whether sending it twice does no more than sending it once.
    pub(super) fn is_read(&self) -> bool {
        self.verb == Verb::GET || self.endpoint == Endpoint::Token
    }

    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error { endpoint: self.endpoint, kind, correlation_id: None }
    }

    /// A failure on the way. Of a write that was sent, the outcome is not known.
    fn broken(&self, sent: bool, kind: ErrorKind, then: Then) -> Failure {
        if sent && !self.is_read() {
            return Failure {
                error: self.error(ErrorKind::OutcomeUnknown(kind.to_string())),
                then: Then::Tell,
            };
        }
        Failure { error: self.error(kind), then }
    }
}

/// The pool of connections, and the bounds of what is read from them.
pub(super) struct Wire {
    http: reqwest::Client,
    max_body: usize,
}

impl Wire {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            // A redirect would carry identifiers, perhaps a token, to wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| settings(format!("HTTP cannot be set up: {}", error.without_url())))?;
        Ok(Self { http, max_body: config.max_body })
    }

    /// Sends once. An answer other than 2xx is a failure with its meaning.
    pub(super) async fn send(&self, call: &Call, authorization: HeaderValue) -> Result<Answer, Failure> {
        let mut request = self
            .http
            .request(call.verb.clone(), call.url.clone())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .header("basiq-version", "3.0");
        request = match &call.body {
            Some((body, kind)) => request.header(CONTENT_TYPE, *kind).body(body.clone()),
            // A POST without a body says so: some gateways refuse one without a length.
            None if call.verb == Verb::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        let broken = |error: reqwest::Error| {
            // Until there is a connection nothing was sent.
            let sent = !(error.is_connect() || error.is_builder());
            call.broken(sent, ErrorKind::Transport(describe(&error)), Then::TryAgain(None))
        };
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > self.max_body {
                return Err(call.broken(true, ErrorKind::TooLarge { limit: self.max_body }, Then::Tell));
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, headers, body };
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let mut failure = failure(call.endpoint, &answer);
        // Who failed, and whether before or after it was done, a 5xx does not say.
        if !call.is_read() && matches!(failure.error.kind, ErrorKind::Unavailable { .. }) {
            failure.error.kind = ErrorKind::OutcomeUnknown(failure.error.kind.to_string());
        }
        Err(failure)
    }
}

/// What cannot work as it is set.
pub(super) fn settings(text: String) -> Error {
    Error { endpoint: Endpoint::Token, kind: ErrorKind::Settings(text), correlation_id: None }
}

/// Reads the base URL: `http` or `https`, perhaps with a path, nothing else.
pub(super) fn base_url(text: &str) -> Result<Url, Error> {
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

/// The header `Authorization`; `None` if the secret has characters that no header can carry.
pub(super) fn authorization(scheme: &str, secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
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

    #[test]
    fn a_base_url_that_cannot_serve_is_refused_with_what_to_do() {
        for bad in
            ["au-api.basiq.io", "ftp://au-api.basiq.io", "https://k@au-api.basiq.io", "https://x/?a=b", ""]
        {
            assert!(matches!(base_url(bad).unwrap_err().kind, ErrorKind::Settings(_)), "{bad}");
        }
        assert!(base_url("http://127.0.0.1:9767").is_ok());
    }

    #[test]
    fn a_secret_that_no_header_can_carry_is_not_sent() {
        assert!(authorization("Basic", &Secret::new("a\nb")).is_none());
        let value = authorization("Basic", &Secret::new("ab")).unwrap();
        assert!(value.is_sensitive());
    }
}
