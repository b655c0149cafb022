//! One look at a user: what is asked of Basiq, and the answers in the ledger's terms.

use basiq::{Client, Error, Priority};
use daemon::{Clock, traces::TARGET};
use tracing::{Instrument, field::Empty};

use super::Need;
use crate::ledger::{ConnectionSeen, Id, JobSeen, Kind, Method, Ms, Status, StepSeen, StepStatus};

/// What to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// About whom.
    pub user: Id,
    /// Whether to list connections too.
    pub connections: bool,
    /// Jobs to read by their id, since no list shows them.
    pub jobs: Vec<Id>,
    /// Why.
    pub need: Need,
}

/// What was seen. Each answer with the time at which it was asked for, by the clock.
#[derive(Debug, Default)]
pub struct Look {
    /// The complete list of connections.
    pub connections: Option<(Ms, Vec<ConnectionSeen>)>,
    /// The complete list of jobs of the last 7 days.
    pub jobs: Option<(Ms, Vec<JobSeen>)>,
    /// Jobs read by their id.
    pub by_id: Vec<ByJob>,
    /// Basiq no longer knows the user.
    pub gone: bool,
    /// The first error; what was seen before it counts.
    pub error: Option<Error>,
}

/// A job read by its id.
#[derive(Debug)]
pub struct ByJob {
    /// Its id.
    pub id: Id,
    /// When it was asked for.
    pub asked: Ms,
    /// What was seen; `None` if it cannot be read any more.
    pub job: Option<JobSeen>,
}

/// Looks at one user.
pub async fn look(client: &Client, clock: &Clock, plan: &Plan) -> Look {
    let span = tracing::info_span!(target: TARGET, "poll user", user_id = %plan.user, need = ?plan.need, outcome = Empty);
    let seen = look_at(client, clock, plan).instrument(span.clone()).await;
    let outcome = match &seen {
        Look { gone: true, .. } => "gone",
        Look { error: Some(_), .. } => "failed",
        _ => "success",
    };
    span.record("outcome", outcome);
    seen
}

async fn look_at(client: &Client, clock: &Clock, plan: &Plan) -> Look {
    let mut seen = Look::default();
    if let Err(error) = ask(client, clock, plan, &mut seen).await {
        // A list that is not found may be a fault on the way; that the user is gone is said by its own resource.
        if error.is_not_found()
            && let Err(confirmed) = client.user(&plan.user.to_string(), priority(plan.need)).await
            && confirmed.is_not_found()
        {
            seen.gone = true;
        } else {
            seen.error = Some(error);
        }
    }
    seen
}

async fn ask(client: &Client, clock: &Clock, plan: &Plan, seen: &mut Look) -> Result<(), Error> {
    let (user, priority) = (plan.user.to_string(), priority(plan.need));
    if plan.connections {
        let asked = clock.now().as_millisecond();
        let listed = client.connections(&user, None, priority).await?;
        seen.connections = Some((asked, connections_seen(&listed)));
    }
    let asked = clock.now().as_millisecond();
    let jobs = client.jobs(&user, None, priority).await?;
    let jobs: Vec<JobSeen> = jobs.iter().filter_map(|job| job_seen(job, asked)).collect();
    let unlisted: Vec<_> = plan.jobs.iter().filter(|id| !jobs.iter().any(|job| job.id == **id)).collect();
    seen.jobs = Some((asked, jobs));
    for id in unlisted {
        let asked = clock.now().as_millisecond();
        let job = match client.job(&id.to_string(), priority).await {
            // A hint may name another user's job.
            Ok(job) if is_of_another(&job, &user) => None,
            Ok(job) => job_seen(&job, asked),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        seen.by_id.push(ByJob { id: id.clone(), asked, job });
    }
    Ok(())
}

fn is_of_another(job: &basiq::Job, user: &str) -> bool {
    basiq::job::source(job).is_some_and(|source| source.user_id != user)
}

fn priority(need: Need) -> Priority {
    match need {
        Need::Hint | Need::Running => Priority::Running,
        Need::New | Need::Failing => Priority::Routine,
        // Alike, so that their shares are what the schedule says.
        Need::Suspect | Need::Quiet => Priority::Background,
    }
}

/// A list of connections in the ledger's terms; entries whose id cannot be one are left out.
pub fn connections_seen(listed: &[basiq::Connection]) -> Vec<ConnectionSeen> {
    let ms = |at: Option<daemon::Timestamp>| at.map_or(0, |at| at.as_millisecond());
    let seen = listed.iter().filter_map(|connection| {
        Some(ConnectionSeen {
            id: Id::parse(&connection.id)?,
            institution: connection.institution.clone().unwrap_or_else(|| "unknown".to_owned()),
            method: match connection.method {
                basiq::Method::Web => Method::Web,
                basiq::Method::OpenBanking => Method::OpenBanking,
                basiq::Method::Csv | basiq::Method::Pdf | basiq::Method::Other => Method::Other,
            },
            status: match connection.status {
                basiq::ConnectionStatus::Active => Status::Active,
                basiq::ConnectionStatus::Pending => Status::Pending,
                basiq::ConnectionStatus::Invalid => Status::Invalid,
                basiq::ConnectionStatus::PreInit => Status::PreInit,
                basiq::ConnectionStatus::Unknown => Status::Unknown,
            },
            created: ms(connection.created),
            last_used: ms(connection.last_used),
            expiry: ms(connection.expires),
        })
    });
    seen.collect()
}

/// A job in the ledger's terms; `None` if its id cannot be one. A job without times is dated `asked`.
pub fn job_seen(job: &basiq::Job, asked: Ms) -> Option<JobSeen> {
    let created = job.created.or(job.updated).map_or(asked, |at| at.as_millisecond());
    Some(JobSeen {
        id: Id::parse(&job.id)?,
        kind: match basiq::job::kind(job) {
            basiq::job::Kind::Connection => Kind::Connection,
            basiq::job::Kind::Statement => Kind::Statement,
            basiq::job::Kind::Report => Kind::Report,
            basiq::job::Kind::Other => Kind::Other,
        },
        connection: basiq::job::connection_id(job).and_then(Id::parse),
        institution: job.institution.clone(),
        created,
        updated: job.updated.map_or(created, |at| at.as_millisecond()),
        steps: job
            .steps
            .iter()
            .map(|step| StepSeen {
                title: step.title.clone(),
                status: match step.status {
                    basiq::StepStatus::Success => StepStatus::Success,
                    basiq::StepStatus::Failed => {
                        StepStatus::Failed { code: step.code().to_owned(), detail: step.detail().to_owned() }
                    }
                    basiq::StepStatus::Pending | basiq::StepStatus::InProgress | basiq::StepStatus::Other => {
                        StepStatus::Open
                    }
                },
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_source_names_another_user_is_not_this_users() {
        let none = basiq::Job::default();
        let place = basiq::Place { user_id: "u".into(), connection_id: None };
        let of_u = basiq::Job { source: Some(place), ..basiq::Job::default() };
        assert!(is_of_another(&of_u, "v"));
        assert!(!is_of_another(&of_u, "u") && !is_of_another(&none, "u"));
    }
}
