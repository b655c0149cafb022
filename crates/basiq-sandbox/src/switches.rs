//! What nobody outside Basiq knows about Basiq, a switch each (behaviour, section 9). The product must come
//! out right under every value; the defaults are the readings that Basiq's own pages favour.

use serde::{Deserialize, Serialize};

/// Declares a switch: an enum whose values are spelled in kebab case in files and on the admin interface.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }
        impl $name {
            /// Every value, for tests that must hold under each.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

switch! {
    /// How the steps of a job in the retry queue look between two tries.
    QueuedSteps {
        /// The failed step stays `failed`, with its result.
        #[default] Failed,
        /// All steps are `pending` again, without results.
        Pending,
        /// The failed step shows `in-progress`, without a result.
        InProgress,
    }
}

switch! {
    /// When the `updated` of a job in the retry queue moves.
    QueuedUpdated {
        /// With each try.
        #[default] EachTry,
        /// Not before the job leaves the queue: it stays at the first failure.
        FirstFailure,
    }
}

switch! {
    /// Whether a job whose id a refresh answered with 200 shows failed steps afterwards.
    ExistingSteps {
        /// As any queued job does ([`QueuedSteps`]).
        #[default] AsQueued,
        /// The failed step is shown as `failed`.
        Failed,
        /// All steps are `pending` until the next try.
        Reset,
    }
}

switch! {
    /// What the body of a refresh answered with 200 holds.
    ExistingBody {
        /// Type, id and link only, as with 202.
        #[default] Reference,
        /// The whole job.
        Job,
    }
}

switch! {
    /// When `connection.updated` is sent.
    ConnectionUpdated {
        /// When a job of the connection succeeded.
        #[default] OnSuccess,
        /// When any job of the connection finished, failed ones too.
        OnEveryJob,
        /// When the user gave credentials again, and only then.
        OnCredentials,
        /// Not at all.
        Never,
    }
}

switch! {
    /// What refreshing an invalid connection is answered with. Basiq's pages say both that it cannot be refreshed and that it can.
    RefreshInvalid {
        /// 400 with the code `invalid-credentials`.
        #[default] BadRequest,
        /// 403 with the code `access-denied`.
        Forbidden,
        /// 202: a job is made, and fails.
        Allowed,
    }
}

switch! {
    /// How long `GET /jobs/{id}` answers for a job that has left the list, which ends at 7 days.
    Readable {
        /// For good.
        #[default] Forever,
        /// A day longer.
        Day,
        /// Not at all: 404 from 7 days on.
        Gone,
    }
}

switch! {
    /// The body that comes with 403 when Basiq throttles.
    ThrottleBody {
        /// A Basiq error with the code `forbidden-access`, which is what a missing right gives, too.
        #[default] ForbiddenAccess,
        /// A Basiq error with the code `access-denied`.
        AccessDenied,
        /// A Basiq error with the code `too-many-requests`.
        TooManyRequests,
        /// No body.
        Empty,
        /// A page of HTML, as from a gateway.
        Html,
    }
}

switch! {
    /// What an expired token is answered with.
    ExpiredToken {
        /// 401 with `invalid-authorization-token`.
        #[default] Unauthorized,
        /// 403 with `forbidden-access`.
        Forbidden,
    }
}

switch! {
    /// How the method of open banking is spelled: the OpenAPI files have both.
    MethodSpelling {
        /// `openbanking`.
        #[default] Openbanking,
        /// `open-banking`.
        OpenDashBanking,
    }
}

switch! {
    /// How lists spell the text of a failed step.
    DetailSpelling {
        /// `details`, as the schema of the job list has it.
        #[default] Details,
        /// `detail`, as a single job has it.
        Detail,
    }
}

switch! {
    /// How jobs spell their dates.
    DateSpelling {
        /// `created` and `updated`.
        #[default] Created,
        /// `createdDate` and `updatedDate`.
        CreatedDate,
    }
}

switch! {
    /// When a connection's job has `links.source`.
    SourceLink {
        /// Once its first try is over: the examples of jobs in progress have none.
        #[default] WhenFinished,
        /// Always.
        Always,
    }
}

/// All switches, each with its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// See [`QueuedSteps`].
    pub queued_steps: QueuedSteps,
    /// See [`QueuedUpdated`].
    pub queued_updated: QueuedUpdated,
    /// See [`ExistingSteps`].
    pub existing_steps: ExistingSteps,
    /// See [`ExistingBody`].
    pub existing_body: ExistingBody,
    /// See [`ConnectionUpdated`].
    pub connection_updated: ConnectionUpdated,
    /// See [`RefreshInvalid`].
    pub refresh_invalid: RefreshInvalid,
    /// See [`Readable`].
    pub readable: Readable,
    /// See [`ThrottleBody`].
    pub throttle_body: ThrottleBody,
    /// See [`ExpiredToken`].
    pub expired_token: ExpiredToken,
    /// See [`MethodSpelling`].
    pub method_spelling: MethodSpelling,
    /// See [`DetailSpelling`].
    pub detail_spelling: DetailSpelling,
    /// See [`DateSpelling`].
    pub date_spelling: DateSpelling,
    /// See [`SourceLink`].
    pub source_link: SourceLink,
}

impl Switches {
    /// The defaults, and for each switch each of its other values alone: what a test loops over to hold under all of them.
    pub fn each() -> Vec<(String, Self)> {
        let mut all = vec![("defaults".to_owned(), Self::default())];
        macro_rules! vary {
            ($($field:ident: $kind:ident),+ $(,)?) => {$(
                for value in $kind::ALL.iter().copied().filter(|value| *value != $kind::default()) {
                    all.push((format!("{} {value:?}", stringify!($field)), Self { $field: value, ..Self::default() }));
                }
            )+};
        }
        vary!(
            queued_steps: QueuedSteps, queued_updated: QueuedUpdated, existing_steps: ExistingSteps,
            existing_body: ExistingBody, connection_updated: ConnectionUpdated, refresh_invalid: RefreshInvalid,
            readable: Readable, throttle_body: ThrottleBody, expired_token: ExpiredToken,
            method_spelling: MethodSpelling, detail_spelling: DetailSpelling, date_spelling: DateSpelling,
            source_link: SourceLink,
        );
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_is_varied_alone() {
        let all = Switches::each();
        assert_eq!(all.len(), 1 + 2 + 1 + 2 + 1 + 3 + 2 + 2 + 4 + 1 + 1 + 1 + 1 + 1);
        for (name, switches) in &all[1..] {
            assert_ne!(switches, &Switches::default(), "{name}");
        }
    }
}
