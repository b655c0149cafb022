//! What the partner's application tells the exporter: `POST /api/v1/hints` says what it just did, so that nobody waits
//! for the next pass; `DELETE /api/v1/users/{id}` forgets a user.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::{delete, post},
};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::{
    core::Message,
    ledger::{HintKind, Id},
};

/// The path of the endpoint.
pub const HINTS: &str = "/api/v1/hints";
/// The path of the endpoint that forgets a user, before the user's id.
pub const USERS: &str = "/api/v1/users";
/// The largest body.
const BYTES: usize = 16 * 1024;

/// What the partner's application did.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// Whose connection it is.
    pub user: Id,
    /// Which one.
    pub connection: Option<Id>,
    /// The job that Basiq answered with.
    pub job: Option<Id>,
    /// What was done.
    pub kind: HintKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user_id: String,
    connection_id: Option<String>,
    job_id: Option<String>,
    kind: HintKind,
}

/// The routes; what they are told goes to the core.
pub(crate) fn routes(core: mpsc::Sender<Message>) -> Router {
    Router::new()
        .route(HINTS, post(take))
        .route(&format!("{USERS}/{{id}}"), delete(forget))
        .layer(DefaultBodyLimit::max(BYTES))
        .with_state(core)
}

/// 202 once the hint is stored.
async fn take(State(core): State<mpsc::Sender<Message>>, body: Bytes) -> (StatusCode, String) {
    let hint = match parse(&body) {
        Ok(hint) => hint,
        Err(reason) => return (StatusCode::BAD_REQUEST, format!("{reason}\n")),
    };
    let (stored, answer) = oneshot::channel();
    let taken = core.send(Message::Hint(hint, stored)).await.is_ok() && answer.await.is_ok();
    if taken {
        (StatusCode::ACCEPTED, String::new())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping; try again\n".to_owned())
    }
}

/// 204 once it is stored that the user is forgotten, whether or not anything was known of it.
async fn forget(State(core): State<mpsc::Sender<Message>>, Path(user): Path<String>) -> (StatusCode, String) {
    let Some(user) = Id::parse(&user) else {
        return (StatusCode::BAD_REQUEST, "the path does not end with an id of Basiq\n".to_owned());
    };
    let (stored, answer) = oneshot::channel();
    if core.send(Message::Forget(user, stored)).await.is_ok() && answer.await.is_ok() {
        (StatusCode::NO_CONTENT, String::new())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping; try again\n".to_owned())
    }
}

fn parse(body: &[u8]) -> Result<Hint, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        format!(
            "line {}, column {}: expected {{\"user_id\": …, \"connection_id\"?: …, \"job_id\"?: …, \
             \"kind\": \"created\"|\"updated\"|\"refreshed\"}}",
            error.line(),
            error.column()
        )
    })?;
    let id = |name: &str, text: &str| Id::parse(text).ok_or_else(|| format!("{name} is not an id of Basiq"));
    Ok(Hint {
        user: id("user_id", &body.user_id)?,
        connection: body.connection_id.as_deref().map(|text| id("connection_id", text)).transpose()?,
        job: body.job_id.as_deref().map(|text| id("job_id", text)).transpose()?,
        kind: body.kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_a_user_and_what_was_done() {
        let hint = parse(br#"{"user_id":"u","job_id":"j","kind":"refreshed"}"#).unwrap();
        assert_eq!((hint.connection, hint.kind), (None, HintKind::Refreshed));
        assert_eq!(hint.job, Id::parse("j"));
        for bad in [
            &br#"{"user_id":"u"}"#[..],
            br#"{"user_id":"u","kind":"deleted"}"#,
            br#"{"user_id":"u/../v","kind":"created"}"#,
            br#"{"user_id":"u","kind":"created","email":"x"}"#,
            b"[]",
            b"\xff",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
