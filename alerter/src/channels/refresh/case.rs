//! The facts that a ticket must state, as Basiq gives them.

use std::sync::PoisonError;

use async_trait::async_trait;
use basiq::{Job, job};
use daemon::Timestamp;

use super::{AtBasiq, delivery_error, mask::masked};
use crate::{
    channels::DeliveryError,
    refresh::{Case, CaseFacts, FailedJob},
};

const JOBS: usize = 10;

#[async_trait]
impl CaseFacts for AtBasiq {
    async fn case(&self, user: &str, connection: &str, since: Timestamp) -> Result<Case, DeliveryError> {
        let looked = self.look(user, connection).await.map_err(|error| {
            self.note(connection, &error);
            delivery_error(&error)
        })?;
        let Some((found, jobs)) = looked else {
            let why = "Basiq does not know this connection under that user".to_owned();
            return Err(DeliveryError::Permanent { why });
        };
        let mut jobs: Vec<FailedJob> = jobs.iter().filter_map(failed).collect();
        jobs.retain(|job| job.finished.is_none_or(|at| at >= since));
        jobs.sort_by_key(|job| std::cmp::Reverse(job.finished));
        jobs.truncate(JOBS);
        let correlation = self.correlation.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Case {
            jobs,
            correlation_id: correlation.get(connection).cloned(),
            connection_status: Some(found.status.as_str().to_owned()),
        })
    }
}

fn failed(of: &Job) -> Option<FailedJob> {
    let job::Outcome::Failed(step) = job::outcome(of) else { return None };
    let title = step.result.as_ref().and_then(|result| result.title.as_deref()).unwrap_or_default();
    Some(FailedJob {
        job: of.id.clone(),
        step: masked(&step.title),
        code: masked(step.code()),
        title: masked(title),
        detail: masked(step.detail()),
        finished: job::finished_at(of),
    })
}
