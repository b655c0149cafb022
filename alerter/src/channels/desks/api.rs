//! What desks with a REST API share.

use std::time::Duration;

use daemon::Secret;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::channels::{
    Comment, DeliveryError, News, SettingsError, Standing, durable,
    http::{self, Answer, Effect},
};

/// How a desk knows us.
pub(super) enum Auth {
    /// Basic authentication.
    Basic(String, Secret),
    /// `Authorization: <scheme> <token>`.
    Token(&'static str, Secret),
}

/// A REST API below one address.
pub(super) struct Api {
    who: &'static str,
    base: Url,
    client: reqwest::Client,
    auth: Auth,
}

/// One request.
pub(super) struct Call<'a> {
    pub effect: Effect,
    pub method: Method,
    /// Segments of the path below the base; each is encoded.
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub headers: &'a [(&'static str, &'a str)],
    pub body: Option<Value>,
    /// The path names a ticket, which a person may have deleted: that is no fault of the desk.
    pub of_ticket: bool,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            effect: Effect::Repeatable,
            method: Method::GET,
            path: &[],
            query: &[],
            headers: &[],
            body: None,
            of_ticket: false,
        }
    }
}

impl Api {
    pub(super) fn new(
        who: &'static str,
        url: &str,
        auth: Auth,
        timeout: Option<daemon::config::Duration>,
    ) -> Result<Self, SettingsError> {
        let client = http::client(timeout.map_or(Duration::from_secs(20), |timeout| timeout.0))?;
        Ok(Self { who, base: http::url(url)?, client, auth })
    }

    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, DeliveryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.client.request(call.method, url).header("accept", "application/json");
        request = match &self.auth {
            Auth::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
            Auth::Token(scheme, token) => {
                request.header("authorization", format!("{scheme} {}", token.expose()))
            }
        };
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if !call.of_ticket {
            return http::ask(self.who, call.effect, request).await;
        }
        let answer = http::ask_or(self.who, call.effect, request, StatusCode::NOT_FOUND).await?;
        answer.ok_or_else(|| DeliveryError::Permanent {
            why: format!("{} no longer has the ticket, or hides it from our account", self.who),
        })
    }

    pub(super) fn who(&self) -> &'static str {
        self.who
    }
}

/// What a desk is searched by: short, of letters, digits and dashes only, so that it survives every
/// search language, and opaque.
pub(super) fn marker(key: &str) -> String {
    format!("basiq-{}", &durable::digest(key)[..20])
}

/// A subject as desks take it: one line, of at most so many characters.
pub(super) fn line(subject: &str, most: usize) -> String {
    subject.replace(|c: char| c.is_control(), " ").chars().take(most).collect()
}

/// A subject that ends with the marker of its ticket, for desks that find a ticket by its subject: what is too long is
/// cut before the marker, as the desk would cut the marker.
pub(super) fn marked_line(subject: &str, key: &str, most: usize) -> String {
    let marker = marker(key);
    format!("{} [{marker}]", line(subject, most.saturating_sub(marker.len() + 3)).trim_end())
}

/// A comment that can be found again after an unknown outcome.
pub(super) fn marked(comment: &Comment<'_>) -> String {
    format!("{}\n\n[{}]", comment.text.trim_end(), marker(comment.key))
}

/// Whether a ticket that stands so is to be turned: what a person closed stays as it is, and what one declined is never
/// opened again.
pub(super) fn turns(news: News, standing: Standing) -> bool {
    matches!((news, standing), (News::Over, Standing::Open) | (News::Again, Standing::Closed))
}

/// A ticket's id at a desk, if it can be one: it becomes a segment of a path.
pub(super) fn remote<'a>(who: &str, text: &'a str) -> Result<&'a str, DeliveryError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text);
    }
    Err(DeliveryError::Permanent { why: format!("{who} cannot have given that ticket's id") })
}
