//! The steps of a job, and how one try runs through them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::job::{FailedStep, Job, Try};
use crate::{
    connectors::CATALOGUE,
    draw::Draw,
    scenario::{JobKind, Method, MfaAnswer, Queue},
};

/// How long an MFA challenge waits for its answer.
const MFA_PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// The titles of a job's steps, and which of them is an MFA challenge.
pub(super) fn steps(
    kind: JobKind,
    method: Method,
    institution: &str,
    draw: Draw,
) -> (Vec<String>, Option<usize>) {
    if kind == JobKind::Report {
        return (vec!["create-report".to_owned()], None);
    }
    let asks = match CATALOGUE.get(institution).map(|institution| institution.authorization) {
        Some("user-mfa") => true,
        Some("user-mfa-intermittent") => draw.with(0x3fa).chance(0.5),
        _ => false,
    };
    let mut titles = vec!["verify-credentials".to_owned()];
    let mfa = asks && method == Method::Web && kind != JobKind::Statement;
    if mfa {
        titles.push("mfa-challenge".to_owned());
    }
    titles.extend(["retrieve-accounts".to_owned(), "retrieve-transactions".to_owned()]);
    (titles, mfa.then_some(1))
}

/// Decides a try: how long each step takes, and which fails.
pub(super) fn plan_try(
    job: &mut Job,
    at: Timestamp,
    failure: Option<(Arc<FailedStep>, Queue)>,
    mfa: MfaAnswer,
    draw: Draw,
) -> Try {
    let unanswered = (job.mfa.is_some() && mfa == MfaAnswer::Never)
        .then(|| (Arc::new(FailedStep::of_code("mfa-challenge", "multifactor-required")), Queue::Never));
    let position =
        |titles: &[String], failed: &FailedStep| titles.iter().position(|title| *title == failed.step);
    // A failure of a step that this job does not have adds the step: Basiq's steps are an open set.
    if let Some((failed, _)) = &failure
        && position(&job.titles, failed).is_none()
    {
        job.titles.push(failed.step.clone());
    }
    let first = |a: Option<(Arc<FailedStep>, Queue)>, b: Option<(Arc<FailedStep>, Queue)>| match (a, b) {
        (Some(a), Some(b)) => {
            Some(if position(&job.titles, &a.0) <= position(&job.titles, &b.0) { a } else { b })
        }
        (a, b) => a.or(b),
    };
    let failed = first(failure, unanswered);
    let last =
        failed.as_ref().and_then(|(failed, _)| position(&job.titles, failed)).unwrap_or(job.titles.len() - 1);
    let mut ends = Vec::with_capacity(last + 1);
    let mut end = at;
    for step in 0..=last {
        end += match (Some(step) == job.mfa, mfa) {
            (true, MfaAnswer::Never) => MFA_PATIENCE,
            (true, MfaAnswer::After(span)) => span.0.min(MFA_PATIENCE),
            _ => duration(draw, job.tries.len(), step),
        };
        ends.push(end);
    }
    Try { started: at, ends, failed }
}

/// The user answers now: the challenge ends, and what follows it moves up.
pub(super) fn answer_mfa(job: &mut Job, at: Timestamp, draw: Draw) -> bool {
    let (Some(mfa), false) = (job.mfa, job.settled) else { return false };
    let (tries, steps) = (job.tries.len(), job.titles.len());
    let Some(current) = job.tries.last_mut() else { return false };
    let asked =
        if mfa == 0 { current.started } else { current.ends.get(mfa - 1).copied().unwrap_or(Timestamp::MAX) };
    if !(asked <= at && current.ends.get(mfa).is_some_and(|end| at < *end)) {
        return false;
    }
    if current.failed.as_ref().is_some_and(|(failed, _)| failed.step == "mfa-challenge") {
        current.failed = None;
        current.ends.truncate(mfa);
        let mut end = at;
        current.ends.push(end);
        for step in mfa + 1..steps {
            end += duration(draw, tries, step);
            current.ends.push(end);
        }
    } else {
        let saved = current.ends[mfa].duration_since(at);
        for end in &mut current.ends[mfa..] {
            *end -= saved;
        }
    }
    true
}

/// Steps take two to nine seconds.
fn duration(draw: Draw, tries: usize, step: usize) -> SignedDuration {
    SignedDuration::from_millis(draw.with(tries as u64).with(step as u64).between(2_000, 9_000))
}
