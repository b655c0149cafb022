//! Errors by meaning.

use std::{fmt, time::Duration};

use serde::de::DeserializeOwned;

use crate::client::Endpoint;

/// Why a call gave no answer. Says what, where, and with which `correlationId`; never a key, a token, an
/// address, or anything quoted from a body.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("Basiq, {endpoint}: {kind}{}", Suffix(.correlation_id.as_deref()))]
pub struct Error {
    /// What was asked.
    pub endpoint: Endpoint,
    /// What it means.
    pub kind: ErrorKind,
    /// What Basiq's support asks for.
    pub correlation_id: Option<String>,
}

/// What an error means to the caller.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client cannot be made as it is set.
    #[error("{0}")]
    Settings(String),
    /// Basiq does not know the API key (404 on `/token`). At start this is a wrong setting; later a state,
    /// since the key file is read again every minute.
    #[error("the API key is not accepted; check the key (used as issued, already base64) and the base URL")]
    KeyRefused,
    /// The API key cannot be read.
    #[error("the API key cannot be read: {0}")]
    KeyUnreadable(String),
    /// 401, also with a new token.
    #[error("unauthorised, also with a new token{}", Code(.code))]
    Unauthorized {
        /// Basiq's code, where given.
        code: Option<String>,
    },
    /// 403 that is neither an expired token nor throttling: the key lacks a scope or production access.
    #[error("forbidden{}; check the permissions of the API key", Code(.code))]
    Forbidden {
        /// Basiq's code, where given.
        code: Option<String>,
    },
    /// Basiq asks for less; the whole client slows down.
    #[error("throttled by Basiq; again in {} s", .retry_after.as_secs())]
    Throttled {
        /// How long, by the client's clock.
        retry_after: Duration,
    },
    /// Our own quota had no room in time; nothing was sent.
    #[error("our quota had no room; again in {} s", .retry_after.as_secs())]
    QuotaExhausted {
        /// How long at least, by the client's clock.
        retry_after: Duration,
    },
    /// 404: the resource does not exist, or no longer.
    #[error("not found{}", Code(.code))]
    NotFound {
        /// Basiq's code, where given.
        code: Option<String>,
    },
    /// Another 4xx: the request will not succeed as it is.
    #[error("refused with status {status}{}", Code(.code))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Basiq's code, where given.
        code: Option<String>,
    },
    /// 5xx, also after retries.
    #[error("unavailable, status {status}{}", Code(.code))]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// Basiq's code, where given.
        code: Option<String>,
    },
    /// The answer is not what the documents promise.
    #[error("malformed answer at {path}: {reason}")]
    Malformed {
        /// Where in the document (`data[3].id`).
        path: String,
        /// What was expected there.
        reason: String,
    },
    /// The answer, or a list as a whole, is larger than the client reads.
    #[error("the answer exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// `links.next` leads away from the base URL, in a circle, or on without end; it was not followed.
    #[error("the list's next page was not followed: {0}")]
    BadNextLink(&'static str),
    /// No connection, or it broke, also after retries. Nothing was changed.
    #[error("cannot be reached: {0}")]
    Transport(String),
    /// A request that changes something was sent, and what became of it is not known. Read before asking
    /// again: it is never sent twice blindly.
    #[error("sent, but its outcome is not known ({0}); read the state before trying again")]
    OutcomeUnknown(String),
    /// An id that cannot be one of Basiq's; nothing was sent.
    #[error("{0} is not an id of Basiq (letters, digits, '-', '_', '.', ':'; at most 128)")]
    InvalidId(&'static str),
}

impl ErrorKind {
    /// In one word, for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::KeyRefused | Self::KeyUnreadable(_) => "key_refused",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Throttled { .. } => "throttled",
            Self::QuotaExhausted { .. } => "quota",
            Self::NotFound { .. } => "not_found",
            Self::Refused { .. } | Self::InvalidId(_) => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::Malformed { .. } | Self::TooLarge { .. } | Self::BadNextLink(_) => "malformed",
            Self::Transport(_) => "transport",
            Self::OutcomeUnknown(_) => "outcome_unknown",
        }
    }
}

