//! Behaviour, section 3: the cause of an incident. Each test quotes its sentence.

use basiq_alerter::{
    evidence::Snapshot,
    incidents::Cause,
    plan::{Stop, Stops},
    store::{Effect, EffectState, Payload, Phase},
};

use crate::world::{Answer, BANK, World, hours, minutes};

const BANKS: [&str; 6] = ["AU00001", "AU00002", "AU00003", "AU00004", "AU00005", "AU00006"];

/// So many of six banks have an outage by their jobs.
fn ailing(world: &mut World, banks: usize) {
    for (n, bank) in BANKS.iter().enumerate() {
        if n < banks { world.jobs(bank, 30.0, 40.0) } else { world.jobs(bank, 0.0, 1.0) }
    }
}

fn platform_tickets(world: &World) -> Vec<&crate::world::Done> {
    let about = |done: &&crate::world::Done| done.effect.incidents.is_empty();
    world.of(Phase::Ticket).into_iter().filter(about).collect()
}

/// "… or if in 30 minutes at least 10 distinct users and 20 % of its finished jobs newly failed in the
/// service-unavailable class, five times its usual share."
#[test]
fn the_bank_is_named_when_its_jobs_say_so() {
    let mut world = World::new();
    world.jobs(BANK, 20.0, 20.0);
    world.fails("a", "service-unavailable");
    world.fails("b", "invalid-credentials");
    world.pass(minutes(20));
    assert_eq!(world.incident("a").cause, Cause::Bank);
    assert_eq!(world.incident("b").cause, Cause::Connection, "another class is not the bank's");
    assert_eq!(world.templates("a"), ["outage"]);
    assert_eq!(world.templates("b"), ["credentials"]);
}

/// Below any of the three thresholds "the mail says that we could not update the data from X."
#[test]
fn below_a_threshold_the_bank_is_not_named() {
    for (newly, usual) in [(9.0, Some(0.0)), (19.0, Some(0.0)), (20.0, Some(0.05)), (20.0, None)] {
        let mut world = World::new();
        world.jobs(BANK, newly, 50.0);
        world.traffic.values_mut().for_each(|traffic| {
            traffic.usual = usual;
            traffic.finished = if newly < 10.0 { 40.0 } else { 100.0 };
        });
        world.fails("a", "service-unavailable");
        world.pass(hours(3));
        assert_eq!(world.incident("a").cause, Cause::Connection, "{newly} {usual:?}");
        assert_eq!(world.templates("a"), ["delayed"], "{newly} {usual:?}");
    }
}

/// An outage by its jobs lasts until they succeed again; where nobody knows, also over a restart, it stays.
#[test]
fn an_outage_by_jobs_lasts_until_they_succeed() {
    let mut world = World::new();
    world.answer = Answer::Nothing;
    world.jobs(BANK, 20.0, 20.0);
    world.fails("a", "service-unavailable");
    world.pass(minutes(20));
    world.jobs(BANK, 2.0, 60.0);
    world.pass(minutes(5));
    world.traffic.clear();
    world.restart();
    world.pass(minutes(5));
    assert_eq!(world.incident("a").cause, Cause::Bank);
    world.jobs(BANK, 0.0, 3.0);
    world.pass(minutes(5));
    assert_eq!(world.incident("a").cause, Cause::Connection);
    let outage = world.effects.values().find(|effect| effect.phase == Phase::Opening).unwrap();
    assert_eq!(outage.state, EffectState::Cancelled, "it was not sent, and is wrong now");
    world.answer = Answer::Takes;
    world.pass(hours(3));
    assert_eq!(world.templates("a"), ["delayed"]);
}

/// "at least 5 institutions and 30 % of those with jobs over that threshold at once: the cause is Basiq. User mails
/// and refreshes stop, operators get one alert, one ticket is filed."
#[test]
fn five_banks_at_once_are_basiq_itself() {
    let mut world = World::new();
    for (n, bank) in BANKS.iter().enumerate() {
        world.fails_at(&format!("m{n}"), bank, "service-unavailable");
    }
    world.fails("b", "invalid-credentials");
    ailing(&mut world, 5);
    world.pass(hours(10));
    world.restart();
    world.says_all_again();
    world.pass(hours(2));
    assert_eq!(world.incident("m0").cause, Cause::Platform);
    assert_eq!(world.count(Phase::Opening) + world.count(Phase::Refresh), 0, "{:?}", world.done);
    assert_eq!(world.notices("BasiqAlerterPlatformOutage"), 1);
    assert_eq!((platform_tickets(&world).len(), world.count(Phase::Ticket)), (1, 1));
    // It is over: what is due restarts spread out, the ticket hears of it, and the alert ends.
    let before = world.now;
    ailing(&mut world, 0);
    world.pass(minutes(90));
    assert_eq!(world.incident("m0").cause, Cause::Connection);
    assert_eq!(world.count(Phase::Comment), 1);
    let mut minutes_told: Vec<i64> =
        world.of(Phase::Opening).iter().map(|done| done.at.duration_since(before).as_mins()).collect();
    minutes_told.sort_unstable();
    minutes_told.dedup();
    assert!(
        minutes_told.len() > 3 && minutes_told.last().is_some_and(|last| *last <= 31),
        "{minutes_told:?}"
    );
    assert!(world.count(Phase::Refresh) > 0);
    let ended = |done: &&&crate::world::Done| matches!(&done.effect.payload, Payload::Notice(notice) if notice.ended.is_some());
    assert_eq!(world.of(Phase::Notice).iter().filter(ended).count(), 1);
}

