//! What happens in a sandbox: users, their banks, what fails from when to when, and what people do about it.
//! The same types are read from YAML files (`--scenario.file`), built by tests, and sent to the admin interface.
//! The crate's README explains the format with examples.

mod offset;
mod outage;
pub(crate) mod personas;
mod words;

use std::path::Path;

pub use offset::{At, BadTime, Span, parse_offset};
pub use outage::{ConnectorStatus, Outage};
pub use personas::Persona;
use serde::{Deserialize, Serialize};

use crate::{faults::Fault, population::Population, switches::Switches};

/// A whole scenario.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What every draw and every id derives from: the same seed gives the same world.
    pub seed: u64,
    /// Users told one by one.
    pub users: Vec<User>,
    /// Banks (connectors) that are not `operational` for some time.
    pub connectors: Vec<Outage>,
    /// Users generated from the seed.
    pub population: Population,
    /// What is unknown about Basiq.
    pub switches: Switches,
    /// Faults of the API itself, from the first moment on.
    pub faults: Vec<Fault>,
}

/// One user and what happens to their connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// How the scenario and the truth call this user; unique. Basiq's test users are names with a meaning: see [`Persona`].
    pub name: String,
    /// The id that Basiq gives; derived from the seed if absent.
    pub id: Option<String>,
    /// Their address; empty is possible in Basiq, too.
    pub email: String,
    /// Their number; empty is possible in Basiq, too.
    pub mobile: String,
    /// First and last name, with a blank between them; the scenario's name if absent.
    pub full_name: Option<String>,
    /// When the user was made; 60 days before the start if absent.
    pub created: Option<At>,
    /// When the user is deleted, with all connections.
    pub deleted: Option<At>,
    /// The user's bank connections.
    pub connections: Vec<Connection>,
}

/// One connection of a user to a bank.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// The bank's id, `AU00000` (Hooli) if absent.
    pub institution: Option<String>,
    /// How Basiq reaches the bank.
    pub method: Method,
    /// When it was made, by a job that either succeeds or is met by a failure; 30 days before the start if absent.
    pub created: Option<At>,
    /// When Basiq updates the connection by itself; never if absent.
    pub updates: Option<Updates>,
    /// When consent expires (open banking); 365 days after its making if absent.
    pub consent_expires: Option<At>,
    /// How long this user takes to answer an MFA challenge; 10 s if absent.
    pub mfa_answer: Option<MfaAnswer>,
    /// What goes wrong, and when. The first that applies decides.
    pub failures: Vec<Failure>,
    /// What is done, and when.
    pub timeline: Vec<Deed>,
}

/// How Basiq reaches a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By the bank's website, with the user's credentials.
    #[default]
    Web,
    /// By open banking, with the user's consent.
    #[serde(alias = "open-banking")]
    Openbanking,
}

/// Updates that Basiq makes by itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Updates {
    /// The time between two.
    pub every: Span,
    /// The first of them.
    pub first: At,
}

/// How an MFA challenge ends; written as a duration, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MfaAnswer {
    /// Answered after so long.
    After(Span),
    /// Never answered: the job fails after five minutes, unless `POST /jobs/{id}/mfa` comes first.
    Never,
}

/// Something that makes jobs of a connection fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Jobs that start from here on…
    #[serde(default = "always")]
    pub from: At,
    /// …and before this end of it.
    #[serde(default)]
    pub until: Until,
    /// Which jobs; all if empty.
    #[serde(default)]
    pub on: Vec<JobKind>,
    /// Takes step, code, title and detail from one of Basiq's test users; what is given beside it wins.
    #[serde(default, rename = "as")]
    pub persona: Option<Persona>,
    /// The step that fails; `verify-credentials` if absent.
    #[serde(default)]
    pub step: Option<String>,
    /// Basiq's code; `service-unavailable` if absent.
    #[serde(default)]
    pub code: Option<String>,
    /// Basiq's title; one that fits the code if absent.
    #[serde(default)]
    pub title: Option<String>,
    /// Basiq's text; one that fits the code if absent.
    #[serde(default)]
    pub detail: Option<String>,
    /// Whether such a job enters Basiq's retry queue.
    #[serde(default)]
    pub queue: Queue,
}

fn always() -> At {
    At::Date(jiff::Timestamp::MIN)
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            from: always(),
            until: Until::Never,
            on: Vec::new(),
            persona: None,
            step: None,
            code: None,
            title: None,
            detail: None,
            queue: Queue::Updates,
        }
    }
}

/// When a failure ends; written as a time, or as `never`, `credentials` or `action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// It stays.
    #[default]
    Never,
    /// At a time.
    At(At),
    /// When the user gives credentials again ([`Act::GiveCredentials`]).
    Credentials,
    /// When the user has dealt with the bank's pop-up ([`Act::ActAtBank`]).
    Action,
}

