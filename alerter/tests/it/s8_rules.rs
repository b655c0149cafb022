//! Behaviour, sections 5 and 8: rules that are new, changed or removed, and users who are forgotten.

use basiq_alerter::{
    demand::Numbers,
    plan::{Command, Pause, Person},
    store::{EffectState, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// "A new or changed rule that would reach over 50 people at its first evaluation is held whole."
#[test]
fn a_new_rule_that_would_reach_too_many_is_held_whole() {
    for (people, held) in [(50, 0), (51, 1)] {
        let mut world = World::new();
        for n in 0..people {
            world.fails(&format!("m{n}"), "invalid-credentials");
        }
        world.pass(minutes(30));
        assert_eq!(world.planner.holds().count(), held, "{people}");
        assert_eq!(world.notices("BasiqAlerterHolds"), held);
        assert_eq!(world.count(Phase::Opening), if held == 0 { people } else { 0 });
        let number = world.planner.holds().next().map(|hold| hold.number);
        if let Some(number) = number {
            world.obey(Command::Release { hold: number });
            world.pass(minutes(5));
            assert_eq!(world.count(Phase::Opening), people);
        }
    }
}

/// The same: a rule that is known reaches as many as the other limits allow, also after a restart.
#[test]
fn a_rule_that_is_known_is_not_held() {
    let mut world = World::new();
    world.fails("first", "invalid-credentials");
    world.pass(minutes(30));
    world.restart();
    for n in 0..60 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.pass(minutes(30));
    assert_eq!(world.count(Phase::Opening), 61);
}

/// "… or changed": by what it evaluates, though its name is the same.
#[test]
fn a_changed_rule_that_would_reach_too_many_is_held_whole() {
    let mut world = World::new();
    world.fails("first", "invalid-credentials");
    world.pass(minutes(30));
    for n in 0..60 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.definitions.insert("Credentials".into(), "another expression".into());
    world.pass(minutes(30));
    assert_eq!(world.count(Phase::Opening), 1);
    assert_eq!(world.planner.holds().next().map(|hold| hold.incidents.len()), Some(60));
}

/// "Changing a rule holds its undelivered effects".
#[test]
fn changing_a_rule_holds_what_it_had_planned() {
    for release in [true, false] {
        let mut world = World::new();
        world.answer = Answer::Nothing;
        world.fails("a", "invalid-credentials");
        world.fails("b", "account-locked");
        world.pass(minutes(20));
        world.definitions.insert("Credentials".into(), "another expression".into());
        world.pass(minutes(1));
        world.answer = Answer::Takes;
        world.pass(hours(1));
        assert_eq!((world.told("a").len(), world.told("b").len()), (0, 1));
        let held = world.effects.values().find(|effect| effect.state == EffectState::Held).unwrap();
        assert!(held.reason.contains("Credentials"), "{}", held.reason);
        assert_eq!(world.notices("BasiqAlerterHolds"), 1);
        let number = world.planner.holds().next().unwrap().number;
        world.obey(if release {
            Command::Release { hold: number }
        } else {
            Command::Discard { hold: number }
        });
        world.pass(hours(30));
        assert_eq!(world.told("a").len(), usize::from(release));
        assert_eq!(world.planner.holds().count(), 0);
    }
}

/// What is held for a changed rule leaves the hold when it is over; the hold of nothing ends.
#[test]
fn what_is_over_leaves_its_hold() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.pass(minutes(20));
    world.definitions.insert("Credentials".into(), "another expression".into());
    world.pass(minutes(1));
    assert_eq!(world.planner.holds().count(), 1);
    world.recovers("a");
    world.pass(minutes(1));
    assert_eq!(world.planner.holds().count(), 0);
    assert!(world.effects.values().all(|effect| effect.phase != Phase::Opening || effect.state.is_final()));
}

/// The number of a hold is never used again, whatever restarts.
#[test]
fn hold_numbers_are_not_used_again() {
    let mut world = World::with(|settings| settings.limits.hold_new_rule = Some(0));
    world.fails("a", "invalid-credentials");
    world.pass(minutes(20));
    world.obey(Command::Release { hold: 1 });
    world.restart();
    world.fails("b", "account-locked");
    world.pass(minutes(20));
    assert_eq!(world.planner.holds().map(|hold| hold.number).collect::<Vec<_>>(), [2]);
}

/// "removing it cancels them".
#[test]
fn removing_a_rule_cancels_what_it_had_planned() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(9));
    world.answer = Answer::Nothing;
    world.pass(minutes(10));
    world.rules_gone();
    world.answer = Answer::Takes;
    world.pass(hours(10));
    assert!(world.done.is_empty(), "{:?}", world.done);
    assert_eq!(world.effects.len(), 2, "an opening and a refresh");
    assert!(world.effects.values().all(|effect| effect.state == EffectState::Cancelled));
}

