//! When a connection fails, and what ends it.

use super::*;

#[test]
fn it_fails_from_its_newest_failed_job_until_a_success_after_that() {
    let mut ledger = ledger();
    let first = job("a", NOON, NOON + MINUTE, failed("invalid-credentials"));
    let second = job("b", NOON, NOON + 2 * MINUTE, failed("locked-account"));
    ledger.jobs(&[first.clone(), second.clone()], NOON + HOUR);
    let failing = ledger.failing("c1", NOON + HOUR);
    assert_eq!((failing.jobs, failing.since, failing.last), (2, NOON + MINUTE, NOON + 2 * MINUTE));
    assert_eq!(failing.scenario, Scenario::AccountLocked, "that of the newest");
    // Jobs are ordered by finish time: a success that was created later and finished earlier heals nothing.
    let early = job("c", NOON + 90_000, NOON + 90_000, StepStatus::Success);
    ledger.jobs(&[first.clone(), second.clone(), early], NOON + HOUR);
    assert_eq!(ledger.failing("c1", NOON + HOUR).jobs, 1);
    ledger.jobs(&[first, second, job("d", NOON, NOON + 3 * MINUTE, StepStatus::Success)], NOON + HOUR);
    assert_eq!(ledger.stands("c1", NOON + HOUR), Standing::Healthy);
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Recovered, NOON + 3 * MINUTE)]);
    ledger.tick(NOON + 3 * MINUTE + DAY);
    assert!(ledger.ended().is_empty(), "for 24 hours");
}

#[test]
fn failed_jobs_during_a_major_outage_do_not_count_as_tries() {
    let mut ledger = ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("service-unavailable"))], NOON + 2);
    let bank = ledger.bank();
    ledger.observe_outages(&[(bank, Method::Web)], NOON + MINUTE);
    ledger.jobs(&[job("b", NOON + HOUR, NOON + HOUR + 1, failed("service-unavailable"))], NOON + HOUR + 2);
    ledger.observe_outages(&[], NOON + 2 * HOUR);
    assert_eq!(ledger.failing("c1", NOON + 2 * HOUR).jobs, 1);
    assert_eq!(ledger.finished(Outcome::Failed), 2, "the counters count all");
}

#[test]
fn an_invalid_connection_without_any_job_fails_and_is_not_news_at_first_sight() {
    let mut ledger = ledger();
    let mut listed = vec![connection("c1", Status::Active), connection("c2", Status::Invalid)];
    ledger.observe_connections(&id("u"), &listed, NOON, NOON);
    let failing = ledger.failing("c2", NOON);
    assert_eq!((failing.jobs, failing.since), (0, NOON - DAY), "as old as its last use");
    // What was active when last listed has failed since.
    listed[0].status = Status::Invalid;
    ledger.observe_connections(&id("u"), &listed, NOON + HOUR, NOON + HOUR);
    assert_eq!(ledger.failing("c1", NOON + HOUR).since, NOON + HOUR);
    ledger.observe_connections(&id("u"), &listed, NOON + 2 * HOUR, NOON + 2 * HOUR);
    assert_eq!(ledger.failing("c1", NOON + 2 * HOUR).since, NOON + HOUR, "since the first time");
    // A status alone is no success; a job is.
    listed[0].status = Status::Active;
    ledger.observe_connections(&id("u"), &listed, NOON + 3 * HOUR, NOON + 3 * HOUR);
    assert_eq!(ledger.failing("c1", NOON + 3 * HOUR).jobs, 0);
    ledger.jobs(&[job("j", NOON + 3 * HOUR, NOON + 3 * HOUR + 1, StepStatus::Success)], NOON + 4 * HOUR);
    assert_eq!(ledger.stands("c1", NOON + 4 * HOUR), Standing::Healthy);
    let at = NOON + 3 * HOUR + 1;
    assert_eq!(
        ledger.ended(),
        [("c1".to_owned(), End::Recovered, at), ("c2".to_owned(), End::Superseded, at)],
        "c2 is at the same bank"
    );
}

#[test]
fn an_invalidated_event_makes_it_fail_and_an_older_one_does_not() {
    let mut ledger = ledger();
    ledger.jobs(&[job("j", NOON, NOON + 10, StepStatus::Success)], NOON + 20);
    ledger.observe_event(&id("u"), Some(&id("c1")), EventSeen::Invalidated, NOON + 5, NOON + 20);
    assert_eq!(ledger.stands("c1", NOON + 20), Standing::Healthy);
    ledger.observe_event(&id("u"), Some(&id("c1")), EventSeen::Invalidated, NOON + 30, NOON + 40);
    assert_eq!(ledger.failing("c1", NOON + 40).since, NOON + 30);
    ledger.observe_event(&id("u"), Some(&id("c1")), EventSeen::Activated, NOON + 50, NOON + 60);
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Recovered, NOON + 50)]);
}

#[test]
fn only_when_the_failed_job_has_left_the_list_is_the_status_evidence_of_recovery() {
    let mut ledger = ledger();
    ledger.jobs(&[job("j", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    let mut used = connection("c1", Status::Active);
    used.last_used = NOON + HOUR;
    ledger.observe_connections(&id("u"), &[used], NOON + 2 * HOUR, NOON + 2 * HOUR);
    assert_eq!(ledger.failing("c1", NOON + 2 * HOUR).jobs, 1);
    ledger.tick(NOON + 7 * DAY);
    assert_eq!(ledger.stands("c1", NOON + 7 * DAY), Standing::Ended(End::Recovered, NOON + HOUR));
}

#[test]
fn another_connection_of_the_user_at_that_institution_supersedes_it() {
    let mut ledger = ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    let listed = [connection("c1", Status::Invalid), connection("c2", Status::Active)];
    ledger.observe_connections(&id("u"), &listed, NOON + HOUR, NOON + HOUR);
    let mut other = job("b", NOON, NOON + 2 * HOUR, StepStatus::Success);
    other.connection = Some(id("c2"));
    ledger.jobs(&[other], NOON + 3 * HOUR);
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Superseded, NOON + 2 * HOUR)]);
    assert_eq!(ledger.stands("c2", NOON + 3 * HOUR), Standing::Healthy);
}

