//! Behaviour, section 7: tickets. Each test quotes its sentence.

use basiq_alerter::{
    plan::Command,
    refresh::Refreshed,
    store::{EffectState, Payload, Phase},
};

use crate::world::{Answer, Refresh, World, hours, minutes};

fn tickets(world: &World) -> Vec<i64> {
    world.of(Phase::Ticket).iter().map(|done| world.minute(done.at)).collect()
}

/// "Due when `retry_max` attempts each ended in a failed job … Creation settles 15 minutes."
#[test]
fn due_when_both_retries_have_failed_and_settled() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(48));
    // The second refresh's job failed at 22.
    assert_eq!(tickets(&world), [37]);
}

/// "… or `escalate_after` (6 h) has passed outside major outage, whichever is first".
#[test]
fn due_after_six_hours_where_retries_could_not_be_spent() {
    let mut world = World::new();
    world.refresh = Refresh::Says(Refreshed::Withheld { why: "a job runs".into() });
    world.fails("a", "service-unavailable");
    world.pass(hours(48));
    assert_eq!(tickets(&world), [6 * 60 + 15]);
    let Payload::Ticket { ticket, cases } = &world.of(Phase::Ticket)[0].effect.payload else { panic!() };
    assert!(ticket.body.contains("0 refreshes") && ticket.body.contains("a job runs"), "{}", ticket.body);
    assert!(ticket.body.contains("c-a") && ticket.body.contains("u-a"), "{}", ticket.body);
    assert_eq!(cases.len(), 1);
}

/// "the ticket states the true attempts".
#[test]
fn the_ticket_states_the_true_attempts_and_their_jobs() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    let Payload::Ticket { ticket, .. } = &world.of(Phase::Ticket)[0].effect.payload else { panic!() };
    assert!(ticket.body.contains("2 refreshes, 2 of them ended in a failed job"), "{}", ticket.body);
    for attempt in &world.incident("a").attempts {
        assert!(ticket.body.contains(&attempt.job), "{}", ticket.body);
    }
}

/// Section 2: "at expiry one 'we could not, please reconnect' and one ticket".
#[test]
fn an_expired_queue_is_one_message_and_one_ticket() {
    let mut world = World::new();
    world.fails("a", "retry-queued");
    world.pass(hours(30));
    assert_eq!(world.count(Phase::Ticket), 0);
    world.turns("a", "retry-expired");
    world.pass(hours(48));
    let templates: Vec<String> = world.told("a").into_iter().map(|(template, _)| template).collect();
    assert_eq!(templates, ["delayed", "gave-up"]);
    assert_eq!(tickets(&world), [30 * 60 + 15]);
    world.recovers("a");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Closing), 1);
}

/// "Recovery is a comment; closing is a human's."
#[test]
fn recovery_is_a_comment_on_the_ticket() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Ticket), 1);
    world.recovers("a");
    world.pass(minutes(1));
    let comments = world.of(Phase::Comment);
    let Payload::Comment { remote, text, .. } = &comments[0].effect.payload else { panic!() };
    assert_eq!(Some(remote), world.of(Phase::Ticket)[0].effect.remote.as_ref());
    assert!(text.contains("recovered"), "{text}");
    assert_eq!(comments.len(), 1);
}

/// Section 5: other ends "comment on the ticket".
#[test]
fn other_ends_are_comments_as_well() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    world.ends("a", "deleted");
    world.pass(minutes(1));
    assert_eq!((world.count(Phase::Comment), world.count(Phase::Closing)), (1, 0));
}

/// "each persistent failure gets exactly one ticket" (issue 7), whatever happens to it.
#[test]
fn a_persistent_failure_gets_exactly_one_ticket() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    for _ in 0..20 {
        world.pass(hours(5));
        world.fails_again("a");
        world.restart();
        world.says_all_again();
    }
    assert_eq!(world.count(Phase::Ticket), 1);
}

/// A ticket that is not filed yet is withdrawn when it recovers.
#[test]
fn a_ticket_that_is_not_filed_yet_is_withdrawn() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(25));
    world.answer = Answer::Nothing;
    world.pass(minutes(25));
    let waits = world.effects.values().any(|effect| effect.phase == Phase::Ticket);
    assert!(waits);
    world.recovers("a");
    world.pass(minutes(1));
    let ticket = world.effects.values().find(|effect| effect.phase == Phase::Ticket).unwrap();
    assert_eq!(ticket.state, EffectState::Cancelled);
}

/// "No ticket" while the bank is in major outage (issue 2).
#[test]
fn no_ticket_into_a_major_outage() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(15));
    world.bank("major-outage");
    world.pass(hours(30));
    let of_a = world.of(Phase::Ticket).into_iter().filter(|done| !done.effect.incidents.is_empty());
    assert_eq!(of_a.count(), 0);
}

