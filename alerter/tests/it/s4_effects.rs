//! Behaviour, section 4: effects. Each test quotes its sentence.

use basiq_alerter::store::{Effect, EffectState, Payload, Phase};

use crate::world::{Answer, World, hours, minutes};

/// "An effect's key is (environment, incident, action, phase, n): planned once, whatever restarts, repeats,
/// re-fires or replicas there are."
#[test]
fn a_key_is_planned_once_whatever_repeats() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(minutes(20));
    world.restart();
    // After a restart a source says everything again.
    world.says_all_again();
    world.pass(hours(3));
    assert_eq!(world.count(Phase::Opening), 1);
    let key = &world.of(Phase::Opening)[0].effect.key;
    let reference = &world.incident("a").reference;
    assert_eq!(*key, format!("test/{reference}/notify-user/opening/0"));
}

/// "Evidence before each attempt … the incident is open, the same class still fails … If it no longer
/// holds, the effect ends `obsolete` with the reason."
#[test]
fn a_message_about_what_is_over_is_not_sent() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "invalid-credentials");
    world.pass(minutes(20));
    // The rules and the planner do not hear of it, the evidence at the attempt does.
    world.recovers("a");
    world.answer = Answer::Takes;
    world.deliver_only();
    let effect = world.effects.values().find(|effect| effect.phase == Phase::Opening).unwrap();
    assert_eq!(effect.state, EffectState::Obsolete);
    assert!(effect.reason.contains("recovered"), "{}", effect.reason);
}

/// "If nobody can be asked, it waits and spends no attempt."
#[test]
fn without_evidence_everything_waits_and_spends_no_attempt() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(minutes(9));
    world.exporter = false;
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Opening), 0);
    let effect = world.effects.values().find(|effect| effect.phase == Phase::Opening).unwrap();
    assert_eq!((effect.state, effect.attempts), (EffectState::Planned, 0));
    world.exporter = true;
    world.pass(minutes(1));
    assert_eq!(world.count(Phase::Opening), 1);
}

/// "… the connector's status is known …"
#[test]
fn while_the_banks_status_is_not_known_everything_waits() {
    let mut world = World::new();
    world.bank("unknown");
    world.fails("a", "service-unavailable");
    world.pass(hours(5));
    assert!(world.done.is_empty());
    world.bank("operational");
    world.pass(hours(1));
    assert!(world.count(Phase::Refresh) > 0 && world.count(Phase::Opening) == 1);
}

/// "Lifetimes: refresh 15 min …, delayed/outage 12 h, credentials/action 72 h, ready 72 h, ticket 7 d, operator 4 h."
#[test]
fn each_kind_lives_as_long_as_is_written() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.fails("c", "user-action-required");
    world.pass(hours(10));
    ["a", "b", "c"].into_iter().for_each(|name| world.recovers(name));
    world.pass(hours(2));
    // A connection that another user is said to have is told to operators.
    world.claim("d", "u-else");
    world.fails("d", "invalid-credentials");
    world.pass(hours(1));
    let lives = |phase, template: &str| {
        let of = |effect: &&Effect| match &effect.payload {
            Payload::Message(message) => effect.phase == phase && message.template == template,
            _ => effect.phase == phase,
        };
        let effect = world.effects.values().find(of).unwrap_or_else(|| panic!("no {phase:?} {template}"));
        effect.expires.duration_since(effect.created)
    };
    assert_eq!(lives(Phase::Refresh, ""), minutes(15));
    assert_eq!(lives(Phase::Opening, "delayed"), hours(12));
    assert_eq!(lives(Phase::Opening, "credentials"), hours(72));
    assert_eq!(lives(Phase::Opening, "bank-action"), hours(72));
    assert_eq!(lives(Phase::Closing, "ready"), hours(72));
    assert_eq!(lives(Phase::Ticket, ""), hours(7 * 24));
    assert_eq!(lives(Phase::Comment, ""), hours(7 * 24));
    assert_eq!(lives(Phase::Notice, ""), hours(4));
}

/// "Lifetimes: refresh 15 min (then planned anew), delayed/outage 12 h, credentials/action 72 h".
#[test]
fn what_waits_too_long_expires_and_only_a_refresh_is_planned_anew() {
    for (scenario, phase, hours_alive, planned) in [
        ("invalid-credentials", Phase::Opening, 72, 1),
        ("retry-queued", Phase::Opening, 12, 1),
        ("service-unavailable", Phase::Refresh, 1, 2),
    ] {
        let mut world = World::new();
        world.answer = Answer::Nothing;
        world.fails("a", scenario);
        world.pass(hours(3));
        let first = world.effects.values().find(|effect| effect.phase == phase).unwrap().clone();
        let lifetime = first.expires.duration_since(first.created);
        let expected = if phase == Phase::Refresh { minutes(15) } else { hours(hours_alive) };
        assert_eq!(lifetime, expected, "{scenario}");
        world.now = first.expires;
        world.answer = Answer::Takes;
        world.pass(minutes(2));
        let all: Vec<_> = world.effects.values().filter(|effect| effect.phase == phase).collect();
        assert_eq!(all.len(), planned, "{scenario}: {all:#?}");
        assert_eq!(world.effects[&first.key].state, EffectState::Expired);
    }
}

/// "A closing message needs positive evidence of the end", also at the time it is sent.
#[test]
fn a_closing_message_is_not_sent_if_it_fails_again_meanwhile() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(minutes(20));
    world.fails("a", "invalid-credentials");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Closing), 0);
    world.recovers("a");
    world.pass(minutes(31));
    assert_eq!(world.count(Phase::Closing), 1);
}
