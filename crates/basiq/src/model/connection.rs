//! Connections of users to institutions.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{Method, Named, lenient};

/// A connection as the list shows it. The single resource carries balances and account numbers and is
/// never read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Connection {
    /// The connection's id.
    pub id: String,
    /// Its state.
    pub status: ConnectionStatus,
    /// How it reaches the bank.
    pub method: Method,
    /// The institution (`AU00000`), where given.
    pub institution: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its data was last fetched.
    pub last_used: Option<Timestamp>,
    /// When its consent ends; open banking only.
    pub expires: Option<Timestamp>,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectionStatus {
    /// Usable.
    Active,
    /// Being made or refreshed.
    Pending,
    /// Not refreshable until the user has given what is wrong anew.
    Invalid,
    /// Not begun.
    PreInit,
    /// Anything else, also absent.
    #[default]
    Unknown,
}

impl ConnectionStatus {
    /// Basiq's spelling; `unknown` for others. Used as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
            Self::PreInit => "pre-init",
            Self::Unknown => "unknown",
        }
    }

    /// Reads Basiq's spelling.
    pub fn of(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "pending" => Self::Pending,
            "invalid" => Self::Invalid,
            "pre-init" => Self::PreInit,
            _ => Self::Unknown,
        }
    }
}

impl<'de> Deserialize<'de> for ConnectionStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(lenient::text(deserializer)?.map(|text| Self::of(&text)).unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default)]
    status: ConnectionStatus,
    #[serde(default)]
    method: Method,
    #[serde(default, deserialize_with = "lenient::object")]
    institution: Option<Named>,
    #[serde(default, deserialize_with = "lenient::time")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    last_used: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::time")]
    expiry_date: Option<Timestamp>,
}

impl From<Raw> for Connection {
    fn from(raw: Raw) -> Self {
        Self {
            id: raw.id,
            status: raw.status,
            method: raw.method,
            institution: raw.institution.map(|named| named.id).filter(|id| !id.is_empty()),
            created: raw.created_date.or(raw.created),
            last_used: raw.last_used,
            expires: raw.expiry_date,
        }
    }
}
