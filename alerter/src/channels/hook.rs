//! Signed webhooks (Standard Webhooks), for partners who send, ticket or page through systems of their own.

use std::{path::PathBuf, time::Duration};

use daemon::Timestamp;
use http::header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use url::Url;

use super::{
    DeliveryError, Parts, Receipt, SettingsError, durable,
    http::{self as web, Answer, Effect},
};

/// One instance of any plugin that calls a webhook.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// The name of the instance.
    pub name: String,
    /// Where to post to; `http://` only to this machine.
    pub url: String,
    /// The file with the signing secret, `whsec_…`.
    pub secret_file: PathBuf,
    /// How long the other side may take; 15 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

/// What every webhook begins with; the rest is its data.
#[derive(Serialize)]
struct Event<'a, T> {
    /// `message.send`, `ticket.create`, `ticket.comment`, `notice.update`.
    r#type: &'a str,
    /// When it was decided.
    timestamp: Timestamp,
    data: T,
}

/// A place to post signed events to.
pub(super) struct Hook {
    url: Url,
    signer: Webhook,
    client: reqwest::Client,
}

impl Hook {
    pub(super) fn new(settings: HookSettings, parts: &Parts) -> Result<Self, SettingsError> {
        let secret = web::secret("secret_file", &parts.path(&settings.secret_file))?;
        let refuse =
            || SettingsError::new("`secret_file` must hold a Standard Webhooks secret, whsec_ and base64");
        if !secret.expose().starts_with("whsec_") {
            return Err(refuse());
        }
        Ok(Self {
            url: web::url(&settings.url)?,
            signer: Webhook::new(secret.expose()).map_err(|_| refuse())?,
            client: web::client(settings.timeout.map_or(Duration::from_secs(15), |timeout| timeout.0))?,
        })
    }

    /// Posts an event. Its `webhook-id` is made of `key`, so that every attempt has the same.
    pub(super) async fn post(
        &self,
        effect: Effect,
        kind: &str,
        key: &str,
        at: Timestamp,
        data: impl Serialize,
    ) -> Result<Answer, DeliveryError> {
        let permanent = |why: &str| DeliveryError::Permanent { why: why.to_owned() };
        let event = Event { r#type: kind, timestamp: at, data };
        let body =
            serde_json::to_vec(&event).map_err(|_| permanent("the event cannot be written as JSON"))?;
        let id = format!("msg_{}", &durable::digest(key)[..32]);
        // The time of sending, by the clock that the receiver compares with.
        let sent = Timestamp::now().as_second();
        let signature =
            self.signer.sign(&id, sent, &body).map_err(|_| permanent("the event cannot be signed"))?;
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, sent)
            .header(HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body);
        web::ask("the webhook", effect, request).await
    }
}

/// The id that the other side may give in its answer (`{"id": …}`), or nothing.
pub(super) fn receipt(answer: &Answer) -> Receipt {
    #[derive(Deserialize)]
    struct Given {
        id: serde_json::Value,
    }
    let given = serde_json::from_slice::<Given>(&answer.body).ok().and_then(|given| match given.id {
        serde_json::Value::String(id) => Some(id),
        serde_json::Value::Number(id) => Some(id.to_string()),
        _ => None,
    });
    let fits = |id: &String| {
        (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c))
    };
    Receipt {
        remote: given.filter(fits).unwrap_or_default(),
        detail: format!("the webhook answered {}", answer.status.as_u16()),
    }
}
