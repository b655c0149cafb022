//! What a status and a body mean.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Endpoint;
use crate::{
    Error, ErrorKind,
    error::decode,
    model::{ErrorBody, ErrorEntry},
};

/// An answer read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What an answer that is none of success asks of the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) then: Then,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: it is what it is.
    Tell,
    /// A new token may help, unless this one is younger than that (by the clock).
    Renew(Duration),
    /// Everybody slows down.
    SlowDown(Option<Duration>),
    /// Try again later; a server that says when is believed.
    TryAgain(Option<Duration>),
}

/// A token that Basiq says has expired is not replaced more often than this.
const TOLD_EXPIRED: Duration = Duration::from_secs(10);

/// A 403 that does not say why may be an expired token (Basiq's page on authentication: "401 or 403"), but
/// is more often a lack of permission, which costs no more than one token in this time.
const MAYBE_EXPIRED: Duration = Duration::from_secs(300);

/// The meaning of an answer with a status other than 2xx.
pub(super) fn failure(endpoint: Endpoint, answer: &Answer) -> Failure {
    let body = decode::<ErrorBody>(&answer.body).ok();
    // Only an error in Basiq's own form tells a lack of permission from a gateway that has had enough.
    let in_form = body.as_ref().is_some_and(|body| !body.data.is_empty());
    let body = body.unwrap_or_default();
    let entry = body.data.first();
    let code = entry.map(|entry| entry.code.clone()).filter(|code| is_word(code));
    let retry_after = retry_after(&answer.headers);
    let throttled = || {
        let kind = ErrorKind::Throttled { retry_after: retry_after.unwrap_or_default() };
        (kind, Then::SlowDown(retry_after))
    };
    let (kind, then) = match answer.status {
        429 => throttled(),
        // Past 1,500 requests in 5 minutes `/token` answers 403 (Basiq's page on authentication).
        403 if endpoint == Endpoint::Token => throttled(),
        403 if retry_after.is_some() || !in_form || entry.is_some_and(speaks_of_too_much) => throttled(),
        400 | 401 | 404 if endpoint == Endpoint::Token => (ErrorKind::KeyRefused, Then::Tell),
        401 => (ErrorKind::Unauthorized { code }, Then::Renew(TOLD_EXPIRED)),
        403 => {
            let told = entry.is_some_and(speaks_of_expiry);
            let min_age = if told { TOLD_EXPIRED } else { MAYBE_EXPIRED };
            (ErrorKind::Forbidden { code }, Then::Renew(min_age))
        }
        404 => (ErrorKind::NotFound { code }, Then::Tell),
        status @ 500.. => (ErrorKind::Unavailable { status, code }, Then::TryAgain(retry_after)),
        status => (ErrorKind::Refused { status, code }, Then::Tell),
    };
    let correlation_id = body.correlation_id.filter(|id| is_word(id));
    Failure { error: Error { endpoint, kind, correlation_id }, then }
}

/// Whether an error says that there were too many requests. The exact body of throttling by 403 is nowhere
/// documented (behaviour, section 9); that of 429 is (`too-many-requests`, "Query limit reached.").
fn speaks_of_too_much(entry: &ErrorEntry) -> bool {
    const CODES: [&str; 4] = ["too-many", "throttl", "rate-limit", "limit-exceeded"];
    const WORDS: [&str; 6] = [
        "too many requests",
        "rate limit",
        "query limit",
        "request limit",
        "limit reached",
        "limit exceeded",
    ];
    CODES.iter().any(|part| entry.code.contains(part)) || says(entry, &WORDS)
}

/// Whether an error says that the token is no longer good ("Token has expired").
fn speaks_of_expiry(entry: &ErrorEntry) -> bool {
    entry.code == "invalid-authorization-token"
        || entry.code == "unauthorized-access"
        || says(entry, &["expired"])
}

