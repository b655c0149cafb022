//! Behaviour, section 5: openings of messages to users. Each test quotes its sentence.

use basiq_alerter::{
    plan::Person,
    store::{EffectState, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// "Settling before an opening: 15 min for credentials-like scenarios".
#[test]
fn credentials_like_openings_settle_for_a_quarter_of_an_hour() {
    for (scenario, template) in [
        ("invalid-credentials", "credentials"),
        ("account-locked", "locked"),
        ("mfa-required", "mfa"),
        ("user-action-required", "bank-action"),
        ("reauthorisation-required", "renew-consent"),
    ] {
        let mut world = World::new();
        world.fails("a", scenario);
        world.pass(hours(30));
        assert_eq!(world.told("a"), [(template.to_owned(), 15)], "{scenario}");
        assert_eq!((world.count(Phase::Refresh), world.count(Phase::Ticket)), (0, 0), "nothing automatic");
    }
}

/// What is over before it has settled is told to nobody, neither its beginning nor its end.
#[test]
fn what_is_over_before_it_settled_is_told_to_nobody() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(minutes(14));
    world.recovers("a");
    world.pass(hours(3));
    assert!(world.done.is_empty());
}

/// "delayed waits for the first retry to have failed, or 2 h."
#[test]
fn delayed_waits_for_the_first_retry_to_have_failed() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    // Failed at 0, refreshed at 10, failed again at 11.
    assert_eq!(world.told("a"), [("delayed".to_owned(), 11)]);
}

/// The other side of the same sentence.
#[test]
fn delayed_waits_no_longer_than_two_hours() {
    let mut world = World::new();
    world.fails("a", "retry-queued");
    world.pass(hours(3));
    assert_eq!(world.told("a"), [("delayed".to_owned(), 120)]);
    assert_eq!(world.count(Phase::Refresh), 0, "Basiq itself tries");
}

/// A retry that heals leaves nobody told.
#[test]
fn a_retry_that_heals_is_told_to_nobody() {
    let mut world = World::new();
    world.refresh = crate::world::Refresh::Heals;
    world.fails("a", "service-unavailable");
    world.pass(hours(5));
    assert_eq!(world.count(Phase::Refresh), 1);
    assert!(world.told("a").is_empty());
}

/// "'Delayed' and 'outage' are one opening: one such message per incident."
#[test]
fn delayed_and_outage_are_one_opening() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    world.bank("major-outage");
    world.pass(hours(30));
    world.bank("operational");
    world.pass(hours(2));
    assert_eq!(world.templates("a"), ["delayed"]);
}

/// "Cooldown (24 h per person and template …) defers, never drops: at its end, what is still open and
/// verified is sent".
#[test]
fn the_cooldown_defers_and_never_drops() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.fails("a", "invalid-credentials");
    world.pass(minutes(30));
    world.fails("b", "invalid-credentials");
    world.pass(hours(20));
    assert!(world.told("b").is_empty());
    assert_eq!(world.words("deferred"), 1, "said once");
    world.pass(hours(5));
    assert_eq!(world.told("b"), [("credentials".to_owned(), 15 + 24 * 60)]);
}

/// "… what is still open and verified".
#[test]
fn what_is_over_at_the_end_of_the_cooldown_is_not_sent() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.fails("a", "invalid-credentials");
    world.pass(minutes(30));
    world.fails("b", "invalid-credentials");
    world.pass(hours(10));
    world.recovers("b");
    world.pass(hours(30));
    assert!(world.told("b").is_empty());
}

/// The cooldown is of a template: another message is not held up by it.
#[test]
fn another_template_is_not_deferred() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.fails("a", "invalid-credentials");
    world.fails("b", "account-locked");
    world.pass(minutes(30));
    assert_eq!(world.templates("a"), ["credentials"]);
    assert_eq!(world.templates("b"), ["locked"]);
}

/// "Several connections of one person go into one message."
#[test]
fn several_connections_of_one_person_go_into_one_message() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.fails_of(name, "u-one", "invalid-credentials", world.now);
    }
    world.pass(minutes(40));
    assert_eq!(world.count(Phase::Opening), 1);
    assert_eq!(world.done[0].spoke_of, ["c-a", "c-b", "c-c"]);
    for name in ["a", "b", "c"] {
        world.recovers(name);
    }
    world.pass(minutes(40));
    assert_eq!(world.count(Phase::Closing), 1);
    let (opening, closing) = (world.done[0].message(), world.done[1].message());
    assert_eq!(closing.in_reply_to.as_ref(), Some(&opening.message_id));
}

