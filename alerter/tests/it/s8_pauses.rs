//! Behaviour, section 8: what a pause holds up, and what follows it.

use basiq_alerter::{
    demand::Action,
    plan::{Command, Pause, Person, Stop},
    store::{EffectState, Phase},
};

use crate::world::{Answer, BANK, World, hours, minutes};

/// "`pause`/`resume` by action, rule, institution or user": an end is held up like the beginning, and told afterwards.
#[test]
fn a_pause_holds_up_the_end_as_well() {
    for paused in [
        Pause { rule: Some("Credentials".into()), ..Pause::default() },
        Pause { institution: Some(BANK.into()), ..Pause::default() },
        Pause { user: Some("u-a".into()), ..Pause::default() },
        Pause { action: Some(Action::NotifyUser), ..Pause::default() },
    ] {
        let mut world = World::new();
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        world.obey(Command::Pause(paused.clone()));
        world.recovers("a");
        world.pass(hours(5));
        assert_eq!(world.count(Phase::Closing), 0, "{paused:?}");
        world.obey(Command::Resume(paused.clone()));
        world.pass(minutes(5));
        assert_eq!(world.count(Phase::Closing), 1, "{paused:?}");
    }
}

/// The same, of an institution, for what was planned before it: a refresh, and a message that is about another bank too.
#[test]
fn a_pause_of_an_institution_holds_up_what_was_planned_before_it() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails_of("a", "u-one", "invalid-credentials", world.now);
    world.fails_at("b", "AU00002", "invalid-credentials");
    world.of_user("b", "u-one");
    world.fails("r", "service-unavailable");
    world.pass(minutes(16));
    assert_eq!(world.planned(Phase::Opening).len(), 1, "one message about both banks");
    assert_eq!(world.planned(Phase::Refresh).len(), 1);
    let paused = Pause { institution: Some(BANK.into()), ..Pause::default() };
    world.obey(Command::Pause(paused.clone()));
    let stops = world.planner.stops();
    world.answer = Answer::Takes;
    world.pass(minutes(60));
    assert!(world.done.is_empty(), "{:?}", world.done);
    let opening = world.planned(Phase::Opening)[0];
    assert_eq!(stops.of(opening, &Default::default()), Some(Stop::Paused));
    let refreshes: Vec<_> = world.planned(Phase::Refresh).into_iter().map(|effect| effect.state).collect();
    assert_eq!(refreshes, [EffectState::Expired], "and none is planned anew meanwhile");
    world.obey(Command::Resume(paused));
    world.pass(minutes(5));
    assert_eq!(world.count(Phase::Refresh), 1);
    assert_eq!((world.templates("a").len(), world.told("a")), (1, world.told("b")));
}

/// The same, of one of two users of one address, for the message that is about both.
#[test]
fn a_pause_of_a_user_holds_up_the_message_that_another_user_shares() {
    let mut world = World::new();
    world.people.insert("u-b".into(), Person::Hash("p-u-a".into()));
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(16));
    assert_eq!(world.planned(Phase::Opening).len(), 1, "one message about both users");
    for user in ["u-a", "u-b"] {
        let paused = Pause { user: Some(user.into()), ..Pause::default() };
        world.obey(Command::Pause(paused.clone()));
        world.answer = Answer::Takes;
        world.pass(minutes(60));
        assert_eq!(world.count(Phase::Opening), 0, "{user}");
        world.answer = Answer::Nothing;
        world.obey(Command::Resume(paused));
    }
    world.answer = Answer::Takes;
    world.pass(minutes(5));
    assert_eq!((world.count(Phase::Opening), world.told("a")), (1, world.told("b")));
}

/// The same for what tickets hear.
#[test]
fn a_pause_of_an_institution_or_user_holds_up_comments_on_tickets() {
    for paused in [
        Pause { institution: Some(BANK.into()), ..Pause::default() },
        Pause { user: Some("u-a".into()), ..Pause::default() },
    ] {
        let mut world = World::new();
        world.fails("a", "unknown");
        world.pass(hours(8));
        assert_eq!(world.count(Phase::Ticket), 1);
        world.obey(Command::Pause(paused.clone()));
        world.recovers("a");
        world.pass(hours(2));
        assert_eq!(world.count(Phase::Comment), 0, "{paused:?}");
        world.obey(Command::Resume(paused));
        world.pass(minutes(2));
        assert_eq!(world.count(Phase::Comment), 1);
    }
}

/// What is owed for days, because it is paused, is still known after a restart.
#[test]
fn an_end_that_is_paused_for_days_is_told_after_a_restart() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    let paused = Pause { action: Some(Action::NotifyUser), ..Pause::default() };
    world.obey(Command::Pause(paused.clone()));
    world.recovers("a");
    world.pass(hours(6 * 24));
    world.restart();
    world.vanishes("a");
    world.pass(hours(1));
    world.fails("a", "invalid-credentials");
    world.recovers("a");
    world.obey(Command::Resume(paused));
    world.pass(hours(1));
    assert_eq!(world.templates("a"), ["credentials", "ready"]);
}
