//! Basiq's retry queue: what is evidence of it, and how jobs leave it.

use super::*;

const CODE: &str = "service-unavailable";

fn fails(updated: Ms) -> JobSeen {
    job("j", NOON, updated, failed(CODE))
}

fn scenario(ledger: &Ledger, now: Ms) -> Scenario {
    ledger.failing("c1", now).scenario
}

/// A ledger in which job `j` failed at noon and is queued by a hint.
fn queued() -> Ledger {
    let mut ledger = ledger();
    ledger.jobs(&[fails(NOON + 1)], NOON + 2);
    ledger.observe_hint(&id("u"), Some(&id("c1")), Some(&id("j")), HintKind::Updated, NOON + 3);
    assert_eq!((scenario(&ledger, NOON + 3), ledger.queued()), (Scenario::RetryQueued, 1));
    ledger
}

#[test]
fn a_refresh_answered_200_with_its_id_is_evidence_before_or_after_it_failed() {
    let mut ledger = ledger();
    ledger.observe_hint(&id("u"), Some(&id("c1")), Some(&id("j")), HintKind::Refreshed, NOON);
    assert_eq!(ledger.queued(), 0);
    ledger.jobs(&[job("j", NOON, NOON, StepStatus::Open)], NOON + 1);
    assert_eq!(ledger.queued(), 0, "it runs");
    ledger.jobs(&[fails(NOON + 5)], NOON + 6);
    assert_eq!((scenario(&ledger, NOON + 6), ledger.queued()), (Scenario::RetryQueued, 1));
    assert_eq!(ledger.gauges.oldest_queued(ledger.bank()), Some(NOON));
}

#[test]
fn a_step_that_left_failed_is_evidence_and_an_older_answer_is_not() {
    let mut ledger = ledger();
    ledger.jobs(&[fails(NOON + 10)], NOON + 20);
    ledger.observe_jobs(&id("u"), &[job("j", NOON, NOON + 5, StepStatus::Open)], true, NOON + 6, NOON + 30);
    assert_eq!((scenario(&ledger, NOON + 30), ledger.queued()), (Scenario::ServiceUnavailable, 0));
    ledger.jobs(&[job("j", NOON, NOON + 2 * HOUR, StepStatus::Open)], NOON + 2 * HOUR);
    assert_eq!((scenario(&ledger, NOON + 2 * HOUR), ledger.queued()), (Scenario::RetryQueued, 1));
}

#[test]
fn updated_moved_by_an_hour_is_evidence_and_less_is_not() {
    let mut ledger = ledger();
    ledger.jobs(&[fails(NOON)], NOON + 1);
    ledger.jobs(&[fails(NOON + HOUR - 1)], NOON + HOUR);
    assert_eq!(ledger.queued(), 0);
    ledger.jobs(&[fails(NOON + HOUR)], NOON + HOUR + 1);
    assert_eq!(ledger.queued(), 1);
    assert_eq!(ledger.failing("c1", NOON + 2 * HOUR).jobs, 1, "tries of the same job count once");
    assert_eq!(ledger.failing("c1", NOON + 2 * HOUR).last, NOON, "and are no new failure");
}

#[test]
fn only_the_service_unavailable_class_queues() {
    let mut ledger = ledger();
    ledger.jobs(&[job("j", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    ledger.observe_hint(&id("u"), Some(&id("c1")), Some(&id("j")), HintKind::Updated, NOON + 3);
    assert_eq!((ledger.queued(), scenario(&ledger, NOON + 3)), (0, Scenario::InvalidCredentials));
}

#[test]
fn a_queued_job_heals_in_place_with_the_same_id() {
    let mut ledger = queued();
    ledger.jobs(&[job("j", NOON, NOON + 4 * HOUR, StepStatus::Success)], NOON + 4 * HOUR);
    assert_eq!((ledger.queued(), ledger.left(Left::Success)), (0, 1));
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Recovered, NOON + 4 * HOUR)]);
}

#[test]
fn it_expires_only_when_an_answer_after_seven_days_shows_that_the_last_try_failed() {
    let mut ledger = queued();
    ledger.tick(NOON + 7 * DAY + 1);
    assert_eq!((ledger.queued(), ledger.left(Left::Expired)), (1, 0));
    ledger.observe_jobs(&id("u"), &[fails(NOON + 1)], false, NOON + 7 * DAY + 2, NOON + 7 * DAY + 3);
    assert_eq!((ledger.queued(), ledger.left(Left::Expired)), (0, 1));
    assert_eq!(scenario(&ledger, NOON + 7 * DAY + 3), Scenario::RetryExpired);

    // The id may be unreadable by then.
    let mut ledger = queued();
    ledger.observe_job_gone(&id("u"), &id("j"), NOON + 7 * DAY + 2);
    assert_eq!(scenario(&ledger, NOON + 7 * DAY + 3), Scenario::RetryExpired);
    ledger.jobs(&[], NOON + 9 * DAY);
    assert_eq!(scenario(&ledger, NOON + 9 * DAY), Scenario::RetryExpired, "also when the job is dropped");
    assert_eq!(ledger.left(Left::Expired), 1);
}

#[test]
fn it_leaves_as_unknown_when_its_id_cannot_be_read_any_more() {
    let mut ledger = queued();
    ledger.observe_job_gone(&id("u"), &id("j"), NOON + DAY);
    ledger.jobs(&[], NOON + DAY);
    assert_eq!((ledger.queued(), ledger.left(Left::Unknown)), (0, 1));
}

#[test]
fn it_leaves_as_superseded_or_deleted_with_its_connection() {
    let mut ledger = queued();
    ledger.jobs(&[fails(NOON + 1), job("k", NOON, NOON + HOUR, StepStatus::Success)], NOON + HOUR);
    assert_eq!((ledger.queued(), ledger.left(Left::Superseded)), (0, 1));
    let mut ledger = queued();
    ledger.observe_connections(&id("u"), &[], NOON + HOUR, NOON + HOUR);
    assert_eq!((ledger.queued(), ledger.left(Left::Deleted)), (0, 1));
    let mut ledger = queued();
    ledger.user_gone(&id("u"), NOON + HOUR);
    assert_eq!((ledger.queued(), ledger.left(Left::Deleted)), (0, 1));
}

#[test]
fn what_is_a_week_old_when_the_evidence_comes_was_never_queued() {
    let mut ledger = ledger();
    ledger.jobs(&[fails(NOON + 1)], NOON + 2);
    ledger.observe_hint(&id("u"), None, Some(&id("j")), HintKind::Updated, NOON + 7 * DAY);
    assert_eq!((ledger.queued(), ledger.left(Left::Expired)), (0, 0));
}
