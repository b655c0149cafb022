//! Behaviour, section 5: closing messages. Each test quotes its sentence.

use basiq_alerter::{
    incidents::{Message, MessageState},
    store::{EffectState, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// "A closing message is owed exactly to those whose opening was accepted by the relay": also where the connection fails
/// anew before it could be sent, and one message then answers both.
#[test]
fn an_end_that_could_not_be_told_is_told_with_the_next_one() {
    for told_again in [false, true] {
        let mut world = World::new();
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        world.recovers("a");
        world.answer = Answer::Nothing;
        world.pass(hours(26));
        // No rule asks for anything yet, and nobody is told of a recovery from which it has fallen.
        world.rules = false;
        world.fails("a", "invalid-credentials");
        world.answer = Answer::Takes;
        world.pass(minutes(2));
        world.rules = true;
        world.restart();
        world.pass(if told_again { hours(1) } else { minutes(5) });
        world.recovers("a");
        world.pass(hours(1));
        let expected: &[&str] =
            if told_again { &["credentials", "credentials", "ready"] } else { &["credentials", "ready"] };
        assert_eq!(world.templates("a"), expected);
        let openings = world.of(Phase::Opening);
        let last = openings.last().unwrap().message().message_id.clone();
        let closing = world.of(Phase::Closing)[0].message();
        assert_eq!(closing.in_reply_to, Some(last), "in the same thread");
        let owes = |message: &Message| matches!(message.state, MessageState::Told { .. });
        let owing = world.incidents.values().filter(|incident| incident.messages.iter().any(owes));
        assert_eq!((world.incidents.len(), owing.count()), (2, 0), "{:#?}", world.incidents);
    }
}

/// "A closing message is owed exactly to those whose opening was accepted by the relay (250), in the same
/// thread, after 30 minutes of health and only if still healthy; no cooldown applies."
#[test]
fn a_closing_is_owed_to_those_who_were_told_after_half_an_hour_of_health() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(hours(3));
    assert_eq!(world.told("a"), [("credentials".to_owned(), 15), ("ready".to_owned(), 90)]);
    let opening = world.done[0].message();
    assert_eq!(world.done[1].message().in_reply_to.as_ref(), Some(&opening.message_id));
}

/// The same sentence for those whose opening was not accepted.
#[test]
fn nobody_is_told_the_end_of_what_nobody_was_told() {
    for state in [EffectState::Dead, EffectState::Expired, EffectState::Unreachable] {
        let mut world = World::new();
        world.answer = Answer::Ends(state);
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        world.answer = Answer::Takes;
        world.recovers("a");
        world.pass(hours(3));
        assert_eq!((world.count(Phase::Opening), world.count(Phase::Closing)), (0, 0), "{state}");
    }
}

/// "`recovered` and `superseded` owe it; other ends cancel what is pending … and tell nobody."
#[test]
fn only_recovered_and_superseded_are_told() {
    for (reason, closings) in
        [("recovered", 1), ("superseded", 1), ("deleted", 0), ("consent-ended", 0), ("abandoned", 0)]
    {
        let mut world = World::new();
        world.fails("a", "invalid-credentials");
        world.pass(hours(1));
        world.ends("a", reason);
        world.pass(hours(3));
        assert_eq!(world.count(Phase::Closing), closings, "{reason}");
    }
}

/// "… cancel what is pending".
#[test]
fn an_end_cancels_what_is_pending() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.fails("a", "service-unavailable");
    world.pass(hours(7));
    let pending = world.effects.values().filter(|effect| !effect.state.is_final()).count();
    assert!(pending >= 2, "a message and a ticket wait");
    world.ends("a", "deleted");
    world.pass(minutes(1));
    assert!(world.effects.values().all(|effect| effect.state.is_final()), "{:#?}", world.effects);
}

/// "after 30 minutes of health": counted from the newest end, also where nobody saw the failure before it.
#[test]
fn health_is_counted_from_the_newest_end() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    world.pass(hours(1));
    world.recovers("a");
    world.pass(minutes(5));
    // Fails and recovers between two looks.
    world.now += minutes(20);
    world.fails("a", "invalid-credentials");
    world.recovers("a");
    let ended = world.now;
    world.pass(hours(2));
    let closings = world.of(Phase::Closing);
    assert_eq!(closings.len(), 1);
    assert!(closings[0].at.duration_since(ended) >= minutes(30));
}
