//! Behaviour, sections 3 to 5, as people would meet it: what happens to them when things come at a bad moment.

use basiq_alerter::{
    config::Mode,
    plan::{Command, Person},
    store::{EffectState, Payload, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// Section 2: "any failure of a connection that never succeeded, is the partner app's own conversation: no mail by
/// default."
#[test]
fn who_is_only_connecting_a_bank_gets_no_mail() {
    for tell in [false, true] {
        let mut world = World::with(|settings| settings.limits.tell_never_succeeded = tell);
        world.fails("a", "invalid-credentials");
        world.marks("a", false, true);
        world.pass(hours(5));
        assert_eq!(world.told("a").len(), usize::from(tell));
        world.recovers("a");
        world.pass(hours(2));
        world.fails("a", "invalid-credentials");
        world.pass(hours(25));
        let expected: &[&str] =
            if tell { &["credentials", "ready", "credentials"] } else { &["credentials"] };
        assert_eq!(world.templates("a"), expected, "once it has worked, its failures are told");
    }
}

/// "… can be released by number or discarded": also where what is held says that we gave up.
#[test]
fn a_discarded_hold_of_what_was_given_up_is_never_sent() {
    let mut world = World::with(|settings| settings.limits.hold_batch = 3);
    for n in 0..4 {
        world.fails(&format!("m{n}"), "retry-expired");
    }
    world.pass(minutes(5));
    let number = world.planner.holds().next().unwrap().number;
    world.obey(Command::Discard { hold: number });
    world.pass(hours(30));
    assert_eq!((world.planner.holds().count(), world.count(Phase::GaveUp)), (0, 0));
}

/// What was held, discarded or refused told nobody: a new failure after a success is told.
#[test]
fn a_failure_after_a_success_is_told_whatever_became_of_the_message_before() {
    for how in ["discarded", "dead", "cancelled"] {
        let mut world =
            World::with(|settings| settings.limits.hold_batch = u32::from(how != "discarded") * 9);
        world.answer = match how {
            "dead" => Answer::Ends(EffectState::Dead),
            "cancelled" => Answer::Nothing,
            _ => Answer::Takes,
        };
        world.fails("a", "invalid-credentials");
        world.pass(minutes(20));
        if how == "discarded" {
            let number = world.planner.holds().next().unwrap().number;
            world.obey(Command::Discard { hold: number });
        } else if how == "cancelled" {
            let effect = world.planned(Phase::Opening)[0].key.clone();
            world.obey(Command::Cancel { effect });
        }
        world.answer = Answer::Takes;
        world.pass(hours(3));
        assert!(world.told("a").is_empty(), "{how}: not while the same failure lasts");
        world.recovers("a");
        world.pass(hours(2));
        assert!(world.told("a").is_empty(), "{how}: nobody is told the end of what nobody was told");
        world.fails("a", "invalid-credentials");
        world.pass(minutes(20));
        if how == "discarded" {
            let number = world.planner.holds().next().expect("it is held anew").number;
            world.obey(Command::Release { hold: number });
            world.pass(minutes(5));
        }
        assert_eq!(world.templates("a"), ["credentials"], "{how}");
    }
}

/// "… or one hour of one rule, institution or the whole": the hour is the same one after a restart, and no longer.
#[test]
fn an_hour_that_is_too_full_stays_so_over_a_restart_and_is_over_after_an_hour() {
    for limit in ["rule", "institution", "all"] {
        let mut world = World::with(|settings| {
            let limits = &mut settings.limits;
            match limit {
                "rule" => limits.hold_rule = 3,
                "institution" => limits.hold_institution = 3,
                _ => limits.hold_all = 3,
            }
        });
        for name in ["a", "b", "c"] {
            world.fails(name, "invalid-credentials");
        }
        world.pass(minutes(16));
        assert_eq!(world.count(Phase::Opening), 3);
        world.fails("d", "invalid-credentials");
        world.pass(minutes(10));
        world.restart();
        world.pass(minutes(20));
        assert_eq!((world.count(Phase::Opening), world.planner.holds().count()), (3, 1), "{limit}");
        world.pass(hours(2));
        world.fails("e", "invalid-credentials");
        world.pass(minutes(10));
        world.restart();
        world.pass(minutes(20));
        assert_eq!(world.templates("e"), ["credentials"], "{limit}");
    }
}

/// A rule that flaps while its message is on its way is no second message, whatever became of the first.
#[test]
fn a_message_withdrawn_on_its_way_is_not_followed_by_another() {
    for answer in [EffectState::Delivered, EffectState::Unknown] {
        let mut world = World::new();
        world.answer = Answer::Nothing;
        world.fails("a", "invalid-credentials");
        world.pass(minutes(15));
        let mut on_its_way = world.planned(Phase::Opening)[0].clone();
        world.rules_gone();
        assert_eq!(world.effects[&on_its_way.key].state, EffectState::Cancelled);
        world.rules = true;
        world.pass(minutes(2));
        assert_eq!(world.planned(Phase::Opening).len(), 1, "none beside the one that is on its way");
        on_its_way.unknowns = u32::from(answer == EffectState::Unknown);
        world.answers_late(on_its_way, answer);
        world.answer = Answer::Takes;
        world.pass(hours(20));
        assert_eq!(world.count(Phase::Opening), 0, "{answer}: it was taken, or may have been");
        world.recovers("a");
        world.pass(hours(1));
        assert_eq!(world.count(Phase::Closing), usize::from(answer == EffectState::Delivered));
    }
}

/// An alert that comes and goes with each evaluation is one message.
#[test]
fn an_alert_that_flaps_is_one_message() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    for minute in 0..300 {
        if minute % 2 == 1 {
            world.rules_gone();
        } else {
            world.rules = true;
        }
        world.pass(minutes(1));
    }
    assert_eq!(world.templates("a"), ["credentials"]);
    assert_eq!(world.incidents.len(), 1);
}

/// A user who is forgotten while a message about them and another is on its way: the other one is not told twice.
#[test]
fn forgetting_one_of_two_in_a_message_on_its_way_doubles_nothing_and_brings_nobody_back() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(16));
    let on_its_way = world.planned(Phase::Opening)[0].clone();
    assert_eq!(on_its_way.incidents.len(), 2);
    world.obey(Command::Forget { user: "u-b".into() });
    world.vanishes("b");
    world.pass(minutes(2));
    world.answers_late(on_its_way.clone(), EffectState::Delivered);
    let kept = serde_json::to_string(&world.effects[&on_its_way.key]).unwrap();
    assert!(!kept.contains("u-b") && !kept.contains("c-b"), "{kept}");
    world.answer = Answer::Takes;
    world.pass(hours(20));
    assert_eq!(world.count(Phase::Opening), 0);
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["ready"], "who was told is told the end");
}

