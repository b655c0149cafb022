//! Events: what Basiq says has changed, for the last 7 days.

use jiff::Timestamp;
use serde::Deserialize;

use super::{ConnectionStatus, Place, lenient};

/// An event as `/events` and `/events/{id}` show it.
///
/// Basiq's types: `connection.created/updated/deleted/invalidated/activated`, `account.updated`,
/// `transactions.updated`, `consent.created/updated/expired/reminder/revoked/warning`,
/// `user.created/updated/deleted`. An open set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Event {
    /// The event's id. Empty only where a decoded document had none; the client fills in the id asked for.
    pub id: String,
    /// When it happened.
    pub created: Option<Timestamp>,
    /// `connection`, `consent`, `user`, `account`, `transactions`.
    pub entity: String,
    /// `created`, `invalidated`, …, without the entity.
    pub event_type: String,
    /// Whose event it is; empty where Basiq gives none.
    pub user_id: String,
    /// The connection, of an event of a connection: from `dataRef`, else from the data.
    pub connection_id: Option<String>,
    /// The connection's status at that time, of an event of a connection.
    pub connection_status: Option<ConnectionStatus>,
    /// The institution, where the data names one.
    pub institution: Option<String>,
}

impl Event {
    /// Entity and type in one, as webhooks and subscriptions spell it: `connection.invalidated`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.entity, self.event_type)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    id: String,
    #[serde(default, deserialize_with = "lenient::time")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    entity: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    event_type: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    user_id: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    data_ref: String,
    #[serde(default, deserialize_with = "lenient::object")]
    data: Option<RawData>,
}

#[derive(Default, Deserialize)]
struct RawData {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    id: String,
    #[serde(default)]
    status: Option<ConnectionStatus>,
    #[serde(default, deserialize_with = "lenient::object")]
    institution: Option<super::Named>,
}

impl From<Raw> for Event {
    fn from(raw: Raw) -> Self {
        let place = Place::of_link(&raw.data_ref);
        let data = raw.data.unwrap_or_default();
        let of_connection = raw.entity == "connection";
        // The list schema spells the type alone, webhooks with its entity.
        let event_type = raw.event_type.strip_prefix(&format!("{}.", raw.entity)).unwrap_or(&raw.event_type);
        Self {
            event_type: event_type.to_owned(),
            user_id: match place.as_ref() {
                Some(place) if raw.user_id.is_empty() => place.user_id.clone(),
                _ => raw.user_id,
            },
            connection_id: place
                .and_then(|place| place.connection_id)
                .or_else(|| (of_connection && super::is_id(&data.id)).then(|| data.id.clone())),
            connection_status: data.status.filter(|_| of_connection),
            institution: data.institution.map(|named| named.id).filter(|id| !id.is_empty()),
            id: raw.id,
            created: raw.created_date.or(raw.created),
            entity: raw.entity,
        }
    }
}
