//! What is counted, and how often.

use super::*;

#[test]
fn a_step_is_counted_once_for_each_terminal_outcome_however_often_it_is_read() {
    let mut ledger = ledger();
    let running = job("j", NOON, NOON + 5000, StepStatus::Open);
    let fails = job("j", NOON, NOON + 9000, failed("service-unavailable"));
    let heals = job("j", NOON, NOON + 2 * HOUR, StepStatus::Success);
    for seen in [&running, &running, &fails, &fails, &running, &heals, &fails, &heals] {
        ledger.jobs(std::slice::from_ref(seen), NOON + 3 * HOUR);
    }
    assert_eq!((ledger.finished(Outcome::Failed), ledger.finished(Outcome::Success)), (1, 1));
    assert_eq!((ledger.steps_done("verify-credentials"), ledger.steps_done("retrieve-accounts")), (1, 2));
    let failures =
        ledger.steps_failed("retrieve-accounts", "service-unavailable", Scenario::ServiceUnavailable);
    assert_eq!(failures, 1);
}

#[test]
fn a_job_is_finished_when_one_step_failed_though_others_stay_pending() {
    let mut ledger = ledger();
    let mut seen = job("j", NOON, NOON + 9000, failed("invalid-credentials"));
    seen.steps.push(StepSeen { title: "retrieve-transactions".to_owned(), status: StepStatus::Open });
    ledger.jobs(&[seen], NOON + MINUTE);
    assert_eq!(ledger.finished(Outcome::Failed), 1);
    assert_eq!(ledger.failing("c1", NOON + MINUTE).scenario, Scenario::InvalidCredentials);
}

#[test]
fn jobs_that_finished_before_the_ledger_was_born_or_an_hour_before_discovery_are_learned_not_counted() {
    let mut ledger = ledger();
    let old = job("old", NOON - 2 * DAY, NOON - 2 * DAY + 1, failed("invalid-credentials"));
    ledger.jobs(std::slice::from_ref(&old), NOON);
    assert_eq!(ledger.finished(Outcome::Failed), 0);
    assert_eq!(ledger.failing("c1", NOON).jobs, 1, "it is learned");
    let user = ledger.user(0).unwrap();
    assert!(is_baseline(user, ledger.born(), &ledger.failing("c1", NOON)));

    // A user hinted right after a first failure still counts; what is older than an hour does not.
    ledger.discover(0, &id("v"), NOON);
    ledger.observe_connections(&id("v"), &[connection("c1", Status::Invalid)], NOON, NOON);
    let early = job("a", NOON - 2 * HOUR, NOON - HOUR - 1, failed("invalid-credentials"));
    let late = job("b", NOON - HOUR, NOON - MINUTE, failed("invalid-credentials"));
    ledger.observe_jobs(&id("v"), &[early, late], true, NOON, NOON);
    assert_eq!(ledger.finished(Outcome::Failed), 1);
}

#[test]
fn a_learned_failure_that_heals_counts_as_a_success_and_only_with_the_steps_that_are_new() {
    let mut ledger = ledger();
    let old = NOON - DAY - HOUR;
    ledger.jobs(&[job("j", old, old + 1, failed("service-unavailable"))], NOON);
    ledger.jobs(&[job("j", old, NOON + 1, StepStatus::Success)], NOON + MINUTE);
    assert_eq!((ledger.finished(Outcome::Failed), ledger.finished(Outcome::Success)), (0, 1));
    assert_eq!((ledger.steps_done("verify-credentials"), ledger.steps_done("retrieve-accounts")), (0, 1));
}

#[test]
fn finished_jobs_leave_behind_a_watermark_and_are_not_counted_again() {
    let mut ledger = ledger();
    let done = job("j", NOON, NOON + 9000, StepStatus::Success);
    for now in [NOON + MINUTE, NOON + 2 * HOUR, NOON + DAY, NOON + 6 * DAY] {
        ledger.jobs(std::slice::from_ref(&done), now);
    }
    assert_eq!(ledger.finished(Outcome::Success), 1);
    assert!(ledger.user(0).unwrap().jobs.is_empty());
}

