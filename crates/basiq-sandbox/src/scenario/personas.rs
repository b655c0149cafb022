//! Basiq's test users at Hooli (`AU00000`) that always fail, and what their jobs then say.

use serde::{Deserialize, Serialize};

/// A test user of Basiq's documentation ("Testing", sandbox institutions) whose connection always fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persona {
    /// `invalid-credentials`, the account is locked.
    #[serde(alias = "bighead")]
    Bighead,
    /// `account-not-accessible-requires-user-action`, the bank shows a pop-up.
    #[serde(alias = "erlich")]
    Erlich,
    /// `service-unavailable`.
    #[serde(alias = "jianYang")]
    JianYang,
}

impl Persona {
    /// The test user of that login, if it is one that fails.
    pub fn named(login: &str) -> Option<Self> {
        match login {
            "bighead" => Some(Self::Bighead),
            "erlich" => Some(Self::Erlich),
            "jianYang" => Some(Self::JianYang),
            _ => None,
        }
    }

    /// Step, code, title and detail of the failed step.
    pub(crate) fn failure(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Bighead => (
                "verify-credentials",
                "invalid-credentials",
                "Cannot login to target institution, check credentials.",
                "Account is locked",
            ),
            Self::Erlich => (
                "retrieve-accounts",
                "account-not-accessible-requires-user-action",
                "Account is not accessible, user action required.",
                "The institution requires the user to log in and take action before accounts can be accessed.",
            ),
            Self::JianYang => {
                ("retrieve-accounts", "service-unavailable", TITLE_UNAVAILABLE, DETAIL_UNAVAILABLE)
            }
        }
    }
}

const TITLE_UNAVAILABLE: &str = "Service Unavailable";
const DETAIL_UNAVAILABLE: &str = "The institution's service is currently unavailable. Try again later.";

/// Title and detail that fit a code of which nothing else was said.
pub(crate) fn words(code: &str) -> (&'static str, &'static str) {
    match code {
        "invalid-credentials" | "invalid-username-or-password" => (
            "Cannot login to target institution, check credentials.",
            "Cannot login to target institution using supplied credentials. Please check credentials and try again.",
        ),
        "locked-account" => ("Account is locked.", "Account is locked"),
        "multifactor-required" => {
            ("Multi-factor authentication required.", "The user did not answer the multi-factor challenge.")
        }
        "authorization-failed" => ("Authorization failed", "Consent is no longer valid."),
        "account-not-accessible-requires-user-action" | "user-action-required" => (
            "Account is not accessible, user action required.",
            "The institution requires the user to log in and take action.",
        ),
        "service-unavailable" => (TITLE_UNAVAILABLE, DETAIL_UNAVAILABLE),
        "maintenance" => {
            ("Institution under maintenance", "The institution is under maintenance. Try again later.")
        }
        "job-timed-out" => ("Job timed out", "The job did not finish in time."),
        "institution-not-found" => ("Institution not found", "The institution is not supported."),
        "institution-disabled" => ("Institution disabled", "The institution has been disabled."),
        _ => ("Job failed", "The job could not be completed."),
    }
}
