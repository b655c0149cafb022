//! What the alerter asks of Basiq itself: to refresh a connection, and the facts of a ticket.

mod case;
mod hints;
mod mask;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use basiq::{Client, Connection, ConnectionStatus, ErrorKind, Job, Method, Priority, Scenario, job};
use daemon::{Clock, Timestamp};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeliveryError, SettingsError};
use crate::{
    evidence::HintTarget,
    refresh::{Refreshed, Refresher},
};
use hints::Hints;

/// Open banking allows 20 refreshes of a connection in a day (Basiq's guide to refreshing), counting
/// those of Basiq and of the partner.
const OPEN_BANKING_A_DAY: usize = 20;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How far Basiq's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Section `refresh`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshSettings {
    /// Refreshes of one institution's connections in 24 hours; bulk refreshes load banks' sites and can
    /// lock users out.
    pub per_institution_per_day: usize,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self { per_institution_per_day: 1000 }
    }
}

/// Refreshes connections and reads cases with one client of Basiq.
pub struct AtBasiq {
    client: Client,
    clock: Clock,
    hints: Hints,
    settings: RefreshSettings,
    /// When refreshes were started, by institution, over the last 24 hours.
    started: Mutex<HashMap<String, VecDeque<Timestamp>>>,
    /// What Basiq's support asks for, of the last error about a connection.
    correlation: Mutex<HashMap<String, String>>,
}

impl AtBasiq {
    /// `exporters` are those that shall learn of refreshes.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        client: Client,
        clock: Clock,
        exporters: Vec<HintTarget>,
        settings: RefreshSettings,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            client,
            clock,
            hints: Hints::new(exporters)?,
            settings,
            started: Mutex::default(),
            correlation: Mutex::default(),
        })
    }

    /// The connection as the list shows it, and its connection jobs.
    async fn look(
        &self,
        user: &str,
        connection: &str,
    ) -> Result<Option<(Connection, Vec<Job>)>, basiq::Error> {
        let found = match self.client.connections(user, Some(connection), Priority::Effect).await {
            Ok(found) => found.into_iter().next(),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let Some(found) = found else { return Ok(None) };
        let mut jobs = self.client.jobs(user, Some(connection), Priority::Effect).await?;
        jobs.retain(|of| job::kind(of) == job::Kind::Connection);
        Ok(Some((found, jobs)))
    }

    fn note(&self, connection: &str, error: &basiq::Error) {
        let Some(id) = &error.correlation_id else { return };
        let mut correlation = self.correlation.lock().unwrap_or_else(PoisonError::into_inner);
        if correlation.len() >= 10_000 {
            correlation.clear();
        }
        correlation.insert(connection.to_owned(), id.clone());
    }

    fn full(&self, institution: &str) -> bool {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = started.get_mut(institution) else { return false };
        let from = self.clock.now() - DAY;
        while times.front().is_some_and(|at| *at < from) {
            times.pop_front();
        }
        times.len() >= self.settings.per_institution_per_day
    }

    fn count(&self, institution: &str) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.entry(institution.to_owned()).or_default().push_back(self.clock.now());
    }

    async fn ask(
        &self,
        user: &str,
        connection: &str,
        found: &Connection,
    ) -> Result<Refreshed, DeliveryError> {
        match self.client.refresh(user, connection, Priority::Effect).await {
            Ok(basiq::Refreshed::Started(started)) => {
                self.count(institution(found));
                self.hints.started(user, connection, &started.id).await;
                Ok(Refreshed::Started { job: started.id })
            }
            Ok(basiq::Refreshed::Existing(existing)) => {
                self.hints.existing(user, connection, &existing.id).await;
                Ok(Refreshed::Existing { job: existing.id })
            }
            Err(error) => {
                self.note(connection, &error);
                match error.kind {
                    ErrorKind::NotFound { .. } | ErrorKind::Refused { .. } | ErrorKind::InvalidId(_) => {
                        Ok(Refreshed::Refused { why: error.to_string() })
                    }
                    // That an invalid connection cannot be refreshed may be said by 403, too (behaviour, section 9):
                    // then it is not the key that lacks a right, and the refreshes of others go on.
                    ErrorKind::Forbidden { .. } if found.status == ConnectionStatus::Invalid => {
                        Ok(Refreshed::Refused { why: error.to_string() })
                    }
                    _ => Err(delivery_error(&error)),
                }
            }
        }
    }
}