#[test]
fn a_late_hint_does_not_make_a_counted_job_count_again() {
    let mut ledger = ledger();
    let fails = job("f", NOON, NOON + 5000, failed("invalid-credentials"));
    let done = job("j", NOON, NOON + 9000, StepStatus::Success);
    ledger.jobs(&[fails.clone(), done.clone()], NOON + 2 * HOUR);
    assert!(ledger.user(0).unwrap().jobs.iter().all(|job| job.id != id("j")), "it is counted and dropped");
    let old = job("old", NOON - 2 * DAY, NOON - 2 * DAY + 1, failed("invalid-credentials"));
    for (nth, kind) in [HintKind::Created, HintKind::Updated, HintKind::Refreshed].into_iter().enumerate() {
        let now = NOON + 3 * HOUR + Ms::try_from(nth).unwrap() * HOUR;
        for name in ["f", "j", "old"] {
            ledger.observe_hint(&id("u"), Some(&id("c1")), Some(&id(name)), kind, now);
        }
        ledger.jobs(&[fails.clone(), done.clone(), old.clone()], now + MINUTE);
        assert_eq!((ledger.finished(Outcome::Failed), ledger.finished(Outcome::Success)), (1, 1), "{kind:?}");
        assert_eq!((ledger.steps_done("verify-credentials"), ledger.steps_done("retrieve-accounts")), (2, 2));
    }
}

#[test]
fn statement_and_report_jobs_are_counted_as_their_own_kind_and_change_no_connection() {
    let mut ledger = ledger();
    for (kind, method) in [(Kind::Statement, Method::Statement), (Kind::Report, Method::Report)] {
        let mut seen = job(kind.as_str(), NOON, NOON + 9000, failed("empty-file"));
        seen.kind = kind;
        ledger.jobs(&[seen], NOON + MINUTE);
        assert_eq!(ledger.counters.value(Counter::Finished(names::UNKNOWN, method, Outcome::Failed)), 1);
    }
    assert_eq!(ledger.stands("c1", NOON + MINUTE), Standing::Healthy);
    assert_eq!(ledger.finished(Outcome::Failed), 0);
}

#[test]
fn a_job_of_a_connection_that_is_not_listed_yet_waits_for_the_list() {
    let mut ledger = ledger();
    let mut seen = job("j", NOON, NOON + 9000, failed("invalid-credentials"));
    seen.connection = Some(id("c2"));
    ledger.jobs(std::slice::from_ref(&seen), NOON + MINUTE);
    assert!(ledger.wants_connections(&id("u")));
    assert_eq!(ledger.finished(Outcome::Failed), 0);
    let listed = [connection("c1", Status::Active), connection("c2", Status::Invalid)];
    ledger.observe_connections(&id("u"), &listed, NOON + 2 * MINUTE, NOON + 2 * MINUTE);
    assert!(!ledger.wants_connections(&id("u")));
    assert_eq!(ledger.finished(Outcome::Failed), 1);
    assert_eq!(ledger.failing("c2", NOON + 2 * MINUTE).jobs, 1);
}

#[test]
fn a_job_that_runs_over_an_hour_is_stuck_and_otherwise_ignored() {
    let mut ledger = ledger();
    ledger.jobs(&[job("j", NOON, NOON + 5000, StepStatus::Open)], NOON + MINUTE);
    let bank = ledger.bank();
    let gauges = |ledger: &Ledger| {
        (ledger.gauges.value(Gauge::Running(bank)), ledger.gauges.value(Gauge::Stuck(bank)))
    };
    assert_eq!(gauges(&ledger), (Some(1), Some(0)));
    ledger.tick(NOON + HOUR);
    assert_eq!(gauges(&ledger), (Some(0), Some(1)));
    assert_eq!(ledger.stands("c1", NOON + HOUR), Standing::Healthy);
}

#[test]
fn codes_that_nobody_knows_are_counted_and_bounded() {
    let mut ledger = ledger();
    for n in 0..40 {
        let at = NOON + n * MINUTE;
        ledger.jobs(&[job(&format!("j{n}"), at, at + 1, failed(&format!("new-code-{n}")))], at + 2);
    }
    assert_eq!(ledger.counters.value(Counter::CodesUnknown), 40);
    assert_eq!(ledger.steps_failed("retrieve-accounts", "new-code-31", Scenario::Unknown), 1);
    assert_eq!(ledger.steps_failed("retrieve-accounts", "other", Scenario::Unknown), 8);
}
