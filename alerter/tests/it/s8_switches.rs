//! Behaviour, section 8: operators and switches. Each test quotes its sentence.

use basiq_alerter::{
    config::Mode,
    demand::Action,
    plan::{Command, Pause},
    store::{EffectState, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// "Each of `notify-user`, `file-ticket`, `refresh-connection` is `off`, `dry-run` or `live`".
#[test]
fn what_is_off_is_not_planned() {
    let mut world = World::with(|settings| settings.actions.notify_user = Mode::Off);
    world.fails("a", "service-unavailable");
    world.pass(hours(8));
    assert!(world.effects.values().all(|effect| effect.action != Action::NotifyUser));
    assert_eq!((world.count(Phase::Refresh), world.count(Phase::Ticket)), (2, 1));
}

/// "Dry run takes the same path and differs at the last write; its effects never count as told".
#[test]
fn a_dry_run_never_counts_as_told() {
    let dry = Mode::DryRun;
    let mut world = World::with(|settings| {
        settings.actions.notify_user = dry;
        settings.actions.refresh_connection = dry;
        settings.actions.file_ticket = dry;
    });
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.pass(hours(10));
    assert!(world.done.is_empty());
    let of = |phase| world.effects.values().filter(|effect| effect.phase == phase).count();
    assert_eq!((of(Phase::Opening), of(Phase::Refresh), of(Phase::Ticket)), (2, 2, 1));
    assert!(world.effects.values().all(|effect| effect.state == EffectState::DryRun));
    world.recovers("a");
    world.recovers("b");
    world.pass(hours(2));
    assert!(
        world.effects.values().all(|effect| effect.phase != Phase::Closing && effect.phase != Phase::Comment)
    );
}

/// "`pause`/`resume` by action, rule, institution or user: durable, visible".
#[test]
fn a_pause_holds_up_what_it_names_also_over_a_restart() {
    let pauses = [
        Pause { action: Some(Action::NotifyUser), ..Pause::default() },
        Pause { rule: Some("Credentials".into()), ..Pause::default() },
        Pause { institution: Some(crate::world::BANK.into()), ..Pause::default() },
        Pause { user: Some("u-a".into()), ..Pause::default() },
        Pause::default(),
    ];
    for pause in pauses {
        let mut world = World::new();
        world.obey(Command::Pause(pause.clone()));
        world.restart();
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        assert_eq!(world.count(Phase::Opening), 0, "{pause:?}");
        assert!(world.planner.pauses().contains(&pause));
        world.obey(Command::Resume(pause.clone()));
        world.pass(minutes(1));
        assert_eq!(world.count(Phase::Opening), 1, "{pause:?}");
    }
}

/// The same: it holds up nothing else.
#[test]
fn a_pause_holds_up_nothing_else() {
    let mut world = World::new();
    world.obey(Command::Pause(Pause { user: Some("u-b".into()), ..Pause::default() }));
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Opening), 1);
}

/// "removing [a rule] cancels [its undelivered effects]; an incident stays open for those already told".
#[test]
fn a_rule_that_goes_away_ends_no_incident() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.rules_gone();
    world.pass(hours(1));
    assert!(world.incident("a").is_open());
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Closing), 1);
}

/// "Going live prints the counts first and makes a baseline of what is failing."
#[test]
fn going_live_makes_a_baseline_of_what_is_failing() {
    let mut world = World::with(|settings| settings.actions.notify_user = Mode::DryRun);
    world.fails("old", "invalid-credentials");
    world.pass(hours(1));
    world.fails("pending", "invalid-credentials");
    world.pass(minutes(1));
    world.settings.actions.notify_user = Mode::Live;
    world.restart();
    assert_eq!(world.planner.going_live(), [(Action::NotifyUser, 2)]);
    world.says_all_again();
    world.pass(hours(30));
    assert_eq!(world.count(Phase::Opening), 0);
    world.fails("new", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.told("new").len(), 1);
    world.recovers("old");
    world.pass(hours(1));
    world.fails("old", "invalid-credentials");
    world.pass(hours(1));
    assert_eq!(world.told("old").len(), 1, "a new failure after a success");
}

/// Own notices of what merely happened end when it has not happened again for a day.
#[test]
fn a_notice_of_dead_effects_ends_a_day_after_the_last() {
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Dead);
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.answer = Answer::Takes;
    let fires = |world: &World| {
        world
            .rows
            .iter()
            .any(|((kind, _), body)| kind == "demand" && body.contains("BasiqAlerterDeadEffects"))
    };
    assert!(fires(&world));
    world.pass(hours(20));
    assert!(fires(&world));
    world.pass(hours(10));
    assert!(!fires(&world));
}

/// "[Dry run's] effects never count as told and free their key": what fails anew after going live is tried and filed.
#[test]
fn what_went_through_dry_run_is_tried_and_filed_when_it_fails_anew_under_live() {
    let mut world = World::with(|settings| {
        settings.actions.refresh_connection = Mode::DryRun;
        settings.actions.file_ticket = Mode::DryRun;
    });
    world.fails("a", "service-unavailable");
    world.pass(hours(10));
    world.settings.actions.refresh_connection = Mode::Live;
    world.settings.actions.file_ticket = Mode::Live;
    world.restart();
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(1));
    world.fails("a", "service-unavailable");
    world.pass(hours(10));
    assert_eq!((world.count(Phase::Refresh), world.count(Phase::Ticket)), (2, 1));
}
