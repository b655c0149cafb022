//! Webhook subscriptions, what was sent to them, and what arrives.

use daemon::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Place, lenient};

/// A subscription as `/notifications/webhooks` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub id: String,
    /// The name it was given.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub name: String,
    /// Where Basiq posts to.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub url: String,
    /// `active`, `pending-approval`; after too many failed deliveries Basiq disables it.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub status: String,
    /// Event names (`connection.invalidated`). Written as a list or as one text.
    #[serde(default, deserialize_with = "lenient::texts")]
    pub subscribed_events: Vec<String>,
    /// What messages are signed with; given once, by the answer that creates the subscription.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(lenient::text(deserializer)?.filter(|text| !text.is_empty()).map(Secret::new))
}

/// A subscription to be made, or the new state of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSubscription {
    /// A name for people.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// Where Basiq shall post to; https.
    pub url: String,
    /// Event names (`connection.invalidated`).
    pub subscribed_events: Vec<String>,
}

/// A message that Basiq sent, or tried to send, to a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawMessage")]
pub struct Message {
    /// The message's id; the header `webhook-id` of its delivery.
    pub id: String,
    /// What it told.
    pub notification: Notification,
    /// Each try, as far as Basiq shows them.
    pub attempts: Vec<Attempt>,
}

/// One try to deliver a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// `Success`, `Failed`.
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub status: String,
    /// The status code that the endpoint answered; a number or a text in Basiq's examples.
    #[serde(default, deserialize_with = "lenient::text")]
    pub response_status_code: Option<String>,
    /// When.
    #[serde(default, deserialize_with = "lenient::time")]
    pub timestamp: Option<Timestamp>,
}

/// The body of a webhook: what happened, and where to read it. It carries no data itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawNotification")]
pub struct Notification {
    /// The event's name (`connection.invalidated`).
    pub event_name: String,
    /// The event's id, to be read by [`crate::Client::event`].
    pub event_id: String,
    /// Whom `links.eventEntity` names. A hint until Basiq has been asked.
    pub place: Option<Place>,
}

impl Notification {
    /// Decodes the body of a webhook whose signature has been checked.
    ///
    /// # Errors
    /// It is not such a document; the text says where in it, and quotes nothing of it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        crate::error::decode(body).map_err(|(path, reason)| format!("webhook body at {path}: {reason}"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNotification {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_type_id: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_id: String,
    #[serde(default, deserialize_with = "lenient::object")]
    links: Option<RawLinks>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLinks {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_entity: String,
}

impl From<RawNotification> for Notification {
    fn from(raw: RawNotification) -> Self {
        Self {
            event_name: raw.event_type_id,
            event_id: raw.event_id,
            place: raw.links.and_then(|links| Place::of_link(&links.event_entity)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    id: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_type_id: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_id: String,
    #[serde(default, deserialize_with = "lenient::object")]
    payload: Option<Notification>,
    #[serde(default, deserialize_with = "lenient::objects")]
    attempts: Vec<Attempt>,
}

impl From<RawMessage> for Message {
    fn from(raw: RawMessage) -> Self {
        let mut notification = raw.payload.unwrap_or_default();
        if notification.event_id.is_empty() {
            notification.event_id = raw.event_id;
        }
        if notification.event_name.is_empty() {
            notification.event_name = raw.event_type_id;
        }
        Self { id: raw.id, notification, attempts: raw.attempts }
    }
}