/// "Closed by a human while still failing: after 24 h one comment (or reopen inside the window)".
#[test]
fn a_ticket_closed_by_a_person_hears_once_that_it_still_fails() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    let incident = world.incident("a").reference.clone();
    world.obey(Command::TicketClosed { incident, wont_fix: false });
    world.pass(hours(23));
    assert_eq!(world.count(Phase::Comment), 0);
    world.restart();
    world.pass(hours(50));
    assert_eq!((world.count(Phase::Comment), world.count(Phase::Ticket)), (1, 1));
    let Payload::Comment { text, .. } = &world.of(Phase::Comment)[0].effect.payload else { panic!() };
    assert!(text.contains("still fails"), "{text}");
}

/// The same of what has recovered meanwhile: nothing but its recovery is said.
#[test]
fn a_closed_ticket_of_what_recovered_hears_of_the_recovery_only() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    let incident = world.incident("a").reference.clone();
    world.obey(Command::TicketClosed { incident, wont_fix: false });
    world.recovers("a");
    world.pass(hours(50));
    assert_eq!(world.count(Phase::Comment), 1);
}

/// "'won't fix' is final for the incident; a new failure after a success is a new incident and ticket."
#[test]
fn wont_fix_is_final_for_the_incident() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    let incident = world.incident("a").reference.clone();
    world.obey(Command::TicketClosed { incident, wont_fix: true });
    world.pass(hours(72));
    world.recovers("a");
    world.pass(hours(30));
    assert_eq!((world.count(Phase::Comment), world.count(Phase::Ticket)), (0, 1));
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 2);
}

/// Section 4: "at a desk that cannot be searched it is held for a person"; operators hear, until none is held.
#[test]
fn what_is_held_for_a_person_is_told_to_operators_until_it_is_decided() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(30));
    world.answer = Answer::Ends(EffectState::Held);
    world.pass(hours(1));
    assert_eq!(world.notices("BasiqAlerterHeldEffects"), 0, "its own notices do not come through either");
    world.answer = Answer::Takes;
    world.pass(minutes(5));
    let key = world.effects.values().find(|effect| effect.phase == Phase::Ticket).unwrap().key.clone();
    assert_eq!(world.effects[&key].state, EffectState::Held);
    let fires = |world: &World| {
        world
            .rows
            .iter()
            .any(|((kind, _), body)| kind == "demand" && body.contains("What goes through desk waits"))
    };
    assert!(fires(&world));
    world.obey(Command::Retry { effect: key.clone() });
    world.pass(minutes(5));
    assert_eq!(world.effects[&key].state, EffectState::Delivered);
    assert!(!fires(&world));
}

fn payload(done: &crate::world::Done) -> (&basiq_alerter::channels::Ticket, usize) {
    let Payload::Ticket { ticket, cases } = &done.effect.payload else { panic!("no ticket") };
    (ticket, cases.len())
}

/// "Basiq's support is an explicit desk, by mail, capped at 5 new tickets a day and one digest for the rest."
#[test]
fn five_new_tickets_a_day_and_one_digest_for_the_rest() {
    let mut world = World::with(|settings| {
        settings.routes.daily.insert("desk".to_owned(), 5);
    });
    // Each at a bank of its own: no storm.
    for n in 0..12 {
        world.fails_at(&format!("m{n:02}"), &format!("AU1{n:04}"), "service-unavailable");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 5);
    world.restart();
    // One that recovers meanwhile needs no word.
    let waits = (0..12).find(|n| world.incident(&format!("m{n:02}")).ticket.is_none()).unwrap();
    world.recovers(&format!("m{waits:02}"));
    world.pass(hours(21));
    assert_eq!(world.count(Phase::Ticket), 5, "the day is not over");
    world.pass(hours(3));
    assert_eq!(world.count(Phase::Ticket), 6, "one digest");
    let all = world.of(Phase::Ticket);
    let (digest, cases) = payload(all.last().unwrap());
    assert_eq!((digest.connections.len(), cases), (6, 6));
    assert!(digest.subject.contains("6 more connections"), "{}", digest.subject);
    for n in (0..12).filter(|n| *n != waits) {
        let incident = world.incident(&format!("m{n:02}"));
        assert!(incident.ticket.is_some(), "each has a ticket");
        let own = all[..5].iter().any(|done| payload(done).0.connections.contains(&incident.connection));
        assert!(own != digest.body.contains(&incident.connection), "in one of the two, not in both");
    }
    // The next day begins anew; the digest is closed to others, and hears of recoveries.
    world.fails_at("next", "AU19999", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 7);
    let comments = world.count(Phase::Comment);
    let members: Vec<usize> = (0..12).filter(|n| digest_has(&world, *n)).collect();
    for n in members {
        world.recovers(&format!("m{n:02}"));
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Comment), comments + 1, "all of the digest have recovered");
}