/// "Cooldown (24 h per person and template, a person being the hash of the resolved address)": where another user has
/// the same address, forgetting one of them does not have the other mailed twice.
#[test]
fn forgetting_one_of_two_users_with_one_address_keeps_its_cooldown() {
    for restarted in [false, true] {
        let mut world = World::new();
        world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        if restarted {
            world.restart();
            world.says_all_again();
        }
        world.fails("b", "mfa-required");
        world.pass(hours(1));
        world.obey(Command::Forget { user: "u-b".into() });
        assert_eq!(world.forgotten.last().map(|forgotten| forgotten.person.clone()), Some(None));
        world.recovers("a");
        world.pass(hours(1));
        world.fails("a", "invalid-credentials");
        world.pass(hours(10));
        let told = |world: &World| {
            world.told("a").into_iter().filter(|(template, _)| template == "credentials").count()
        };
        assert_eq!((told(&world), world.told("b").len()), (1, 1), "restarted: {restarted}");
        world.pass(hours(12));
        assert_eq!(told(&world), 2, "it was put off, not dropped");
    }
}

/// "`forget` a user: pending effects cancelled, bodies, ids and address hashes erased, counts kept, a keyed
/// tombstone so that discovery does not bring them back, tickets listed for a human."
#[test]
fn a_user_who_is_forgotten_stays_so() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.pass(hours(1));
    world.fails("pending", "invalid-credentials");
    world.facts.get_mut("c-pending").unwrap().user = "u-a".into();
    world.answer = Answer::Nothing;
    world.pass(minutes(20));
    world.obey(Command::Pause(Pause { user: Some("u-a".into()), ..Pause::default() }));
    world.obey(Command::Forget { user: "u-a".into() });
    world.answer = Answer::Takes;
    world.restart();
    world.says_all_again();
    world.pass(hours(5));
    let told = world.told("pending");
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(world.forgotten.len(), 1);
    assert_eq!(world.forgotten[0].person.as_deref(), Some("p-u-a"));
    assert_eq!(world.notices("BasiqAlerterForgottenTickets"), 1);
    let erased: Vec<_> = world.incidents.values().filter(|it| it.connection.is_empty()).collect();
    assert_eq!(erased.len(), 2, "counted still");
    let kept = format!("{erased:?} {:?}", world.rows);
    assert!(!kept.contains("u-a") && !kept.contains("c-a") && !kept.contains("c-pending"), "{kept}");
    assert!(world.rows.keys().any(|(kind, key)| kind == "tombstone" && key.len() == 64));
    assert!(world.incident("b").is_open(), "nobody else is touched");
    let after = world.done.iter().filter(|done| done.spoke_of.contains(&"c-a".to_owned())).count();
    world.recovers("a");
    world.pass(hours(2));
    let told = world.done.iter().filter(|done| done.spoke_of.contains(&"c-a".to_owned())).count();
    assert_eq!(told, after, "not even of its end");
}

