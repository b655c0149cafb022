//! Scenarios grouped by what the user would have to do about them.

use serde::{Deserialize, Serialize};

/// What a scenario asks of people. Messages are re-verified against the class: while it stays the same, the
/// message is still right (behaviour, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Give the credentials again.
    Credentials,
    /// Unlock with the bank first.
    Locked,
    /// Confirm in the app.
    Mfa,
    /// Deal with the bank's pop-up.
    BankAction,
    /// Renew the consent.
    Consent,
    /// The bank or the connector failed: Basiq's queue or our refreshes may heal it.
    Service,
    /// The bank cannot be reached through Basiq at all.
    Unsupported,
    /// Expected data did not come; no failure.
    Stale,
    /// Anything else.
    Unknown,
}

impl Class {
    /// The class of a scenario of behaviour's section 2.
    pub fn of(scenario: &str) -> Self {
        match scenario {
            "invalid-credentials" => Self::Credentials,
            "account-locked" => Self::Locked,
            "mfa-required" => Self::Mfa,
            "user-action-required" => Self::BankAction,
            "reauthorisation-required" | "consent-ended" => Self::Consent,
            "retry-queued" | "retry-expired" | "service-unavailable" => Self::Service,
            "unsupported" => Self::Unsupported,
            "stale" => Self::Stale,
            _ => Self::Unknown,
        }
    }

    /// The name in keys and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Locked => "locked",
            Self::Mfa => "mfa",
            Self::BankAction => "bank-action",
            Self::Consent => "consent",
            Self::Service => "service",
            Self::Unsupported => "unsupported",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a refresh can help without anybody doing anything first (behaviour, section 6).
    pub fn refreshable(self) -> bool {
        self == Self::Service
    }
}
