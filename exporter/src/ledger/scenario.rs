//! What a failure means, as the label `scenario` says it.

use super::{Method, record::labels};

labels! {
    /// The scenarios of behaviour, section 2, and the two that only history tells.
    Scenario {
        /// The bank rejects the credentials.
        InvalidCredentials = "invalid-credentials",
        /// The bank has locked the login.
        AccountLocked = "account-locked",
        /// A second factor is missing.
        MfaRequired = "mfa-required",
        /// The user must do something at the bank.
        UserActionRequired = "user-action-required",
        /// A consent must be renewed.
        ReauthorisationRequired = "reauthorisation-required",
        /// A consent was revoked or expired.
        ConsentEnded = "consent-ended",
        /// The bank or the connector fails.
        ServiceUnavailable = "service-unavailable",
        /// Basiq cannot reach this bank at all.
        Unsupported = "unsupported",
        /// A code that is in no table.
        Unknown = "unknown",
        /// The job is in Basiq's retry queue.
        RetryQueued = "retry-queued",
        /// The job left Basiq's retry queue after seven days without success.
        RetryExpired = "retry-expired",
    }
}

impl Scenario {
    /// What is wrong with a connection of which nothing is known but its status `invalid`.
    pub fn of_invalid(method: Method) -> Self {
        match method {
            Method::OpenBanking => Self::ReauthorisationRequired,
            Method::Web => Self::InvalidCredentials,
            Method::Other | Method::Statement | Method::Report => Self::Unknown,
        }
    }
}

impl From<basiq::scenario::Scenario> for Scenario {
    fn from(scenario: basiq::scenario::Scenario) -> Self {
        use basiq::scenario::Scenario as Of;
        match scenario {
            Of::InvalidCredentials => Self::InvalidCredentials,
            Of::AccountLocked => Self::AccountLocked,
            Of::MfaRequired => Self::MfaRequired,
            Of::UserActionRequired => Self::UserActionRequired,
            Of::ReauthorisationRequired => Self::ReauthorisationRequired,
            Of::ConsentEnded => Self::ConsentEnded,
            Of::RetryQueued => Self::RetryQueued,
            Of::ServiceUnavailable => Self::ServiceUnavailable,
            Of::Unsupported => Self::Unsupported,
            Of::Unknown => Self::Unknown,
        }
    }
}

/// What a failed step means (behaviour, section 2), and whether its code is one that Basiq documents.
pub(super) fn classify(step: &str, code: &str, detail: &str, method: Method) -> (Scenario, bool) {
    use basiq::model::Method as Of;
    let method = match method {
        Method::Web => Of::Web,
        Method::OpenBanking => Of::OpenBanking,
        Method::Other | Method::Statement | Method::Report => Of::Other,
    };
    let known = basiq::scenario::is_known_code(code) || basiq::job::is_statement_code(code);
    (basiq::scenario::classify(step, code, detail, method).into(), known)
}
