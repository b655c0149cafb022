//! Connectors: the banks, one entry for each method that reaches them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Method, lenient};

/// A connector as `/connectors` lists it. About 330 of them; one institution may have several methods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Raw")]
pub struct Connector {
    /// The institution's id (`AU00000`).
    pub id: String,
    /// How it reaches the bank.
    pub method: Method,
    /// `alpha`, `beta`, `live`: an open set.
    pub stage: String,
    /// Its state now.
    pub status: ConnectorStatus,
    /// The institution's name.
    pub name: String,
    /// Its short name.
    pub short_name: String,
    /// `1` to `4`.
    pub tier: String,
    /// Where it is, in words (`Australia`).
    pub country: String,
    /// `Bank`, `Credit Union`, `Test Bank`, …
    pub kind: String,
    /// Basiq's averages over its jobs of late, by step title (`verify-credentials`, `retrieve-accounts`,
    /// `retrieve-transactions`, `retrieve-meta`, and `total`); absent where Basiq gives none.
    pub averages: Vec<(&'static str, Duration)>,
}

/// The state of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectorStatus {
    /// All is well.
    Operational,
    /// Slow.
    DegradedPerformance,
    /// Some jobs fail.
    PartialOutage,
    /// Jobs fail on a wide front: alert and wait (Basiq's guide to failed jobs).
    MajorOutage,
    /// Announced work; it can still be used.
    UnderMaintenance,
    /// Anything else, also absent.
    #[default]
    Unknown,
}

impl ConnectorStatus {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 6] = [
        Self::Operational,
        Self::DegradedPerformance,
        Self::PartialOutage,
        Self::MajorOutage,
        Self::UnderMaintenance,
        Self::Unknown,
    ];

    /// Basiq's spelling; `unknown` for others. Used as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::DegradedPerformance => "degraded-performance",
            Self::PartialOutage => "partial-outage",
            Self::MajorOutage => "major-outage",
            Self::UnderMaintenance => "under-maintenance",
            Self::Unknown => "unknown",
        }
    }

    /// Reads Basiq's spelling.
    pub fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for ConnectorStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(lenient::text(deserializer)?.map(|text| Self::of(&text)).unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default)]
    method: Method,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    stage: String,
    #[serde(default)]
    status: ConnectorStatus,
    #[serde(default, deserialize_with = "lenient::object")]
    institution: Option<RawInstitution>,
    #[serde(default, deserialize_with = "lenient::object")]
    stats: Option<RawStats>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInstitution {
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    name: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    short_name: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    tier: String,
    #[serde(default, deserialize_with = "lenient::text_or_empty")]
    country: String,
    #[serde(default, rename = "type", deserialize_with = "lenient::text_or_empty")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStats {
    #[serde(default, deserialize_with = "lenient::object")]
    average_duration_ms: Option<RawAverages>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAverages {
    #[serde(default, deserialize_with = "lenient::number")]
    verify_credentials: Option<f64>,
    #[serde(default, deserialize_with = "lenient::number")]
    retrieve_accounts: Option<f64>,
    #[serde(default, deserialize_with = "lenient::number")]
    retrieve_transactions: Option<f64>,
    #[serde(default, deserialize_with = "lenient::number")]
    retrieve_meta: Option<f64>,
    #[serde(default, deserialize_with = "lenient::number")]
    total: Option<f64>,
}

impl From<Raw> for Connector {
    fn from(raw: Raw) -> Self {
        let institution = raw.institution.unwrap_or_default();
        Self {
            id: raw.id,
            method: raw.method,
            stage: raw.stage,
            status: raw.status,
            name: institution.name,
            short_name: institution.short_name,
            tier: institution.tier,
            country: institution.country,
            kind: institution.kind,
            averages: raw.stats.and_then(|stats| stats.average_duration_ms).map(averages).unwrap_or_default(),
        }
    }
}

fn averages(raw: RawAverages) -> Vec<(&'static str, Duration)> {
    [
        ("verify-credentials", raw.verify_credentials),
        ("retrieve-accounts", raw.retrieve_accounts),
        ("retrieve-transactions", raw.retrieve_transactions),
        ("retrieve-meta", raw.retrieve_meta),
        ("total", raw.total),
    ]
    .into_iter()
    .filter_map(|(step, ms)| Some((step, Duration::try_from_secs_f64(ms? / 1000.0).ok()?)))
    .collect()
}