/// "… (command, …, consent ended)": once its ticket has heard of the end.
#[test]
fn the_end_of_a_consent_forgets_the_user() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Ticket), 1);
    world.ends("a", "consent-ended");
    world.pass(minutes(30));
    assert_eq!((world.count(Phase::Comment), world.forgotten.len()), (1, 0));
    world.pass(hours(1));
    assert_eq!(world.forgotten.len(), 1);
    assert_eq!(world.count(Phase::Closing), 0);
}

/// "No rule can switch these limits off: rules say what deserves an effect and when, `plan` holds what must never
/// happen." A rule that asks for everything at once, without an end.
#[test]
fn a_rule_that_asks_for_everything_at_once_is_bounded_all_the_same() {
    let greedy = || {
        let mut world = World::new();
        let none = Some(std::time::Duration::ZERO);
        world.asks = Some(Numbers {
            settle: none,
            cooldown: none,
            retry_after: none,
            retry_max: Some(1000),
            escalate_after: none,
            ..Numbers::default()
        });
        world
    };
    // The hold.
    let mut world = greedy();
    (0..51).for_each(|n| world.fails(&format!("m{n}"), "invalid-credentials"));
    world.pass(hours(2));
    assert_eq!((world.count(Phase::Opening), world.planner.holds().count()), (0, 1));
    // The baseline.
    let mut world = greedy();
    world.fails_since("old", "service-unavailable", world.now - hours(30));
    world.pass(hours(8));
    assert!(world.effects.is_empty());
    // One opening an incident; refreshes neither into a major outage nor for what they do not mend; one ticket.
    let mut world = greedy();
    world.bank("major-outage");
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.pass(hours(30));
    assert_eq!(world.count(Phase::Refresh), 0);
    assert_eq!((world.told("a").len(), world.told("b").len()), (1, 1));
    world.bank("operational");
    world.pass(hours(30));
    assert_eq!((world.told("a").len(), world.told("b").len()), (1, 1));
    assert!(
        world.of(Phase::Refresh).iter().all(|done| done.effect.key.contains(&world.incident("a").reference))
    );
    assert_eq!(world.of(Phase::Ticket).iter().filter(|done| done.effect.incidents.len() == 1).count(), 1);
    // Evidence.
    let mut world = greedy();
    world.bank("unknown");
    world.fails("a", "service-unavailable");
    world.pass(hours(5));
    assert!(world.done.is_empty());
}

/// Who is behind a user is looked up anew after a message that was not sent; until then, forgetting the user erases
/// what was kept of the person all the same.
#[test]
fn forgetting_a_user_whose_message_was_not_sent_erases_the_person() {
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Obsolete);
    world.fails("a", "invalid-credentials");
    world.pass(minutes(17));
    assert!(world.effects.values().any(|effect| effect.state == EffectState::Obsolete));
    world.obey(Command::Forget { user: "u-a".into() });
    assert_eq!(world.forgotten[0].person.as_deref(), Some("p-u-a"));
}

/// "Changing a rule": what was asked for before is remembered, up to a bound, also in the store.
#[test]
fn versions_of_a_rule_are_remembered_to_a_bound() {
    let mut world = World::new();
    world.fails("first", "invalid-credentials");
    world.pass(minutes(30));
    let rules = |world: &World| {
        let rows = world.rows.iter().filter(|((kind, _), _)| kind == "rule");
        rows.map(|(key, body)| (key.clone(), body.clone())).collect::<Vec<_>>()
    };
    let kept = |world: &World| rules(world).len();
    let before = kept(&world);
    for version in 0..300 {
        world.definitions.insert("Credentials".into(), format!("expression {version}"));
        world.pass(minutes(5));
    }
    assert!(kept(&world) >= before + 99, "{}", kept(&world));
    assert!(kept(&world) <= before + 100, "{}", kept(&world));
    // One that is remembered is no change; over a restart neither.
    world.restart();
    let remembered = rules(&world);
    world.definitions.insert("Credentials".into(), "expression 280".into());
    world.pass(minutes(5));
    assert_eq!(rules(&world), remembered);
}
