//! What Basiq answers, as far as this project needs it.
//!
//! *Least data*: only the named fields are decoded; balances, account numbers and step links never reach
//! memory as values. *Tolerant*: unknown fields, codes, step titles and statuses are kept or ignored, all
//! spellings that the documents use are read, and `null` counts as absent.

mod connection;
mod connector;
mod event;
mod job;
mod lenient;
mod user;
mod webhook;

pub use connection::{Connection, ConnectionStatus};
pub use connector::{Connector, ConnectorStatus};
pub use event::Event;
pub use job::{Job, JobRef, Step, StepResult, StepStatus};
pub use user::User;
pub use webhook::{Attempt, Message, NewSubscription, Notification, Subscription};

use serde::{Deserialize, Deserializer};

/// A place that a link of Basiq names: `…/users/{user}[/connections/{connection}]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The user's id.
    pub user_id: String,
    /// The connection's id, where the link goes that far.
    pub connection_id: Option<String>,
}

impl Place {
    /// Reads a link, absolute or relative, whatever its host. `None` where it names no user.
    ///
    /// Basiq's documents write `https://au-api.basiq.io/users/ea3a81/connections/8fce3b` and, in step
    /// results, the same without a host.
    pub fn of_link(link: &str) -> Option<Self> {
        let path = link.split(['?', '#']).next().unwrap_or_default();
        let mut segments = path.split('/').skip_while(|segment| *segment != "users").skip(1);
        let user_id = segments.next().filter(|id| is_id(id))?.to_owned();
        let connection_id = match (segments.next(), segments.next()) {
            (Some("connections"), Some(id)) if is_id(id) => Some(id.to_owned()),
            _ => None,
        };
        Some(Self { user_id, connection_id })
    }
}

/// Whether a text can be an id of Basiq: 1 to 128 letters, digits, `-`, `_`, `.` and `:`, not only dots.
/// Ids in the documents are UUIDs or short hexadecimal numbers; anything else never enters a URL.
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        && text.bytes().any(|b| b != b'.')
}

/// How a connection reaches its bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// The bank's internet banking, with the user's credentials.
    Web,
    /// Open banking (CDR), with the user's consent. Spelled `openbanking` or `open-banking` by Basiq.
    OpenBanking,
    /// An uploaded CSV file.
    Csv,
    /// An uploaded PDF statement.
    Pdf,
    /// Anything else, also absent.
    #[default]
    Other,
}

impl Method {
    /// The normalised spelling, used as the label `method`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::OpenBanking => "openbanking",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Other => "other",
        }
    }

    /// Reads any spelling.
    pub fn of(text: &str) -> Self {
        match text.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
            "web" => Self::Web,
            "openbanking" => Self::OpenBanking,
            "csv" => Self::Csv,
            "pdf" => Self::Pdf,
            _ => Self::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(lenient::text(deserializer)?.map(|text| Self::of(&text)).unwrap_or_default())
    }
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    /// `list`. The schemas let some lists leave out `data`, but none of Basiq's resources this.
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    pub(crate) kind: Option<String>,
    #[serde(
        default = "Vec::new",
        deserialize_with = "lenient::list",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    pub(crate) data: Vec<T>,
    #[serde(default, deserialize_with = "lenient::object")]
    pub(crate) links: Option<PageLinks>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PageLinks {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(crate) next: Option<String>,
}

/// The body of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(crate) correlation_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    pub(crate) data: Vec<ErrorEntry>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ErrorEntry {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub(crate) code: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub(crate) title: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    pub(crate) detail: String,
}

/// The answer of `/token`.
#[derive(Deserialize)]
pub(crate) struct TokenBody {
    pub(crate) access_token: String,
    #[serde(default, deserialize_with = "lenient::number")]
    pub(crate) expires_in: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_users_and_connections() {
        let place = |link| Place::of_link(link).map(|p| (p.user_id, p.connection_id));
        assert_eq!(
            place("https://au-api.basiq.io/users/ea3a81/connections/8fce3b"),
            Some(("ea3a81".into(), Some("8fce3b".into())))
        );
        assert_eq!(
            place("/users/ea3a81/accounts?filter=institution.id.eq('AU00000')"),
            Some(("ea3a81".into(), None))
        );
        assert_eq!(place("/reports/b1824ad0"), None);
        assert_eq!(place("https://au-api.basiq.io/users/../connections/8fce3b"), None);
        assert_eq!(place(""), None);
    }

    #[test]
    fn ids_that_would_change_a_path_are_none() {
        for good in ["ea3a81", "b2afc9cd-0f3c-41f0-9e19-d18482abc9fc", "AU00000", "a.b"] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a?b", "a'b", "a b", "é", &"a".repeat(129)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn methods_are_normalised() {
        for (text, method) in [
            ("web", Method::Web),
            ("openbanking", Method::OpenBanking),
            ("open-banking", Method::OpenBanking),
            ("Open Banking", Method::OpenBanking),
            ("pdf", Method::Pdf),
            ("carrier-pigeon", Method::Other),
            ("", Method::Other),
        ] {
            assert_eq!(Method::of(text), method, "{text}");
        }
    }
}