/// Which failed jobs enter Basiq's retry queue (every 2 hours until success, or expiry after 7 days).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// Updates ([`JobKind::Update`]) that failed with `service-unavailable`, as Basiq's guide says.
    #[default]
    Updates,
    /// Every job that meets this failure.
    Always,
    /// None.
    Never,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Makes the connection.
    Create,
    /// `POST …/refresh`.
    Refresh,
    /// Basiq's own, or the partner's, update of a connection.
    Update,
    /// The user gave credentials again.
    Credentials,
    /// A statement file was uploaded: no job of the connection.
    Statement,
    /// A report is made: no job of the connection.
    Report,
}

/// Something done at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// When.
    pub at: At,
    /// What.
    #[serde(rename = "do")]
    pub act: Act,
}

/// What can be done to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Basiq, or the partner, updates it: a job of kind [`JobKind::Update`], unless one runs or is queued, or it is invalid.
    Update,
    /// Someone refreshes it, as `POST …/refresh` does.
    Refresh,
    /// The user gives credentials again: failures until [`Until::Credentials`] end, and a job verifies them.
    GiveCredentials,
    /// The user deals with the bank's pop-up: failures until [`Until::Action`] end.
    ActAtBank,
    /// The connection is deleted.
    Delete,
    /// The user revokes the consent: `consent.revoked`, and the connection is invalid.
    RevokeConsent,
    /// The consent runs out: `consent.expired`, and the connection is invalid.
    ExpireConsent,
    /// A report is made for the user.
    Report,
    /// A statement file is uploaded, and refused.
    Statement,
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadScenario(pub(crate) String);

impl Scenario {
    /// The stories of the quickstart: see `quickstart.yml` beside this file.
    ///
    /// # Errors
    /// Never for the file that is shipped; a test reads it.
    pub fn quickstart() -> Result<Self, BadScenario> {
        Self::from_yaml(include_str!("quickstart.yml"))
    }

    /// Reads a scenario from YAML text.
    ///
    /// # Errors
    /// It is not YAML, has a key or value that is not known, or contradicts itself; the text says where.
    pub fn from_yaml(text: &str) -> Result<Self, BadScenario> {
        let options = serde_saphyr::options! { with_snippet: false };
        let scenario: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| BadScenario(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a scenario file of at most 16 MiB.
    ///
    /// # Errors
    /// It cannot be read, or [`Scenario::from_yaml`] refuses it.
    pub fn from_file(path: &Path) -> Result<Self, BadScenario> {
        let bad = |what: String| BadScenario(format!("{}: {what}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
        if size > 16 * 1024 * 1024 {
            return Err(bad("larger than 16 MiB: use `population` for many users".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        Self::from_yaml(&text).map_err(|error| bad(error.to_string()))
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// Two users of one name or id, a share outside 0 to 1, an update period under a minute, an institution that is none.
    pub fn check(&self) -> Result<(), BadScenario> {
        let mut names = std::collections::HashSet::new();
        let mut ids = std::collections::HashSet::new();
        for user in &self.users {
            if user.name.is_empty() || !names.insert(&user.name) {
                return Err(BadScenario(format!("users: the name {:?} is empty or given twice", user.name)));
            }
            if let Some(id) = &user.id
                && (id.is_empty() || id.contains(['/', '?', '#']) || !ids.insert(id))
            {
                return Err(BadScenario(format!(
                    "users: the id {id:?} is empty, given twice or not fit for a path"
                )));
            }
            user.check()?;
        }
        for outage in &self.connectors {
            outage.check()?;
        }
        self.population.check()?;
        self.faults.iter().try_for_each(Fault::check)
    }
}

impl User {
    /// Refuses what no user can be.
    pub(crate) fn check(&self) -> Result<(), BadScenario> {
        if self.connections.len() > 250 {
            return Err(BadScenario(format!("user {}: more than 250 connections", self.name)));
        }
        for connection in &self.connections {
            if let Some(institution) = &connection.institution {
                check_institution(institution)?;
            }
            if connection.updates.is_some_and(|updates| updates.every < Span::seconds(60)) {
                return Err(BadScenario(format!("user {}: updates more often than each minute", self.name)));
            }
        }
        Ok(())
    }
}

pub(crate) fn check_share(what: &str, share: f64) -> Result<(), BadScenario> {
    if (0.0..=1.0).contains(&share) {
        Ok(())
    } else {
        Err(BadScenario(format!("{what}: {share} is not a share between 0 and 1")))
    }
}

fn check_institution(id: &str) -> Result<(), BadScenario> {
    let bytes = id.as_bytes();
    let fits = bytes.len() == 7
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..].iter().all(u8::is_ascii_digit);
    if fits {
        Ok(())
    } else {
        Err(BadScenario(format!(
            "{id:?} is not an institution: write two letters and five digits, such as AU00000"
        )))
    }
}