#[async_trait]
impl Refresher for AtBasiq {
    async fn refresh(
        &self,
        user: &str,
        connection: &str,
        after_unknown: Option<Timestamp>,
    ) -> Result<Refreshed, DeliveryError> {
        let looked = self.look(user, connection).await.map_err(|error| {
            self.note(connection, &error);
            delivery_error(&error)
        })?;
        let Some((found, jobs)) = looked else {
            return Ok(Refreshed::Refused {
                why: "Basiq does not know this connection under that user".to_owned(),
            });
        };
        if let Some(since) = after_unknown {
            let begun = jobs.iter().filter(|job| job.created.is_some_and(|at| at >= since - SKEW));
            if let Some(begun) = begun.max_by_key(|job| job.created) {
                self.hints.started(user, connection, &begun.id).await;
                return Ok(Refreshed::Started { job: begun.id.clone() });
            }
        }
        if let Some(answer) = forbids(&found, &jobs, self.clock.now()) {
            return Ok(answer);
        }
        if self.full(institution(&found)) {
            let why = format!(
                "{} refreshes at this institution in a day are the limit",
                self.settings.per_institution_per_day
            );
            return Ok(Refreshed::Withheld { why });
        }
        self.ask(user, connection, &found).await
    }
}

/// The institution whose refreshes are counted.
fn institution(connection: &Connection) -> &str {
    connection.institution.as_deref().unwrap_or("unknown")
}

/// What of the connection and its jobs speaks against a refresh (behaviour, section 6).
fn forbids(connection: &Connection, jobs: &[Job], now: Timestamp) -> Option<Refreshed> {
    let withheld = |why: &str| Some(Refreshed::Withheld { why: why.to_owned() });
    let refused = |why: &str| Some(Refreshed::Refused { why: why.to_owned() });
    if jobs
        .iter()
        .any(|of| job::outcome(of) == job::Outcome::Running && of.created.is_none_or(|at| at > now - DAY))
    {
        return withheld("a job of this connection is running");
    }
    let recent = jobs.iter().filter(|of| of.created.is_some_and(|at| at > now - DAY)).count();
    if connection.method == Method::OpenBanking && recent >= OPEN_BANKING_A_DAY {
        return withheld("open banking allows 20 refreshes of a connection in a day");
    }
    let newest = jobs
        .iter()
        .filter_map(|of| match job::outcome(of) {
            job::Outcome::Failed(step) => Some((job::finished_at(of), Some(step))),
            job::Outcome::Succeeded => Some((job::finished_at(of), None)),
            job::Outcome::Running => None,
        })
        .max_by_key(|(at, _)| *at);
    let scenario = newest
        .and_then(|(_, step)| step)
        .map(|step| basiq::scenario::classify(&step.title, step.code(), step.detail(), connection.method));
    match scenario {
        Some(
            Scenario::InvalidCredentials
            | Scenario::AccountLocked
            | Scenario::MfaRequired
            | Scenario::ReauthorisationRequired
            | Scenario::ConsentEnded
            | Scenario::Unsupported,
        ) => return refused("its newest job failed with something that a refresh does not mend"),
        Some(
            Scenario::UserActionRequired
            | Scenario::RetryQueued
            | Scenario::ServiceUnavailable
            | Scenario::Unknown,
        )
        | None => {}
    }
    let mendable = scenario
        .is_some_and(|scenario| scenario.is_unavailability() || scenario == Scenario::UserActionRequired);
    match connection.status {
        ConnectionStatus::Active => None,
        ConnectionStatus::Invalid | ConnectionStatus::Pending if mendable => None,
        ConnectionStatus::PreInit => refused("the connection was never begun"),
        ConnectionStatus::Invalid => refused("the connection is invalid until its user reconnects it"),
        ConnectionStatus::Pending => withheld("the connection is being made"),
        ConnectionStatus::Unknown => withheld("Basiq gives the connection a status that is not known"),
    }
}

