//! Banks that are not `operational`.

use serde::{Deserialize, Serialize};

use super::{At, BadScenario, Method, check_institution, check_share};

/// A connector that is not `operational` for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// The bank.
    pub institution: String,
    /// Its connector; all of the bank's if absent.
    #[serde(default)]
    pub method: Option<Method>,
    /// What `/connectors` shows.
    pub status: ConnectorStatus,
    /// From here on…
    pub from: At,
    /// …to here; for good if absent.
    #[serde(default)]
    pub until: Option<At>,
    /// The share of jobs (0 to 1) that fail there meanwhile with `service-unavailable`.
    #[serde(default)]
    pub failing: f64,
}

/// What `/connectors` says of a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectorStatus {
    /// All is well.
    #[default]
    Operational,
    /// Slow.
    DegradedPerformance,
    /// Down for some.
    PartialOutage,
    /// Down for all.
    MajorOutage,
    /// Being worked on; can still be used.
    UnderMaintenance,
}

impl ConnectorStatus {
    /// Basiq's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::DegradedPerformance => "degraded-performance",
            Self::PartialOutage => "partial-outage",
            Self::MajorOutage => "major-outage",
            Self::UnderMaintenance => "under-maintenance",
        }
    }
}

impl Outage {
    /// Refuses a share or institution that cannot be.
    pub(crate) fn check(&self) -> Result<(), BadScenario> {
        check_institution(&self.institution)?;
        check_share("connectors: failing", self.failing)
    }
}