#[test]
fn a_connection_or_user_that_is_gone_ends_as_deleted() {
    let mut ledger = ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    ledger.observe_connections(&id("u"), &[], NOON + HOUR, NOON + HOUR);
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Deleted, NOON + HOUR)]);
    let failing = Gauge::Failing(ledger.bank(), Method::Web, Scenario::InvalidCredentials);
    assert_eq!(ledger.gauges.value(failing), Some(0));

    let mut ledger = super::ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    ledger.user_gone(&id("u"), NOON + HOUR);
    assert_eq!(ledger.ended(), [("c1".to_owned(), End::Deleted, NOON + HOUR)]);
    assert!(ledger.gauges.iter().all(|(_, value)| *value == 0), "{:?}", ledger.gauges);
    ledger.tick(NOON + HOUR + DAY);
    assert!(ledger.ended().is_empty());
}

#[test]
fn a_user_that_its_source_no_longer_names_leaves_without_a_word() {
    let mut ledger = ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    ledger.discover(1, &id("u"), NOON);
    assert_eq!(ledger.set_source(0, &Default::default(), NOON + HOUR), (0, 0), "another source names it");
    assert_eq!(ledger.set_source(1, &Default::default(), NOON + HOUR), (0, 1));
    assert!(ledger.is_empty() && ledger.ended().is_empty());
}

#[test]
fn an_ended_consent_ends_open_banking_connections_and_no_others() {
    let mut ledger = ledger();
    let mut consent = connection("c2", Status::Active);
    (consent.method, consent.institution) = (Method::OpenBanking, "AU00002".to_owned());
    ledger.observe_connections(&id("u"), &[connection("c1", Status::Active), consent], NOON, NOON);
    let mut other = job("b", NOON, NOON + 2, failed("authorization-failed"));
    other.connection = Some(id("c2"));
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("service-unavailable")), other], NOON + 3);
    assert_eq!(ledger.failing("c2", NOON + 3).scenario, Scenario::ReauthorisationRequired);
    ledger.observe_event(&id("u"), None, EventSeen::ConsentEnded, NOON + HOUR, NOON + HOUR);
    assert_eq!(ledger.ended(), [("c2".to_owned(), End::ConsentEnded, NOON + HOUR)]);
    assert_eq!(ledger.failing("c1", NOON + HOUR).jobs, 1);
}

#[test]
fn thirty_days_without_a_job_are_abandoned_and_what_was_in_a_row_is_not_forgotten_before() {
    let mut ledger = ledger();
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("invalid-credentials"))], NOON + 2);
    ledger.jobs(&[], NOON + 9 * DAY);
    assert!(ledger.user(0).unwrap().jobs.is_empty());
    let failing = ledger.failing("c1", NOON + 9 * DAY);
    assert_eq!((failing.jobs, failing.since, failing.scenario), (1, NOON + 1, Scenario::InvalidCredentials));
    ledger.tick(NOON + 30 * DAY + MINUTE);
    let ended = ledger.ended();
    assert_eq!((ended.len(), ended[0].1), (1, End::Abandoned));
}

#[test]
fn stale_exists_only_where_a_period_is_expected_and_after_two_of_them() {
    let gauge = |ledger: &Ledger| ledger.gauges.value(Gauge::Stale(ledger.bank())).unwrap();
    let mut ledger = ledger();
    ledger.tick(NOON + 10 * DAY);
    assert_eq!(gauge(&ledger), 0);
    ledger = Ledger::new(Settings { expected_refresh: Some(DAY), ..Settings::default() }, NOON - DAY);
    ledger.discover(0, &id("u"), NOON - DAY);
    ledger.observe_connections(&id("u"), &[connection("c1", Status::Active)], NOON, NOON);
    ledger.jobs(&[job("j", NOON, NOON, StepStatus::Success)], NOON + 1);
    ledger.tick(NOON + 2 * DAY - 1);
    assert_eq!(gauge(&ledger), 0);
    ledger.tick(NOON + 2 * DAY);
    assert_eq!(gauge(&ledger), 1);
}

#[test]
fn distinct_users_whose_first_failure_is_new_are_counted_for_half_an_hour() {
    let mut ledger = ledger();
    ledger.observe_connections(
        &id("u"),
        &[connection("c1", Status::Active), connection("c2", Status::Active)],
        NOON,
        NOON,
    );
    let mut other = job("b", NOON, NOON + 2, failed("service-unavailable"));
    other.connection = Some(id("c2"));
    ledger.jobs(&[job("a", NOON, NOON + 1, failed("service-unavailable")), other], NOON + 3);
    let gauge = Gauge::NewlyFailing(ledger.bank(), Method::Web, Scenario::ServiceUnavailable);
    assert_eq!(ledger.gauges.value(gauge), Some(1), "one user with two connections");
    ledger.tick(NOON + 2 + 30 * MINUTE);
    assert_eq!(ledger.gauges.value(gauge), Some(0));
}
