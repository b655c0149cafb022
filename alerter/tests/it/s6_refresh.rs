//! Behaviour, section 6: trying again. Each test quotes its sentence.

use basiq_alerter::{plan::Command, refresh::Refreshed, store::Phase};

use crate::world::{Answer, Refresh, World, hours, minutes};

fn refreshes(world: &World) -> Vec<i64> {
    world.of(Phase::Refresh).iter().map(|done| world.minute(done.at)).collect()
}

/// "10 minutes after the newest failure, twice per incident".
#[test]
fn ten_minutes_after_the_newest_failure_and_twice() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(48));
    // Failed at 0 and 11 (the first refresh's job), and 22.
    assert_eq!(refreshes(&world), [10, 21]);
}

/// "… of the newest failure": one that comes meanwhile puts it off.
#[test]
fn a_newer_failure_puts_the_refresh_off() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(6));
    world.fails_again("a");
    world.pass(minutes(9));
    assert!(refreshes(&world).is_empty());
    world.pass(minutes(2));
    assert_eq!(refreshes(&world), [16]);
}

/// "Never for credentials, MFA, consent, `pre-init`, `unsupported`."
#[test]
fn never_for_what_a_refresh_cannot_mend() {
    for scenario in [
        "invalid-credentials",
        "account-locked",
        "mfa-required",
        "user-action-required",
        "reauthorisation-required",
        "retry-queued",
        "retry-expired",
        "unsupported",
        "unknown",
    ] {
        let mut world = World::new();
        world.fails("a", scenario);
        world.pass(hours(10));
        assert!(refreshes(&world).is_empty(), "{scenario}");
    }
}

/// "For `user-action-required`, one refresh follows a *done* signal".
#[test]
fn one_refresh_follows_the_word_that_the_pop_up_is_dealt_with() {
    let mut world = World::new();
    world.fails("a", "user-action-required");
    world.pass(hours(1));
    world.obey(Command::Done { connection: "c-a".into() });
    world.pass(hours(5));
    assert_eq!(refreshes(&world), [60]);
}

/// Section 4, "the same class still fails": a retry that was planned for a bank that did not answer is not
/// made once the bank wants the user, though that class, too, can be refreshed.
#[test]
fn a_retry_is_not_made_for_another_class_than_it_was_planned_for() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(9));
    world.answer = Answer::Nothing;
    world.pass(minutes(2));
    world.turns("a", "user-action-required");
    world.answer = Answer::Takes;
    world.pass(hours(1));
    assert!(refreshes(&world).is_empty());
}

/// "A 202 spends an attempt; a 200 or a withheld refresh does not, and is recorded."
#[test]
fn a_200_spends_no_attempt_and_is_recorded() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Existing { job: "job-1".into() });
    world.fails("a", "service-unavailable");
    world.pass(minutes(35));
    assert!(refreshes(&world).len() >= 2, "asked again every ten minutes");
    assert!(world.incident("a").attempts.is_empty());
    assert!(world.incident("a").withheld.as_ref().is_some_and(|why| why.contains("job-1")));
    world.refresh = Refresh::Says(Refreshed::Withheld { why: "twenty a day".into() });
    world.pass(minutes(35));
    assert!(world.incident("a").attempts.is_empty());
    assert_eq!(world.incident("a").withheld.as_deref(), Some("twenty a day"));
}

/// "A 4xx refusal ends retrying."
#[test]
fn a_refusal_ends_retrying() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Refused { why: "400".into() });
    world.fails("a", "service-unavailable");
    world.pass(hours(5));
    assert_eq!(refreshes(&world), [10]);
}

/// The same ends with the failure that it was about: what fails anew after a success is tried again.
#[test]
fn a_refusal_does_not_outlive_its_failure() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Refused { why: "400".into() });
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(1));
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    assert_eq!((refreshes(&world), world.incident("a").reopened), (vec![10, 130], 1));
}

/// "Never while a job runs": the second waits for the end of the first's job.
#[test]
fn never_while_the_job_of_the_last_refresh_runs() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Started { job: "job-1".into() });
    world.fails("a", "service-unavailable");
    world.pass(hours(3));
    assert_eq!(refreshes(&world), [10], "its job has not ended yet");
    world.fails_again("a");
    world.pass(minutes(11));
    assert_eq!(refreshes(&world), [10, 190]);
}

/// Section 7, "`retry_max` attempts each ended in a failed job": an attempt's job is told from earlier ones by
/// Basiq's own times, so a clock of Basiq's that is behind ours hides none.
#[test]
fn a_job_that_failed_before_its_refresh_by_the_clocks_still_counts() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Started { job: "job-1".into() });
    world.fails("a", "service-unavailable");
    world.pass(minutes(10));
    assert_eq!(refreshes(&world), [10]);
    let behind = world.now - minutes(5);
    world.fails_again_at("a", behind);
    world.pass(minutes(1));
    assert_eq!(world.incident("a").attempts[0].failed, Some(behind));
}

/// "… never into a major outage".
#[test]
fn never_into_a_major_outage() {
    let mut world = World::new();
    world.bank("major-outage");
    world.fails("a", "service-unavailable");
    world.pass(hours(10));
    assert!(refreshes(&world).is_empty());
}

/// "With `smart_cache: true`, after an outage Basiq's own next refresh is awaited instead."
#[test]
fn with_the_smart_cache_basiqs_own_next_refresh_is_awaited_after_an_outage() {
    let mut world = World::with(|settings| settings.limits.smart_cache = true);
    world.bank("major-outage");
    world.fails("a", "service-unavailable");
    world.pass(hours(3));
    world.bank("operational");
    world.pass(hours(5));
    assert_eq!(world.count(Phase::Refresh), 0);
    world.fails_again("a");
    world.pass(hours(1));
    assert!(world.count(Phase::Refresh) > 0, "Basiq tried, and it still fails");
}

/// "… one refresh follows a *done* signal": also when nobody could be asked in time; a word that was said of
/// something else, or before it recovered, is none.
#[test]
fn the_users_word_is_kept_until_basiq_has_answered_it_and_no_longer() {
    let done = || Command::Done { connection: "c-a".into() };
    let mut world = World::new();
    world.fails("a", "user-action-required");
    world.pass(hours(1));
    world.answer = Answer::Nothing;
    world.obey(done());
    world.pass(minutes(20));
    world.restart();
    world.answer = Answer::Takes;
    world.refresh = Refresh::Says(Refreshed::Withheld { why: "a job runs".into() });
    world.pass(minutes(5));
    let asked = refreshes(&world).len();
    assert!(asked > 0, "the first expired");
    world.refresh = Refresh::Fails;
    world.pass(hours(20));
    assert_eq!((refreshes(&world).len(), world.incident("a").attempts.len()), (asked + 1, 1));

    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.refresh = Refresh::Says(Refreshed::Refused { why: "not now".into() });
    world.pass(minutes(5));
    world.obey(done());
    world.turns("a", "user-action-required");
    world.pass(hours(2));
    assert!(refreshes(&world).is_empty(), "said before the pop-up was known of");
    world.answer = Answer::Nothing;
    world.obey(done());
    world.recovers("a");
    world.pass(minutes(5));
    world.answer = Answer::Takes;
    world.fails("a", "user-action-required");
    world.pass(hours(2));
    assert!(refreshes(&world).is_empty(), "said of what is over");
}
