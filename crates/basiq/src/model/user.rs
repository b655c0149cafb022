//! Users, as far as somebody must be told something.

use daemon::Secret;
use serde::Deserialize;

use super::{Named, lenient};

/// A user record. Who it is prints as `<secret>` everywhere, and is kept no longer than needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct User {
    /// The user's id.
    pub id: String,
    /// The address; Basiq allows it to be empty, which is absent here.
    pub email: Option<Secret>,
    /// The mobile number, likewise.
    pub mobile: Option<Secret>,
    /// The first name, likewise.
    pub first_name: Option<Secret>,
    /// The full name, likewise.
    pub name: Option<Secret>,
    /// The ids of the user's connections.
    pub connections: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    email: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    mobile: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::object")]
    connections: Option<RawConnections>,
}

#[derive(Deserialize)]
struct RawConnections {
    #[serde(default, deserialize_with = "lenient::list")]
    data: Vec<Named>,
}

impl From<Raw> for User {
    fn from(raw: Raw) -> Self {
        let secret = |text: Option<String>| text.filter(|text| !text.trim().is_empty()).map(Secret::new);
        Self {
            id: raw.id,
            email: secret(raw.email),
            mobile: secret(raw.mobile),
            first_name: secret(raw.first_name),
            name: secret(raw.name),
            connections: raw
                .connections
                .map(|connections| connections.data)
                .unwrap_or_default()
                .into_iter()
                .map(|named| named.id)
                .filter(|id| !id.is_empty())
                .collect(),
        }
    }
}
