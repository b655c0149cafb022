//! Behaviour, section 5: holds and suppression. Each test quotes its sentence.

use basiq_alerter::{plan::Command, store::Phase};

use crate::world::{World, hours, minutes};

/// "Hold: if one settling batch … exceeds its limit, all of the batch is held … and can be released by number
/// or discarded. Holding is a metric and an operator notice on a channel that is not the user's."
#[test]
fn a_batch_that_is_too_large_is_held_whole_until_released() {
    let mut world = World::with(|settings| settings.limits.hold_batch = 5);
    for n in 0..6 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Opening), 0);
    assert_eq!(world.notices("BasiqAlerterHolds"), 1);
    assert!(world.of(Phase::Notice).iter().all(|done| done.effect.channel == "ops"));
    world.recovers("m0");
    world.pass(minutes(1));
    let number = world.planner.holds().next().unwrap().number;
    world.obey(Command::Release { hold: number });
    world.pass(minutes(5));
    assert_eq!(world.count(Phase::Opening), 5, "one has recovered meanwhile");
    assert_eq!(world.planner.holds().count(), 0);
}

/// The same, discarded.
#[test]
fn a_discarded_hold_is_never_sent() {
    let mut world = World::with(|settings| settings.limits.hold_institution = 3);
    for n in 0..4 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.pass(hours(1));
    let number = world.planner.holds().next().unwrap().number;
    world.obey(Command::Discard { hold: number });
    world.pass(hours(30));
    assert_eq!(world.count(Phase::Opening), 0);
}

/// "… or one hour of one rule, institution or the whole".
#[test]
fn an_hour_that_is_too_full_holds_the_rest() {
    let mut world = World::with(|settings| settings.limits.hold_all = 3);
    for n in 0..6 {
        world.fails(&format!("m{n}"), "invalid-credentials");
        world.pass(minutes(2));
    }
    world.pass(minutes(40));
    assert_eq!(world.count(Phase::Opening), 3);
    assert!(world.planner.holds().count() >= 1);
}

/// "Over 20 automatic suppressions, or 2 % of recipients, in an hour stop suppression."
#[test]
fn too_many_refusals_in_an_hour_stop_suppression() {
    let people: Vec<String> = (0..30).map(|n| format!("p{n}")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    // Two of a hundred recipients may be gone, and a third is too many.
    let mut world = World::with(|settings| settings.limits.hold_new_rule = Some(1000));
    for n in 0..100 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.pass(minutes(20));
    assert_eq!(world.count(Phase::Opening), 100);
    world.refuses(&people[..2]);
    assert_eq!((world.suppressed.len(), world.notices("BasiqAlerterSuppressionStopped")), (2, 0));
    // A restart, or another replica that takes over, does not begin anew.
    world.restart();
    world.refuses(&people[2..4]);
    world.pass(minutes(1));
    assert_eq!((world.suppressed.len(), world.notices("BasiqAlerterSuppressionStopped")), (2, 1));
    world.pass(hours(1));
    world.refuses(&people[4..5]);
    assert_eq!(world.suppressed.len(), 3, "an hour later it goes on");
    // However many recipients there are, twenty are enough.
    let mut world = World::with(|settings| settings.limits.suppress_share = 1.0);
    for n in 0..40 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    world.pass(minutes(20));
    world.refuses(&people);
    assert_eq!(world.suppressed.len(), 20);
}

/// What a batch that was held turned into something else asks for is not held with it.
#[test]
fn what_fails_otherwise_leaves_its_hold() {
    let mut world = World::with(|settings| settings.limits.hold_new_rule = Some(1));
    world.fails("a", "invalid-credentials");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(20));
    assert!(world.incident("a").hold.is_some());
    world.turns("a", "account-locked");
    world.pass(minutes(20));
    assert_eq!(world.templates("a"), ["locked"]);
    assert!(world.templates("b").is_empty());
}