impl Error {
    /// 404: what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound { .. })
    }

    /// Whether the fault is with the whole of Basiq, our key or our quota rather than with what was asked:
    /// a state of the daemon, never of a connection (behaviour, section 1).
    pub fn is_global(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::KeyRefused
                | ErrorKind::KeyUnreadable(_)
                | ErrorKind::Unauthorized { .. }
                | ErrorKind::Throttled { .. }
                | ErrorKind::QuotaExhausted { .. }
                | ErrorKind::Unavailable { .. }
                | ErrorKind::Transport(_)
        )
    }

    /// How long to wait at least, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::Throttled { retry_after } | ErrorKind::QuotaExhausted { retry_after } => {
                Some(retry_after)
            }
            _ => None,
        }
    }
}

struct Suffix<'a>(Option<&'a str>);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |id| write!(f, " (correlationId {id})"))
    }
}

struct Code<'a>(&'a Option<String>);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_deref().map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

/// Decodes a document, or says where it is malformed and what was expected there, quoting nothing of it.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, (String, String)> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| (safe_path(error.path()), reason(error.inner())))?;
    deserializer.end().map_err(|error| (".".to_owned(), reason(&error)))?;
    Ok(value)
}

/// The path without names that a body made up.
fn safe_path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path.iter().take(16) {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } if is_field(key) => text.push_str(&format!(".{key}")),
            _ => text.push_str(".?"),
        }
    }
    let text = text.trim_start_matches('.');
    if text.is_empty() { ".".to_owned() } else { text.to_owned() }
}

fn is_field(key: &str) -> bool {
    (1..=32).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What serde expected, and where; its messages quote the value found, which must not be seen.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    if error.is_data() {
        let expected = text.rfind("expected ").map(|at| &text[at..]);
        let expected = expected.map(|text| text.split(" at line ").next().unwrap_or(text));
        let missing = text.starts_with("missing field").then(|| text.split(" at line ").next()).flatten();
        return format!("{}, {place}", missing.or(expected).unwrap_or("not as documented"));
    }
    let what = if error.is_eof() { "it ends too early" } else { "it is not JSON" };
    format!("{what}, {place}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Connector, Page};

    #[test]
    fn a_malformed_body_is_told_by_its_path_and_never_quoted() {
        let body = br#"{"data":[{"id":"AU00000"},{"id":{"gavin@hooli.com":1}}]}"#;
        let (path, reason) = decode::<Page<Connector>>(body).unwrap_err();
        assert_eq!(path, "data[1].id");
        assert!(reason.starts_with("expected an id"), "{reason}");
        let (path, reason) = decode::<Page<Connector>>(br#"{"data":"gavin@hooli.com"}"#).unwrap_err();
        assert_eq!((path.as_str(), reason.contains("gavin")), ("data", false), "{reason}");
        assert!(reason.starts_with("expected a list"), "{reason}");
        let (path, reason) = decode::<Page<Connector>>(br#"{"data":[{}]}"#).unwrap_err();
        assert_eq!((path.as_str(), reason.starts_with("missing field `id`")), ("data[0]", true), "{reason}");
    }

    #[test]
    fn what_is_not_json_is_told_without_names_from_it() {
        for body in ["", "{\"data\":[", "<html>", "{\"gavin@hooli.com\": tru}", "{} {}", "\u{0}"] {
            let (path, reason) = decode::<Page<Connector>>(body.as_bytes()).unwrap_err();
            assert!(!format!("{path}{reason}").contains("gavin"), "{path} {reason}");
        }
    }

    #[test]
    fn an_error_names_endpoint_meaning_and_correlation_id() {
        let error = Error {
            endpoint: Endpoint::Jobs,
            kind: ErrorKind::Forbidden { code: Some("access-denied".into()) },
            correlation_id: Some("ac5ah5i".into()),
        };
        assert_eq!(
            error.to_string(),
            "Basiq, jobs: forbidden (access-denied); check the permissions of the API key (correlationId ac5ah5i)"
        );
    }
}