/// "A reopening within 24 h of the end continues the incident (same thread, same ticket)."
#[test]
fn what_is_told_of_a_reopening_is_in_the_same_thread() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(23));
    world.fails("a", "invalid-credentials");
    // Another connection of the person has no thread yet, and goes into the same message.
    world.fails("b", "invalid-credentials");
    world.pass(hours(2));
    let openings = world.of(Phase::Opening);
    assert_eq!(openings.len(), 2);
    assert_eq!(openings[1].spoke_of.len(), 2, "{openings:#?}");
    assert_eq!(openings[0].message().in_reply_to, None);
    assert_eq!(openings[1].message().in_reply_to.as_ref(), Some(&openings[0].message().message_id));
}

/// "Cooldown … at its end, what is still open and verified is sent, merged with the person's others": one of three is
/// deleted while they wait, one heals, and the message is about the third.
#[test]
fn what_is_gone_while_a_merged_message_waits_is_not_in_it() {
    let mut world = World::new();
    world.fails_of("first", "u-one", "invalid-credentials", world.now);
    world.pass(hours(1));
    for name in ["a", "b", "c", "d"] {
        world.fails_of(name, "u-one", "invalid-credentials", world.now);
    }
    world.pass(hours(5));
    world.ends("a", "deleted");
    world.recovers("b");
    world.pass(hours(30));
    let openings = world.of(Phase::Opening);
    assert_eq!(openings.len(), 2);
    let mut spoke_of = openings[1].spoke_of.clone();
    spoke_of.sort();
    assert_eq!(spoke_of, ["c-c", "c-d"]);
    // The end of one of the two, and later of the other: each is told, whatever was told a moment ago.
    world.recovers("c");
    world.pass(hours(2));
    world.recovers("d");
    world.pass(hours(2));
    let closings: Vec<_> = world.of(Phase::Closing).into_iter().map(|done| done.spoke_of.clone()).collect();
    assert_eq!(closings, [["c-c"], ["c-d"]], "no cooldown applies");
}

/// A user whose address is another one by the end is still the user who was told.
#[test]
fn the_end_is_told_once_though_the_address_has_changed() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.people.insert("u-a".into(), Person::Hash("p-new".into()));
    world.pass(hours(2));
    world.recovers("a");
    world.pass(hours(30));
    assert_eq!(world.templates("a"), ["credentials", "ready"]);
}

/// A rule that is given another name is asked the same by everybody: who was told is not told again, and what waits
/// is sent.
#[test]
fn a_rule_that_is_renamed_tells_nobody_twice() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.fails("b", "invalid-credentials");
    world.pass(minutes(5));
    world.renamed.insert("Credentials".into(), "BankLoginRejected".into());
    world.restart();
    world.pass(hours(30));
    for name in ["a", "b"] {
        assert_eq!(world.templates(name), ["credentials"], "{name}");
        world.recovers(name);
    }
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Closing), 2);
}

/// "Time under major outage counts for neither retries nor escalation; both restart when it lifts, spread over an hour."
#[test]
fn escalation_starts_anew_within_an_hour_of_the_end_of_an_outage() {
    let mut world = World::with(|settings| settings.actions.refresh_connection = Mode::Off);
    world.bank("major-outage");
    for n in 0..5 {
        world.fails(&format!("m{n}"), "service-unavailable");
    }
    world.pass(hours(20));
    world.bank("operational");
    let lifted = world.now;
    world.pass(hours(10));
    let mut after: Vec<i64> =
        world.of(Phase::Ticket).iter().map(|done| done.at.duration_since(lifted).as_mins()).collect();
    after.sort_unstable();
    after.dedup();
    let six = 6 * 60 + 15;
    assert_eq!(world.count(Phase::Ticket), 5);
    assert!(after.len() > 2 && after[0] >= six && after[after.len() - 1] <= six + 61, "{after:?}");
}

/// "An incident is (environment, …)": two environments that share everything else share no key and no thread.
#[test]
fn two_environments_share_no_key() {
    let keys = |environment: &str| {
        let mut world = World::with(|settings| environment.clone_into(&mut settings.environment));
        world.fails("a", "invalid-credentials");
        world.fails("b", "unknown");
        world.pass(hours(8));
        let opening = world.of(Phase::Opening)[0];
        let Payload::Ticket { ticket, .. } = &world.of(Phase::Ticket)[0].effect.payload else { panic!() };
        let incident = world.incident("a").reference.clone();
        [opening.effect.key.clone(), opening.message().message_id.clone(), ticket.key.clone(), incident]
    };
    let (one, other) = (keys("production"), keys("staging"));
    assert!(one.iter().zip(&other).all(|(one, other)| one != other), "{one:?} {other:?}");
}