/// Four banks are four banks, and five of a hundred are no more than five.
#[test]
fn fewer_banks_or_a_smaller_share_are_not_basiq() {
    let mut world = World::new();
    world.fails("a", "invalid-credentials");
    ailing(&mut world, 4);
    world.pass(minutes(30));
    ailing(&mut world, 5);
    for n in 0..20 {
        world.jobs(&format!("AU1{n:04}"), 0.0, 0.0);
    }
    world.pass(minutes(30));
    assert_eq!(world.notices("BasiqAlerterPlatformOutage"), 0);
    assert_eq!(world.templates("a"), ["credentials"]);
}

/// "User mails … stop": what was planned and not sent yet is withdrawn, and so is a closing put off.
#[test]
fn what_waits_when_basiq_fails_is_withdrawn_and_planned_anew() {
    let mut world = World::new();
    world.fails("told", "invalid-credentials");
    world.pass(minutes(30));
    world.answer = Answer::Nothing;
    world.fails("late", "invalid-credentials");
    world.pass(minutes(20));
    world.recovers("told");
    ailing(&mut world, 6);
    world.pass(minutes(1));
    world.answer = Answer::Takes;
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Opening), 1);
    assert_eq!(world.count(Phase::Closing), 0);
    ailing(&mut world, 0);
    world.pass(hours(1));
    assert_eq!(world.templates("late"), ["credentials"]);
    assert_eq!(world.templates("told"), ["credentials", "ready"], "what is owed stays owed");
}

/// "User mails and refreshes stop": also a second try, which cannot be withdrawn, waits and spends no attempt. Tickets
/// and notices go on, and replicas that read the store know of it too.
#[test]
fn what_may_have_been_taken_waits_while_basiq_fails() {
    let mut world = World::new();
    world.answer = Answer::Ends(EffectState::Unknown);
    world.fails("a", "invalid-credentials");
    world.fails("b", "unsupported");
    world.fails("c", "service-unavailable");
    world.pass(minutes(20));
    let unknown: Vec<_> =
        world.effects.values().filter(|effect| effect.state == EffectState::Unknown).cloned().collect();
    let stopped = |world: &World| {
        let stops = world.planner.stops();
        let mut rows = world.rows.iter().map(|((kind, _), body)| (kind.clone(), body.clone()));
        assert_eq!(Stops::read(&rows.by_ref().collect::<Vec<_>>()).unwrap(), stops, "others know the same");
        let stopped = |effect: &&Effect| stops.of(effect, &Snapshot::default()) == Some(Stop::Platform);
        let mut phases: Vec<Phase> = unknown.iter().filter(stopped).map(|effect| effect.phase).collect();
        phases.sort();
        phases
    };
    assert!(unknown.iter().any(|effect| effect.phase == Phase::Ticket), "{unknown:#?}");
    assert_eq!(stopped(&world), []);
    ailing(&mut world, 5);
    world.pass(minutes(1));
    assert_eq!(stopped(&world), [Phase::Opening, Phase::Refresh]);
    world.restart();
    assert_eq!(stopped(&world), [Phase::Opening, Phase::Refresh]);
    ailing(&mut world, 0);
    world.pass(minutes(1));
    assert_eq!(stopped(&world), []);
}

/// "A connector left in major outage for over 24 h: one notice to operators, one ticket for the institution."
#[test]
fn a_connector_left_in_major_outage_is_one_notice_and_one_ticket() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n}"), "service-unavailable");
    }
    world.bank("major-outage");
    world.banks.insert((BANK.to_owned(), "openbanking".to_owned()), "major-outage".to_owned());
    world.pass(hours(23));
    assert_eq!((world.count(Phase::Ticket), world.notices("BasiqAlerterLongOutage")), (0, 0));
    world.restart();
    world.pass(hours(30));
    assert_eq!((world.count(Phase::Ticket), world.notices("BasiqAlerterLongOutage")), (1, 1));
    let Payload::Ticket { ticket, .. } = &world.of(Phase::Ticket)[0].effect.payload else { panic!() };
    assert!(ticket.body.contains("20 connections") && ticket.institution == BANK, "{}", ticket.body);
    world.banks.values_mut().for_each(|status| "operational".clone_into(status));
    world.pass(minutes(5));
    assert_eq!(world.count(Phase::Comment), 1, "its end is a comment");
}

/// A bank that nobody here has is nobody's trouble.
#[test]
fn a_bank_without_connections_here_is_not_told() {
    let mut world = World::new();
    world.banks.insert(("AU99999".to_owned(), "web".to_owned()), "major-outage".to_owned());
    world.pass(hours(30));
    assert!(world.done.is_empty(), "{:?}", world.done);
}