/// A merged message goes on about those that still hold; the others are neither told of the beginning nor
/// of the end.
#[test]
fn a_merged_message_speaks_only_of_what_still_holds() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    for name in ["a", "b"] {
        world.fails_of(name, "u-one", "invalid-credentials", world.now);
    }
    world.pass(minutes(20));
    world.recovers("a");
    world.answer = Answer::Takes;
    world.pass(hours(2));
    world.recovers("b");
    world.pass(hours(2));
    assert_eq!(world.templates("a"), Vec::<String>::new());
    assert_eq!(world.templates("b"), ["credentials", "ready"]);
}

/// A failure that becomes another one asks for another message.
#[test]
fn what_turns_into_another_failure_is_told_anew() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    world.turns("a", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["delayed", "credentials"]);
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["delayed", "credentials", "ready"], "one end for both");
}

/// Section 2: `unknown` failures are told to no user.
#[test]
fn an_unknown_failure_is_told_to_no_user() {
    let mut world = World::new();
    world.fails("a", "unknown");
    world.pass(hours(24));
    assert!(world.told("a").is_empty());
    assert_eq!(world.count(Phase::Ticket), 1);
}

/// "Urgency is measured from when it became due", not from when the cooldown let it go.
#[test]
fn urgency_is_measured_from_when_it_became_due() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(1));
    let due = world.now + minutes(15);
    world.fails("a", "invalid-credentials");
    world.pass(hours(25));
    let openings = world.of(Phase::Opening);
    assert_eq!((openings.len(), openings[1].effect.due), (2, due));
    assert!(openings[1].at.duration_since(due) > hours(20));
}

/// "Annotation text never enters it, only names of installed templates." What a message is made of is stored as
/// variables, so nothing that is rendered from them can hold it.
#[test]
fn what_an_alert_is_annotated_with_enters_no_message() {
    let mut world = World::new();
    for name in ["summary", "description", "runbook_url", "message"] {
        world.annotations.insert(name.to_owned(), "win a prize at https://evil.example.test".to_owned());
    }
    for (name, scenario) in [("a", "service-unavailable"), ("b", "invalid-credentials")] {
        world.fails(name, scenario);
    }
    world.pass(hours(3));
    ["a", "b"].into_iter().for_each(|name| world.recovers(name));
    world.pass(hours(1));
    let messages: Vec<_> = world
        .done
        .iter()
        .filter(|done| matches!(done.effect.phase, Phase::Opening | Phase::Closing))
        .collect();
    assert_eq!(messages.len(), 4);
    for done in messages {
        let all = serde_json::to_string(done.message()).unwrap();
        assert!(!all.contains("prize") && !all.contains("evil"), "{all}");
    }
}

/// "Cooldown (24 h per person and template …)": a message that may have been taken counts, whatever became of it.
#[test]
fn what_may_have_been_taken_begins_a_cooldown_as_well() {
    // Its outcome was unknown when what it told of was over.
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Unknown);
    world.fails_of("a", "u-p", "invalid-credentials", world.now);
    world.pass(minutes(20));
    let unknown = world.effects.values().find(|effect| effect.phase == Phase::Opening).unwrap();
    assert_eq!((unknown.state, unknown.unknowns), (EffectState::Unknown, 1));
    world.recovers("a");
    world.pass(minutes(5));
    world.answer = Answer::Takes;
    told_no_sooner_than_a_day_later(world);
    // It was withdrawn while it was on its way, and the relay took it.
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails_of("a", "u-p", "invalid-credentials", world.now);
    world.pass(minutes(20));
    let on_its_way = world.effects.values().find(|effect| effect.phase == Phase::Opening).unwrap().clone();
    world.recovers("a");
    world.pass(minutes(5));
    assert_eq!(world.effects[&on_its_way.key].state, EffectState::Cancelled);
    world.answers_late(on_its_way, EffectState::Delivered);
    world.answer = Answer::Takes;
    told_no_sooner_than_a_day_later(world);
}

/// The next one of the same person waits for the end of the cooldown.
fn told_no_sooner_than_a_day_later(mut world: World) {
    world.fails_of("b", "u-p", "invalid-credentials", world.now);
    world.pass(hours(23));
    assert!(world.told("b").is_empty(), "{:?}", world.told("b"));
    world.pass(hours(2));
    assert_eq!(world.told("b").len(), 1);
}
