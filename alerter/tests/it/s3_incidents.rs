//! Behaviour, section 3: incidents. Each test quotes its sentence.

use basiq_alerter::{
    incidents::{Cause, Status},
    plan::Command,
    store::{EffectState, Phase},
};

use crate::world::{World, hours, minutes};

/// "An incident is (environment, connection, …). All alerts on one connection, from any source, rule,
/// replica or label set, belong to its one open incident."
#[test]
fn all_alerts_on_one_connection_belong_to_one_incident() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(8));
    assert_eq!(world.incidents.len(), 1);
    assert_eq!(world.words("opened"), 1);
}

/// "Fingerprints and start times are recorded, never part of a key."
#[test]
fn the_reference_does_not_depend_on_the_alert() {
    let mut one = World::new();
    one.fails("a", "invalid-credentials");
    let since = one.now;
    one.pass(minutes(1));
    let mut other = World::new();
    other.now += minutes(3);
    other.fails_since("a", "account-locked", since);
    other.pass(minutes(1));
    assert_eq!(one.incident("a").reference, other.incident("a").reference);
}

/// "Labels of an alert are not trusted: before any effect Basiq (or the exporter's ledger) must know that
/// connection under that user … A mismatch is dead, and alerted."
#[test]
fn an_alert_that_names_another_user_is_dead_and_alerted() {
    let mut world = World::new();
    world.claim("a", "u-other");
    world.fails("a", "invalid-credentials");
    world.pass(hours(2));
    assert!(world.incidents.is_empty());
    assert_eq!(world.count(Phase::Opening), 0);
    assert_eq!(world.notices("BasiqAlerterLabelMismatch"), 1);
}

/// "Baseline … over 24 h ago: the incident opens as baseline: shown and counted, no effect of any kind".
#[test]
fn what_has_failed_for_a_day_at_the_first_sight_has_no_effect() {
    let mut world = World::new();
    world.fails_since("a", "service-unavailable", world.now - hours(25));
    world.pass(hours(30));
    assert!(world.incident("a").baseline.is_some());
    assert!(world.done.is_empty(), "{:?}", world.done);
}

/// "… the ledger was born": what is older than an hour before this store's birth is baseline too.
#[test]
fn what_failed_before_the_store_was_born_has_no_effect() {
    let mut world = World::born_now();
    world.fails_since("old", "invalid-credentials", world.now - minutes(61));
    world.fails_since("new", "invalid-credentials", world.now - minutes(59));
    world.pass(hours(2));
    assert!(world.incident("old").baseline.is_some());
    assert!(world.told("old").is_empty());
    assert_eq!(world.told("new"), [("credentials".to_owned(), 0)]);
}

/// "… until released (by institution, scenario, number)".
#[test]
fn the_baseline_can_be_released_by_number() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.fails_since(name, "invalid-credentials", world.now - hours(30));
    }
    world.pass(minutes(5));
    assert_eq!(world.count(Phase::Opening), 0);
    let all = |number| Command::ReleaseBaseline { institution: None, scenario: None, number };
    world.obey(all(Some(1)));
    world.pass(minutes(20));
    assert_eq!(world.count(Phase::Opening), 1);
    world.obey(Command::ReleaseBaseline {
        institution: Some("AU99999".into()),
        scenario: None,
        number: None,
    });
    world.pass(minutes(20));
    assert_eq!(world.count(Phase::Opening), 1, "nothing of that institution");
    world.obey(all(None));
    world.pass(minutes(20));
    assert_eq!(world.count(Phase::Opening), 3);
}

/// "… or until a new job fails after a success."
#[test]
fn a_baseline_connection_that_recovered_and_fails_anew_is_an_incident_like_any() {
    let mut world = World::new();
    world.fails_since("a", "invalid-credentials", world.now - hours(30));
    world.pass(minutes(5));
    world.recovers("a");
    world.pass(hours(2));
    world.fails("a", "invalid-credentials");
    world.pass(minutes(30));
    assert_eq!(world.count(Phase::Opening), 1);
}