fn digest_has(world: &World, n: usize) -> bool {
    world.incident(&format!("m{n:02}")).ticket.as_ref().is_some_and(|link| link.storm)
}

/// The same: a desk that says nothing takes any number, and a ticket that was withdrawn leaves its place.
#[test]
fn only_the_desk_that_is_capped_is_and_withdrawn_tickets_do_not_count() {
    let mut world = World::new();
    for n in 0..12 {
        world.fails_at(&format!("m{n:02}"), &format!("AU1{n:04}"), "service-unavailable");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 12);

    let mut world = World::with(|settings| {
        settings.routes.daily.insert("desk".to_owned(), 1);
    });
    world.fails_at("a", "AU10001", "service-unavailable");
    world.pass(minutes(30));
    world.answer = Answer::Nothing;
    world.pass(hours(1));
    assert!(world.incident("a").ticket.is_some(), "planned, and nobody takes it");
    world.recovers("a");
    world.pass(minutes(5));
    world.answer = Answer::Takes;
    world.fails_at("b", "AU10002", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 1, "its place was free");
}

/// A desk may go on in another ticket where the first takes no comments any more: what follows is said there.
#[test]
fn what_follows_is_said_where_the_desk_went_on() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(1));
    world.moved = Some("follow-up".to_owned());
    world.recovers("a");
    world.pass(minutes(5));
    world.restart();
    world.fails("a", "service-unavailable");
    world.pass(minutes(5));
    let comments = world.of(Phase::Comment);
    let Payload::Comment { remote, .. } = &comments[1].effect.payload else { panic!() };
    assert_eq!((comments.len(), remote.as_str()), (2, "follow-up"));
}

/// "Closed by a human …": a desk says so each time it is asked; that changes nothing. One that is opened again is
/// not reminded of.
#[test]
fn a_ticket_is_closed_once_however_often_its_desk_says_so() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(hours(2));
    let incident = world.incident("a").reference.clone();
    for _ in 0..48 {
        world.obey(Command::TicketClosed { incident: incident.clone(), wont_fix: false });
        world.pass(hours(1));
    }
    assert_eq!(world.count(Phase::Comment), 1);
    world.obey(Command::TicketOpened { incident: incident.clone() });
    world.obey(Command::TicketClosed { incident: incident.clone(), wont_fix: false });
    world.pass(hours(2));
    world.obey(Command::TicketOpened { incident });
    world.pass(hours(48));
    assert_eq!(world.count(Phase::Comment), 1, "somebody works on it again");
}

/// "Creation settles 15 minutes", and section 3, "both restart when it lifts": retries that failed before an outage,
/// or before it recovered, make no ticket in the minute in which that is over.
#[test]
fn what_was_tried_before_an_outage_or_an_end_makes_no_ticket_at_once() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(25));
    world.bank("major-outage");
    world.pass(hours(5));
    world.bank("operational");
    world.pass(minutes(14));
    assert_eq!(world.count(Phase::Ticket), 0, "the bank works for less than a quarter of an hour");
    world.pass(minutes(80));
    assert_eq!(world.count(Phase::Ticket), 1);

    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(25));
    world.recovers("a");
    world.pass(hours(10));
    world.fails("a", "service-unavailable");
    world.pass(minutes(14));
    assert_eq!(world.count(Phase::Ticket), 0, "it fails anew for less than a quarter of an hour");
    world.pass(minutes(10));
    assert_eq!(world.count(Phase::Ticket), 1);
}

/// "Recovery is a comment", "exactly one ticket": one that was withdrawn on its way, and was filed all the same, is the
/// incident's ticket.
#[test]
fn a_ticket_withdrawn_on_its_way_hears_of_the_recovery_and_is_the_only_one() {
    let mut world = World::new();
    world.fails("a", "service-unavailable");
    world.pass(minutes(25));
    world.answer = Answer::Nothing;
    world.pass(minutes(20));
    let mut on_its_way = world.effects.values().find(|it| it.phase == Phase::Ticket).unwrap().clone();
    on_its_way.remote = Some("T-1".to_owned());
    world.recovers("a");
    world.pass(minutes(1));
    world.answers_late(on_its_way, EffectState::Delivered);
    world.answer = Answer::Takes;
    world.pass(minutes(2));
    let comments = world.of(Phase::Comment);
    let Payload::Comment { remote, text, .. } = &comments[0].effect.payload else { panic!() };
    assert!(remote == "T-1" && text.contains("recovered"), "{remote}: {text}");
    world.fails("a", "service-unavailable");
    world.pass(hours(10));
    assert_eq!(
        (world.count(Phase::Ticket), world.count(Phase::Comment)),
        (0, 2),
        "it goes on in the same one"
    );
}
