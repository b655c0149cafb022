//! What a person decides about one effect, through the page or the tools: try it now, or never.

use basiq_alerter::{
    plan::Command,
    store::{EffectState, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// The newest effect of a phase.
fn key(world: &World, phase: Phase) -> String {
    let of = world.effects.values().filter(|effect| effect.phase == phase);
    of.max_by_key(|effect| effect.created).expect("an effect of this phase").key.clone()
}

#[test]
fn a_dead_message_that_is_retried_counts_as_told_and_owes_its_end() {
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Dead);
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    let opening = key(&world, Phase::Opening);
    assert_eq!(world.effects[&opening].state, EffectState::Dead);
    world.answer = Answer::Takes;
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Opening), 0, "nothing tries again by itself");
    world.obey(Command::Retry { effect: opening.clone() });
    world.pass(minutes(5));
    assert_eq!(world.effects[&opening].state, EffectState::Delivered);
    world.obey(Command::Retry { effect: opening.clone() });
    world.pass(minutes(5));
    assert_eq!(world.count(Phase::Opening), 1, "what was taken is not sent again");
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Closing), 1);
}

#[test]
fn a_cancelled_message_is_not_planned_again_but_can_be_retried() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.pass(minutes(20));
    let opening = key(&world, Phase::Opening);
    world.obey(Command::Cancel { effect: opening.clone() });
    world.answer = Answer::Takes;
    world.pass(hours(30));
    assert_eq!(world.effects[&opening].state, EffectState::Cancelled);
    assert_eq!(world.effects.values().filter(|effect| effect.phase == Phase::Opening).count(), 1);
    world.obey(Command::Retry { effect: opening.clone() });
    world.pass(minutes(5));
    assert_eq!(world.effects[&opening].state, EffectState::Delivered);
}

#[test]
fn a_cancelled_refresh_ends_trying_and_a_cancelled_ticket_is_not_filed_again() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "service-unavailable");
    world.pass(minutes(11));
    let refresh = key(&world, Phase::Refresh);
    world.obey(Command::Cancel { effect: refresh });
    world.pass(hours(7));
    let ticket = key(&world, Phase::Ticket);
    world.obey(Command::Cancel { effect: ticket });
    world.answer = Answer::Takes;
    world.pass(hours(30));
    assert_eq!((world.count(Phase::Refresh), world.count(Phase::Ticket)), (0, 0));
    assert!(world.incident("a").is_open());
}

#[test]
fn what_was_obsolete_or_is_over_is_not_revived() {
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Dead);
    world.fails("a", "service-unavailable");
    world.pass(hours(8));
    let refresh = key(&world, Phase::Refresh);
    world.recovers("a");
    world.pass(hours(1));
    world.answer = Answer::Takes;
    world.obey(Command::Retry { effect: refresh.clone() });
    world.pass(minutes(5));
    assert_eq!((world.effects[&refresh].state, world.count(Phase::Refresh)), (EffectState::Dead, 0));
}