/// What an error of Basiq means for a delivery. Its text holds no address and no secret.
pub(crate) fn delivery_error(error: &basiq::Error) -> DeliveryError {
    let why = error.to_string();
    match &error.kind {
        ErrorKind::KeyRefused
        | ErrorKind::KeyUnreadable(_)
        | ErrorKind::Unauthorized { .. }
        | ErrorKind::Forbidden { .. } => DeliveryError::Channel { why },
        ErrorKind::NotFound { .. } | ErrorKind::Refused { .. } | ErrorKind::InvalidId(_) => {
            DeliveryError::Permanent { why }
        }
        ErrorKind::OutcomeUnknown(_) => DeliveryError::Unknown { why },
        _ => DeliveryError::Retry { after: error.retry_after().or(Some(Duration::from_secs(30))), why },
    }
}

#[cfg(test)]
mod tests {
    use basiq::{Step, StepResult, StepStatus};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn failed(code: &str, minutes_ago: i64) -> Job {
        let result = StepResult { code: Some(code.to_owned()), ..StepResult::default() };
        let at = Some(now() - SignedDuration::from_mins(minutes_ago));
        let title = "verify-credentials".to_owned();
        Job {
            id: format!("{code}-{minutes_ago}"),
            created: at,
            updated: at,
            steps: vec![Step { title, status: StepStatus::Failed, result: Some(result) }],
            ..Job::default()
        }
    }

    fn connection(status: ConnectionStatus, method: Method) -> Connection {
        Connection { id: "c".to_owned(), status, method, ..Connection::default() }
    }

    #[test]
    fn what_may_be_refreshed_is_decided_by_status_and_newest_failure() {
        let word = |status, method, jobs: &[Job]| match forbids(&connection(status, method), jobs, now()) {
            None => "go",
            Some(Refreshed::Withheld { .. }) => "withheld",
            Some(Refreshed::Refused { .. }) => "refused",
            Some(other) => panic!("{other:?}"),
        };
        use ConnectionStatus::{Active, Invalid, Pending, PreInit, Unknown};
        let service = failed("service-unavailable", 20);
        let credentials = failed("invalid-credentials", 10);
        for (status, jobs, expected) in [
            (Active, vec![], "go"),
            (Active, vec![service.clone()], "go"),
            (Invalid, vec![service.clone()], "go"),
            (Pending, vec![service.clone()], "go"),
            (Invalid, vec![failed("user-action-required", 5)], "go"),
            (Invalid, vec![], "refused"),
            (Pending, vec![], "withheld"),
            (PreInit, vec![service.clone()], "refused"),
            (Unknown, vec![service.clone()], "withheld"),
            (Active, vec![service.clone(), credentials.clone()], "refused"),
            (Active, vec![credentials, failed("service-unavailable", 1)], "go"),
            (Active, vec![failed("institution-disabled", 1)], "refused"),
            (Active, vec![failed("multifactor-required", 1)], "refused"),
            (Active, vec![failed("something-new", 1)], "go"),
            (Invalid, vec![failed("something-new", 1)], "refused"),
        ] {
            assert_eq!(word(status, Method::Web, &jobs), expected, "{status:?} {jobs:?}");
        }
        let mut running = service.clone();
        running.steps[0].status = StepStatus::InProgress;
        assert_eq!(word(Active, Method::Web, &[running.clone()]), "withheld");
        running.created = Some(now() - DAY - DAY);
        assert_eq!(word(Active, Method::Web, &[running]), "go", "a job stuck for days holds up nothing");
        let many: Vec<Job> = (0..20).map(|n| failed("service-unavailable", n * 60 + 1)).collect();
        assert_eq!(word(Active, Method::OpenBanking, &many), "withheld");
        assert_eq!(word(Active, Method::OpenBanking, &many[1..]), "go");
        assert_eq!(word(Active, Method::Web, &many), "go");
    }
}
