//! What a failure means: the table of behaviour, section 2.

use std::{fmt, str::FromStr};

use crate::model::Method;

/// What is wrong with a connection, in the terms in which people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// Wrong or changed credentials: the user gives them again in the partner's app.
    InvalidCredentials,
    /// The bank has locked the account: unlock first, then reconnect.
    AccountLocked,
    /// The bank asked for a second factor and got none: the user confirms in the app.
    MfaRequired,
    /// The bank shows something that only the user can deal with (new terms, say).
    UserActionRequired,
    /// An open banking consent was refused or its arrangement has ended unexpectedly: renew it.
    ReauthorisationRequired,
    /// The user has revoked the consent, or it has expired; Basiq tells them. From events, never from jobs.
    ConsentEnded,
    /// Basiq itself retries, every 2 hours for up to 7 days. From history, never from one job.
    RetryQueued,
    /// The bank or the connector failed.
    ServiceUnavailable,
    /// The institution cannot be reached any more; it will not heal by itself.
    Unsupported,
    /// A code that the documents do not know, or none.
    Unknown,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::InvalidCredentials,
        Self::AccountLocked,
        Self::MfaRequired,
        Self::UserActionRequired,
        Self::ReauthorisationRequired,
        Self::ConsentEnded,
        Self::RetryQueued,
        Self::ServiceUnavailable,
        Self::Unsupported,
        Self::Unknown,
    ];

    /// The name in labels and rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid-credentials",
            Self::AccountLocked => "account-locked",
            Self::MfaRequired => "mfa-required",
            Self::UserActionRequired => "user-action-required",
            Self::ReauthorisationRequired => "reauthorisation-required",
            Self::ConsentEnded => "consent-ended",
            Self::RetryQueued => "retry-queued",
            Self::ServiceUnavailable => "service-unavailable",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the bank's or the connector's side failed: what may be refreshed, counts for an outage, and
    /// can be in Basiq's retry queue (behaviour, sections 1, 3 and 6).
    pub fn is_unavailability(self) -> bool {
        matches!(self, Self::ServiceUnavailable | Self::RetryQueued)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is none of [`Scenario::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such scenario; known are the names in the first column of the table in behaviour, section 2")]
pub struct NoSuchScenario;

impl FromStr for Scenario {
    type Err = NoSuchScenario;

    fn from_str(text: &str) -> Result<Self, NoSuchScenario> {
        Self::ALL.into_iter().find(|scenario| scenario.as_str() == text).ok_or(NoSuchScenario)
    }
}

/// The codes that the documents name for connections, with what they mean.
///
/// Sources: the enum of `JobsResult.code` (`GET /users/{userId}/jobs`), the examples of `GET /jobs/{jobId}`
/// (`invalid-credentials`, `authorization-failed`), and Basiq's guides to failed jobs and to testing
/// (`account-not-accessible-requires-user-action`, `service-unavailable`, `locked-account`, …).
const CODES: [(&str, Scenario); 19] = [
    ("invalid-credentials", Scenario::InvalidCredentials),
    ("invalid-username-or-password", Scenario::InvalidCredentials),
    ("invalid-connection", Scenario::InvalidCredentials),
    ("locked-account", Scenario::AccountLocked),
    ("multifactor-required", Scenario::MfaRequired),
    ("account-not-accessible-requires-user-action", Scenario::UserActionRequired),
    ("user-action-required", Scenario::UserActionRequired),
    ("authorization-failed", Scenario::ReauthorisationRequired),
    ("service-unavailable", Scenario::ServiceUnavailable),
    ("system-unavailable", Scenario::ServiceUnavailable),
    ("maintenance", Scenario::ServiceUnavailable),
    ("institution-not-available", Scenario::ServiceUnavailable),
    ("connector-error", Scenario::ServiceUnavailable),
    ("job-timed-out", Scenario::ServiceUnavailable),
    ("internal-server-error", Scenario::ServiceUnavailable),
    ("unknown-error", Scenario::ServiceUnavailable),
    ("institution-not-found", Scenario::Unsupported),
    ("institution-disabled", Scenario::Unsupported),
    // Listed so that it is known, though it says that nothing failed.
    ("success", Scenario::Unknown),
];

/// Wordings of `detail` that make `invalid-credentials` a locked account: those of Basiq's test user
/// `bighead` ("Account is locked") and their like. In lower case.
const LOCKED: [&str; 6] = [
    "account is locked",
    "account locked",
    "locked account",
    "account has been locked",
    "account is currently locked",
    "locked out",
];

/// Wordings of `detail` that make `invalid-credentials` a missing second factor. In lower case.
const MFA: [&str; 6] =
    ["multi-factor", "multifactor", "mfa", "security code", "one-time password", "two-factor"];

/// Wordings of `detail` that say an open banking arrangement has ended. In lower case.
const ARRANGEMENT: [&str; 4] =
    ["arrangement expired", "arrangement has expired", "arrangement revoked", "consent expired"];

/// Whether a code is one that the documents name, for connections or for statement files. What is not is
/// counted by the exporter (`basiq_job_codes_unknown_total`).
pub fn is_known_code(code: &str) -> bool {
    CODES.iter().any(|(known, _)| *known == code) || crate::job::is_statement_code(code)
}

/// The codes that the documents name for connections, in the table's order.
pub fn known_codes() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|(code, _)| *code)
}

/// What a failed step means.
///
/// `step` is its title, `code` and `detail` its result's (empty where it has none), `method` the
/// connection's, [`Method::Other`] where it is not known. Never returns [`Scenario::ConsentEnded`] (which
/// comes from events) nor [`Scenario::RetryQueued`] (which needs history).
///
/// Beyond the codes:
/// - a failed `mfa-challenge` step without a code of its own is a second factor that was refused or ran out
///   (behaviour, section 2), and so are credentials refused in that step;
/// - `invalid-credentials` has sub-kinds in its `detail` (Basiq's guide to failed jobs: wrong password,
///   locked account, MFA);
/// - an open banking connection has no credentials: what would ask for them asks for the consent instead,
///   and a web connection has no consent: `authorization-failed` there is not understood.
pub fn classify(step: &str, code: &str, detail: &str, method: Method) -> Scenario {
    let listed = CODES.iter().find(|(known, _)| *known == code).map(|(_, scenario)| *scenario);
    let detail = detail.to_lowercase();
    let says = |wordings: &[&str]| wordings.iter().any(|wording| contains_phrase(&detail, wording));
    let in_mfa = step == "mfa-challenge";
    match listed {
        Some(Scenario::InvalidCredentials) if method == Method::OpenBanking => {
            Scenario::ReauthorisationRequired
        }
        Some(Scenario::InvalidCredentials) if says(&LOCKED) => Scenario::AccountLocked,
        Some(Scenario::InvalidCredentials) if in_mfa || says(&MFA) => Scenario::MfaRequired,
        Some(Scenario::ReauthorisationRequired) if method == Method::Web => Scenario::Unknown,
        Some(Scenario::Unknown) | None if method == Method::OpenBanking && says(&ARRANGEMENT) => {
            Scenario::ReauthorisationRequired
        }
        None if in_mfa && code.is_empty() => Scenario::MfaRequired,
        Some(scenario) => scenario,
        None => Scenario::Unknown,
    }
}

/// Whether `text` has `phrase` as whole words: "unlocked out" is not "locked out".
fn contains_phrase(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFY: &str = "verify-credentials";

    fn all_give(codes: &[&str], method: Method, expected: Scenario) {
        for code in codes {
            assert_eq!(classify(VERIFY, code, "", method), expected, "{code}");
        }
    }

    #[test]
    fn row_invalid_credentials() {
        let codes = ["invalid-credentials", "invalid-username-or-password", "invalid-connection"];
        all_give(&codes, Method::Web, Scenario::InvalidCredentials);
        let detail = "Cannot login to target institution using supplied credentials. Please check credentials and try again.";
        assert_eq!(
            classify(VERIFY, "invalid-credentials", detail, Method::Web),
            Scenario::InvalidCredentials
        );
    }

    #[test]
    fn row_account_locked() {
        all_give(&["locked-account"], Method::Web, Scenario::AccountLocked);
        for detail in [
            "Account is locked",
            "Your account has been locked by the bank.",
            "Account locked",
            "The account is currently locked, contact your bank",
            "Locked account",
            "User is locked out of internet banking",
        ] {
            assert_eq!(
                classify(VERIFY, "invalid-credentials", detail, Method::Web),
                Scenario::AccountLocked,
                "{detail}"
            );
        }
        for other in ["The account was unlocked outside", "block", "locksmith"] {
            assert_eq!(
                classify(VERIFY, "invalid-credentials", other, Method::Web),
                Scenario::InvalidCredentials,
                "{other}"
            );
        }
    }

    #[test]
    fn row_mfa_required() {
        all_give(&["multifactor-required"], Method::Web, Scenario::MfaRequired);
        assert_eq!(classify("mfa-challenge", "", "", Method::Web), Scenario::MfaRequired);
        assert_eq!(classify("mfa-challenge", "invalid-credentials", "", Method::Web), Scenario::MfaRequired);
        for detail in [
            "Multi-factor authentication is required",
            "Multifactor required",
            "MFA response timed out",
            "The security code was wrong",
            "one-time password expired",
            "Two-factor authentication needed",
        ] {
            assert_eq!(
                classify(VERIFY, "invalid-credentials", detail, Method::Web),
                Scenario::MfaRequired,
                "{detail}"
            );
        }
        // The bank may fail in the middle of a challenge: that is still the bank.
        assert_eq!(
            classify("mfa-challenge", "service-unavailable", "", Method::Web),
            Scenario::ServiceUnavailable
        );
    }

    #[test]
    fn row_user_action_required() {
        let codes = ["account-not-accessible-requires-user-action", "user-action-required"];
        all_give(&codes, Method::Web, Scenario::UserActionRequired);
        all_give(&codes, Method::OpenBanking, Scenario::UserActionRequired);
    }

    #[test]
    fn row_reauthorisation_required() {
        all_give(&["authorization-failed"], Method::OpenBanking, Scenario::ReauthorisationRequired);
        all_give(&["authorization-failed"], Method::Other, Scenario::ReauthorisationRequired);
        all_give(&["authorization-failed"], Method::Web, Scenario::Unknown);
        let codes = ["invalid-credentials", "invalid-username-or-password", "invalid-connection"];
        all_give(&codes, Method::OpenBanking, Scenario::ReauthorisationRequired);
        for detail in
            ["Arrangement expired", "arrangement has expired", "Arrangement revoked", "Consent expired"]
        {
            assert_eq!(
                classify(VERIFY, "something-new", detail, Method::OpenBanking),
                Scenario::ReauthorisationRequired,
                "{detail}"
            );
        }
    }

    #[test]
    fn rows_that_no_job_gives() {
        for (code, _) in CODES {
            for method in [Method::Web, Method::OpenBanking, Method::Other] {
                for step in [VERIFY, "mfa-challenge", "retrieve-accounts"] {
                    let scenario = classify(step, code, "", method);
                    assert!(!matches!(scenario, Scenario::ConsentEnded | Scenario::RetryQueued), "{code}");
                }
            }
        }
    }

    #[test]
    fn row_service_unavailable() {
        let codes = [
            "service-unavailable",
            "system-unavailable",
            "maintenance",
            "institution-not-available",
            "connector-error",
            "job-timed-out",
            "internal-server-error",
            "unknown-error",
        ];
        all_give(&codes, Method::Web, Scenario::ServiceUnavailable);
        all_give(&codes, Method::OpenBanking, Scenario::ServiceUnavailable);
    }

    #[test]
    fn row_unsupported() {
        all_give(&["institution-not-found", "institution-disabled"], Method::Web, Scenario::Unsupported);
    }

    #[test]
    fn row_unknown() {
        all_give(
            &["", "success", "a-code-of-tomorrow", "INVALID-CREDENTIALS"],
            Method::Web,
            Scenario::Unknown,
        );
        // Wording alone decides nothing.
        assert_eq!(classify(VERIFY, "new", "Account is locked", Method::Web), Scenario::Unknown);
    }

    #[test]
    fn names_read_back() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.as_str().parse(), Ok(scenario));
        }
        assert_eq!("weather".parse::<Scenario>(), Err(NoSuchScenario));
    }

    #[test]
    fn wordings_are_lower_case_since_details_are_lowered() {
        for wording in LOCKED.iter().chain(&MFA).chain(&ARRANGEMENT) {
            assert_eq!(*wording, wording.to_lowercase());
        }
    }
}
