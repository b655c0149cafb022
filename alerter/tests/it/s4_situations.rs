//! Behaviour, section 4, as people would meet it: what happens to them when the evidence, the clock or the contacts fail.

use basiq_alerter::{
    channels::UserMessage,
    evidence::{Facts, State},
    outbox::{Verdict, verify},
    plan::{Limits, Person},
    store::{Effect, EffectState, Payload, Phase},
};

use crate::world::{Answer, World, hours, minutes};

fn message(effect: &Effect) -> &UserMessage {
    let Payload::Message(message) = &effect.payload else { panic!("no message: {effect:?}") };
    message
}

/// "Baseline … if the newest failed job finished more than an hour before its user was first discovered": nor does "a
/// new users file … mail anybody", however young the failures are.
#[test]
fn users_who_are_new_to_the_exporter_are_baseline_until_they_fail_after_a_success() {
    let mut world = World::new();
    for (name, scenario) in [("a", "invalid-credentials"), ("b", "service-unavailable")] {
        world.fails_since(name, scenario, world.now - hours(3));
        world.marks(name, true, false);
    }
    world.pass(hours(10));
    assert!(world.incident("a").baseline.is_some() && world.incident("b").baseline.is_some());
    assert!(world.effects.is_empty(), "{:?}", world.effects);
    // Another job of it fails: nothing is new about that.
    world.fails_again("a");
    world.marks("a", false, false);
    world.pass(hours(2));
    assert!(world.effects.is_empty(), "{:?}", world.effects);
    world.recovers("a");
    world.pass(hours(2));
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["credentials"]);
}

/// While nobody says who users are nothing is lost; afterwards only what still holds is sent, once.
#[test]
fn three_days_without_a_contact_source_lose_and_double_nothing() {
    let mut world = World::new();
    world.fails("told", "invalid-credentials");
    world.pass(hours(1));
    world.contacts = false;
    for name in ["a", "b"] {
        world.fails(name, "invalid-credentials");
    }
    world.pass(hours(36));
    world.recovers("b");
    world.recovers("told");
    world.pass(hours(18));
    world.restart();
    world.says_all_again();
    world.pass(hours(18));
    assert_eq!(world.done.len(), 1, "{:#?}", world.done);
    world.contacts = true;
    world.pass(hours(2));
    assert_eq!(world.templates("a"), ["credentials"]);
    assert!(world.templates("b").is_empty());
    assert_eq!(world.templates("told"), ["credentials", "ready"]);
}

/// "Labels of an alert are not trusted", also not those of a minute ago: a message is for whom the evidence names.
#[test]
fn a_message_about_a_connection_that_is_another_users_is_not_sent() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.pass(minutes(16));
    world.of_user("a", "u-other");
    world.answer = Answer::Takes;
    world.deliver_only();
    let opening = world.planned(Phase::Opening)[0];
    assert_eq!(opening.state, EffectState::Obsolete);
    assert!(opening.reason.contains("another user"), "{}", opening.reason);
    world.pass(hours(5));
    assert_eq!(world.count(Phase::Opening), 0);
}

/// "Evidence before each attempt …, at most 5 minutes old": not older, and not of a time to come, which is what a look
/// before the clock was set back says.
#[test]
fn evidence_is_at_most_five_minutes_old_whatever_the_clock_does() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.pass(minutes(16));
    let opening = world.planned(Phase::Opening)[0].clone();
    let (snapshot, _) = world.shows();
    let limits = Limits::default();
    let second = jiff::SignedDuration::from_secs(1);
    let holds = |away: jiff::SignedDuration| {
        matches!(verify(&opening, &snapshot, world.now + away, &limits), Verdict::Go(_))
    };
    assert!(holds(minutes(0)) && holds(minutes(5)));
    assert!(!holds(minutes(5) + second) && !holds(-hours(1)));
    let mut cold = (*snapshot).clone();
    cold.warm = false;
    assert!(
        matches!(verify(&opening, &cold, world.now, &limits), Verdict::Wait(_)),
        "an exporter that only starts"
    );
    // A bank whose status was not read for a quarter of an hour is shown by no exporter.
    cold.warm = true;
    cold.connectors.clear();
    assert!(matches!(verify(&opening, &cold, world.now, &limits), Verdict::Wait(_)));
}

/// The clock goes back an hour in the middle of everything: nobody is told twice, and nothing is lost.
#[test]
fn a_clock_that_is_set_back_doubles_nothing() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.fails("b", "service-unavailable");
    world.pass(minutes(20));
    world.now -= hours(1);
    world.pass(hours(3));
    world.recovers("a");
    world.pass(minutes(10));
    world.now -= hours(1);
    world.pass(hours(3));
    assert_eq!(world.templates("a"), ["credentials", "ready"]);
    assert_eq!(world.templates("b"), ["delayed"]);
    assert_eq!(world.count(Phase::Refresh), 2);
}

/// "If nobody can be asked, it waits and spends no attempt": a refresh is not even planned while the status of the bank
/// is not known, so that none expires every quarter of an hour.
#[test]
fn no_refresh_is_planned_while_the_status_of_the_bank_is_not_known() {
    let mut world = World::new();
    world.bank("unknown");
    world.fails("a", "service-unavailable");
    world.pass(hours(5));
    assert!(world.planned(Phase::Refresh).is_empty());
    world.bank("operational");
    world.pass(minutes(1));
    assert_eq!(world.count(Phase::Refresh), 1);
}

/// A connection of which only its age is known neither ends what fails nor is told of.
#[test]
fn what_is_only_stale_is_told_to_nobody_and_ends_nothing() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    let now = world.now;
    if let Some(Facts { state, .. }) = world.facts.get_mut("c-a") {
        *state = State::Stale { since: now };
    }
    world.pass(hours(3));
    assert_eq!(world.templates("a"), ["credentials"]);
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["credentials", "ready"]);
}

/// A message for two users of one address knows whose each connection is: the evidence is held against both.
#[test]
fn a_message_for_two_users_of_one_address_knows_whose_each_connection_is() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.fails("a", "invalid-credentials");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(20));
    let opening = &world.of(Phase::Opening)[0].effect;
    let users: Vec<_> = message(opening).connections.iter().map(|of| of.user.as_str()).collect();
    assert_eq!(users.len(), 2);
    assert!(users.contains(&"u-a") && users.contains(&"u-b"));
}