fn says(entry: &ErrorEntry, words: &[&str]) -> bool {
    let text = format!("{} {}", entry.title, entry.detail).to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Whether a code or id received is fit to be shown: a short word, not whatever a body holds.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `Retry-After` in seconds, or as a date counted from the answer's own `Date` (whose clock is the one it
/// speaks of). Anything else is as if absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let from =
        jiff::fmt::rfc2822::parse(headers.get(reqwest::header::DATE)?.to_str().ok()?).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(from)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoint: Endpoint, status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()));
        failure(endpoint, &Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec() })
    }

    fn body(code: &str, detail: &str) -> String {
        format!(
            r#"{{"type":"list","correlationId":"ac5ah5i","data":[{{"type":"error","code":"{code}","detail":"{detail}"}}]}}"#
        )
    }

    #[test]
    fn each_status_has_its_meaning() {
        let forbidden = body("access-denied", "You have no access");
        let cases = [
            (Endpoint::Token, 404, body("invalid-authorization-token", ""), "key_refused"),
            (Endpoint::Token, 403, body("forbidden-access", ""), "throttled"),
            (Endpoint::Jobs, 400, body("parameter-not-valid", ""), "refused"),
            (Endpoint::Jobs, 401, body("unauthorized-access", ""), "unauthorized"),
            (Endpoint::Jobs, 403, forbidden, "forbidden"),
            (Endpoint::Jobs, 403, body("forbidden-access", "Query limit reached."), "throttled"),
            (Endpoint::Jobs, 403, "<html>Forbidden</html>".to_owned(), "throttled"),
            (Endpoint::Jobs, 404, body("resource-not-found", ""), "not_found"),
            (Endpoint::Jobs, 409, String::new(), "refused"),
            (Endpoint::Jobs, 302, String::new(), "refused"),
            (Endpoint::Jobs, 429, body("too-many-requests", ""), "throttled"),
            (Endpoint::Jobs, 500, String::new(), "unavailable"),
            (Endpoint::Jobs, 503, "<html>".to_owned(), "unavailable"),
        ];
        for (endpoint, status, text, outcome) in cases {
            let failure = of(endpoint, status, &[], &text);
            assert_eq!(failure.error.kind.as_str(), outcome, "{endpoint} {status} {text}");
            let expected = text.contains("ac5ah5i").then_some("ac5ah5i");
            assert_eq!(failure.error.correlation_id.as_deref(), expected);
        }
    }

    #[test]
    fn an_expired_token_is_told_from_a_lack_of_permission() {
        let expired = of(Endpoint::Job, 403, &[], &body("forbidden-access", "Token has expired"));
        assert_eq!(expired.then, Then::Renew(TOLD_EXPIRED));
        let denied = of(Endpoint::Job, 403, &[], &body("access-denied", "Access denied"));
        assert_eq!(denied.then, Then::Renew(MAYBE_EXPIRED));
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let of = |headers: &[(&'static str, &str)]| of(Endpoint::Job, 429, headers, "").then;
        assert_eq!(of(&[("retry-after", "17")]), Then::SlowDown(Some(Duration::from_secs(17))));
        let date = ("date", "Sun, 22 Nov 2026 14:00:00 GMT");
        let later = ("retry-after", "Sun, 22 Nov 2026 14:01:30 GMT");
        assert_eq!(of(&[date, later]), Then::SlowDown(Some(Duration::from_secs(90))));
        assert_eq!(of(&[later]), Then::SlowDown(None));
        assert_eq!(of(&[("retry-after", "-5")]), Then::SlowDown(None));
    }

    #[test]
    fn codes_that_are_no_words_are_not_shown() {
        let failure =
            of(Endpoint::Job, 404, &[], r#"{"correlationId":"a b","data":[{"code":"gavin@hooli.com"}]}"#);
        assert_eq!(failure.error.kind, ErrorKind::NotFound { code: None });
        assert_eq!(failure.error.correlation_id, None);
    }
}
