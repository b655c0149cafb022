//! What desks with a REST API share.

use std::time::Duration;

use daemon::Secret;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::channels::{
    DeliveryError, SettingsError, durable,
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
        http::ask(self.who, call.effect, request).await
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

/// A ticket's id at a desk, if it can be one: it becomes a segment of a path.
pub(super) fn remote<'a>(who: &str, text: &'a str) -> Result<&'a str, DeliveryError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text);
    }
    Err(DeliveryError::Permanent { why: format!("{who} cannot have given that ticket's id") })
}

/// Text settings of desks are templates over the ticket, so that queue, priority and required fields may
/// depend on institution, scenario or number of connections.
pub(super) struct Field(minijinja::Environment<'static>);

#[derive(Serialize)]
struct Seen<'a> {
    key: &'a str,
    subject: &'a str,
    institution: &'a str,
    scenario: &'a str,
    connections: &'a [String],
    environment: &'a str,
}

impl Field {
    pub(super) fn new(setting: &str, source: &str) -> Result<Self, SettingsError> {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .add_template_owned("field", source.to_owned())
            .map_err(|error| SettingsError::new(format!("`{setting}` is not a template: {error}")))?;
        let field = Self(environment);
        // Tried once, so that a wrong variable is found at the start and not with the first ticket.
        let connections = ["connection".to_owned()];
        let seen = Seen {
            key: "",
            subject: "",
            institution: "",
            scenario: "",
            connections: &connections,
            environment: "",
        };
        field
            .render(&seen)
            .map_err(|kind| SettingsError::new(format!("`{setting}` cannot be rendered: {kind}")))?;
        Ok(field)
    }

    fn render(&self, seen: &Seen<'_>) -> Result<String, String> {
        let template = self.0.get_template("field").map_err(|error| error.kind().to_string())?;
        template.render(seen).map_err(|error| error.kind().to_string())
    }

    pub(super) fn of(
        &self,
        ticket: &crate::channels::Ticket,
        environment: &str,
    ) -> Result<String, DeliveryError> {
        let seen = Seen {
            key: &ticket.key,
            subject: &ticket.subject,
            institution: &ticket.institution,
            scenario: &ticket.scenario,
            connections: &ticket.connections,
            environment,
        };
        let rendered = self.render(&seen);
        rendered.map_err(|why| DeliveryError::Permanent {
            why: format!("a field of the desk cannot be rendered: {why}"),
        })
    }
}