/// "A reopening within 24 h of the end continues the incident (same thread, same ticket)."
#[test]
fn failing_again_within_a_day_continues_the_incident() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(2));
    world.fails("a", "invalid-credentials");
    world.pass(hours(25));
    let incident = world.incident("a");
    assert_eq!((world.incidents.len(), incident.reopened), (1, 1));
    // Told, told of the end, and told again once the cooldown is over.
    let templates: Vec<String> = world.told("a").into_iter().map(|(template, _)| template).collect();
    assert_eq!(templates, ["credentials", "ready", "credentials"]);
}

/// The other side of the same sentence.
#[test]
fn failing_again_after_a_day_is_another_incident() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(26));
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.incidents.len(), 2);
    assert_eq!(world.incident("a").reopened, 0);
}

/// "a bank is named as having an outage only if the connector of that institution and method is
/// `major-outage` … Otherwise the mail says that we could not update the data from X."
#[test]
fn the_bank_is_named_only_while_its_connector_is_in_major_outage() {
    for (status, template, cause) in [
        ("major-outage", "outage", Cause::Bank),
        ("partial-outage", "delayed", Cause::Connection),
        ("under-maintenance", "delayed", Cause::Connection),
        ("operational", "delayed", Cause::Connection),
    ] {
        let mut world = World::new();
        world.bank(status);
        world.fails("a", "service-unavailable");
        world.pass(hours(3));
        let told: Vec<String> = world.told("a").into_iter().map(|(template, _)| template).collect();
        assert_eq!(told, [template], "{status}");
        assert_eq!(world.incident("a").cause, cause, "{status}");
    }
}

/// "Time under major outage counts for neither retries nor escalation; both restart when it lifts, spread
/// over an hour."
#[test]
fn time_under_major_outage_counts_for_nothing() {
    let mut world = World::new();
    world.bank("major-outage");
    for name in ["a", "b", "c", "d"] {
        world.fails(name, "service-unavailable");
    }
    world.pass(hours(20));
    assert_eq!((world.count(Phase::Refresh), world.count(Phase::Ticket)), (0, 0));
    world.bank("operational");
    world.pass(minutes(9));
    assert_eq!(world.count(Phase::Refresh), 0, "ten minutes are waited anew");
    world.pass(minutes(75));
    let at: std::collections::BTreeSet<i64> =
        world.of(Phase::Refresh).iter().map(|done| world.minute(done.at)).collect();
    assert!(world.count(Phase::Refresh) >= 4 && at.len() > 2, "spread: {at:?}");
    assert!(at.first().is_some_and(|first| *first >= 20 * 60 + 10), "{at:?}");
}

/// The incident ends on positive evidence only: "A series that disappears is not a recovery."
#[test]
fn a_series_that_disappears_ends_nothing() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.vanishes("a");
    world.pass(hours(24));
    assert_eq!(world.incident("a").status, Status::Open);
    assert_eq!(world.count(Phase::Closing), 0);
    world.fails("a", "invalid-credentials");
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Closing), 1);
}

/// "When the exporter merely goes away or restarts, nobody is told anything" (issue 2).
#[test]
fn an_exporter_that_goes_away_tells_nobody_anything() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    let told = world.done.len();
    world.exporter = false;
    world.pass(hours(10));
    assert_eq!(world.done.len(), told);
    assert!(world.incident("a").is_open());
    world.exporter = true;
    world.pass(hours(1));
    assert_eq!(world.done.len(), told);
}

/// The alerter's own restart changes nothing either.
#[test]
fn a_restart_at_every_minute_changes_nothing() {
    let story = |restarts: bool| {
        let mut world = World::new();
        world.fails("a", "service-unavailable");
        world.fails("b", "invalid-credentials");
        for minute in 0..300 {
            if restarts {
                world.restart();
            }
            if minute == 200 {
                world.recovers("b");
            }
            world.pass(minutes(1));
        }
        world.done.iter().map(|done| (done.effect.key.clone(), done.at)).collect::<Vec<_>>()
    };
    assert_eq!(story(true), story(false));
    assert!(!story(true).is_empty());
}

/// What is decided is kept with its reason.
#[test]
fn every_state_of_an_effect_has_its_reason() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    world.recovers("a");
    world.pass(hours(2));
    assert!(world.effects.values().all(|effect| !effect.reason.is_empty()));
    assert!(world.effects.values().all(|effect| effect.state == EffectState::Delivered));
}
