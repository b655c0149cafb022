//! Behaviour, section 7: tickets for many at once. Each test quotes its sentence.

use basiq_alerter::{
    plan::{Command, Pause},
    store::{EffectState, Payload, Phase},
};

use crate::world::{Answer, World, hours, minutes};

/// "At least 10 connections of one institution, method and class make one storm ticket: counts, 20 samples,
/// all ids attached".
#[test]
fn ten_of_a_kind_make_one_storm_ticket() {
    let mut world = World::new();
    for n in 0..30 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 1);
    let Payload::Ticket { ticket, cases } = &world.of(Phase::Ticket)[0].effect.payload else { panic!() };
    assert_eq!((ticket.connections.len(), cases.len()), (30, 20));
    assert!(ticket.subject.contains("30 connections"), "{}", ticket.subject);
    for n in 0..30 {
        assert!(ticket.body.contains(&format!("c-m{n:02}")));
    }
}

/// Whose tickets are paused while a storm settles is not in it, and joins it afterwards.
#[test]
fn a_storm_is_without_whoever_is_paused() {
    let mut world = World::new();
    for n in 0..11 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(minutes(5));
    world.fails("late", "service-unavailable");
    world.pass(minutes(27));
    let paused = Pause { user: Some("u-late".into()), ..Pause::default() };
    world.obey(Command::Pause(paused.clone()));
    world.pass(hours(2));
    let filed = world.of(Phase::Ticket);
    let [done] = &filed[..] else { panic!("{filed:?}") };
    let Payload::Ticket { ticket, .. } = &done.effect.payload else { panic!() };
    assert!(ticket.connections.len() == 11 && !ticket.body.contains("late"), "{}", ticket.body);
    world.obey(Command::Resume(paused));
    world.pass(hours(1));
    assert!(world.count(Phase::Ticket) == 1 && world.incident("late").ticket.is_some(), "it joined");
}

/// Fewer have a ticket each.
#[test]
fn nine_of_a_kind_have_a_ticket_each() {
    let mut world = World::new();
    for n in 0..9 {
        world.fails(&format!("m{n}"), "service-unavailable");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 9);
}

/// "later ones join until it is closed; comments at half, 90 % and all recovered, at most hourly."
#[test]
fn later_ones_join_the_storm_and_its_recoveries_are_comments() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(1));
    assert_eq!(world.count(Phase::Ticket), 1);
    world.fails("late", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 1, "it joined");
    assert!(world.incident("late").ticket.as_ref().is_some_and(|link| link.storm));
    let said = world.of(Phase::Comment);
    let [done] = &said[..] else { panic!("{said:?}") };
    let Payload::Comment { text, .. } = &done.effect.payload else { panic!() };
    assert_eq!(text, "0 of 21 connections have recovered. 1 more joined since the last word: c-late");
    let before = world.count(Phase::Comment);
    for n in 0..11 {
        world.recovers(&format!("m{n:02}"));
        world.pass(minutes(1));
    }
    world.pass(minutes(61));
    assert_eq!(world.count(Phase::Comment), before + 1, "half");
    for n in 11..20 {
        world.recovers(&format!("m{n:02}"));
    }
    world.recovers("late");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Comment), before + 2, "all");
    // After it is over, the next storm is another ticket.
    world.pass(hours(30));
    for n in 0..12 {
        world.fails(&format!("n{n:02}"), "service-unavailable");
    }
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 2);
}

/// The same is said at most hourly, of all that joined meanwhile but whoever was forgotten.
#[test]
fn who_joins_a_storm_is_named_on_its_ticket_unless_forgotten() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(1));
    world.fails("first", "service-unavailable");
    world.pass(minutes(20));
    for name in ["x", "y", "z"] {
        world.fails(name, "service-unavailable");
    }
    world.pass(minutes(45));
    assert!(world.incident("y").ticket.as_ref().is_some_and(|link| link.storm), "it joined");
    world.obey(Command::Forget { user: "u-y".into() });
    world.pass(hours(2));
    let texts: Vec<&str> = (world.of(Phase::Comment).iter())
        .filter_map(|done| match &done.effect.payload {
            Payload::Comment { text, .. } if text.contains("joined") => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!(
        texts,
        [
            "0 of 21 connections have recovered. 1 more joined since the last word: c-first",
            "1 of 24 connections have recovered. 3 more joined since the last word: c-z, c-x",
        ]
    );
}

/// "… comments at half, 90 % and all recovered, at most hourly."
#[test]
fn a_storm_hears_of_half_of_nine_tenths_and_of_all() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(1));
    let before = world.count(Phase::Comment);
    for (recovered, comments) in [(0..9, 0), (9..10, 1), (10..17, 1), (17..18, 2), (18..19, 2), (19..20, 3)] {
        let last = recovered.end;
        recovered.for_each(|n| world.recovers(&format!("m{n:02}")));
        world.pass(minutes(61));
        assert_eq!(world.count(Phase::Comment) - before, comments, "{last} of 20 have recovered");
    }
    let times: Vec<i64> = world.of(Phase::Comment).iter().map(|done| world.minute(done.at)).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{times:?}");
}

/// "later ones join until it is closed": what comes after has a ticket of its own, and the storm's is reminded of.
#[test]
fn nothing_joins_a_storm_that_a_person_closed() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(1));
    let incident = world.incident("m07").reference.clone();
    world.obey(Command::TicketClosed { incident, wont_fix: false });
    world.fails("late", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 2);
    assert!(world.incident("late").ticket.as_ref().is_some_and(|link| !link.storm));
    world.pass(hours(30));
    let Payload::Comment { text, .. } = &world.of(Phase::Comment)[0].effect.payload else { panic!() };
    assert!(text.contains("20 of 20 connections still fail"), "{text}");
    assert_eq!(world.count(Phase::Comment), 1);
}

/// "A reopening within 24 h of the end continues the incident (same thread, same ticket)" (section 3): also that of
/// a storm, which is not over after all.
#[test]
fn a_storm_that_comes_back_is_said_on_its_ticket() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(hours(1));
    for n in 0..20 {
        world.recovers(&format!("m{n:02}"));
    }
    world.pass(hours(2));
    let said = world.count(Phase::Comment);
    for n in 0..3 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(minutes(5));
    world.restart();
    world.pass(hours(3));
    let comments = world.of(Phase::Comment);
    assert_eq!((comments.len(), world.count(Phase::Ticket)), (said + 1, 1));
    let Payload::Comment { text, news, .. } = &comments[said].effect.payload else { panic!() };
    assert!(text.starts_with("3 of 20 connections fail again") && text.contains("c-m01"), "{text}");
    assert_eq!(*news, basiq_alerter::channels::News::Again);
    // It goes on as it was: others join, and its end is said once more.
    world.fails("late", "service-unavailable");
    world.pass(hours(2));
    assert_eq!(world.count(Phase::Ticket), 1);
    for name in ["m00", "m01", "m02", "late"] {
        world.recovers(name);
    }
    world.pass(hours(2));
    let Payload::Comment { text, .. } = &world.of(Phase::Comment).last().unwrap().effect.payload else {
        panic!()
    };
    assert!(text.starts_with("21 of 21 connections have recovered"), "{text}");
}

/// The same of a storm's, one of whose users is forgotten while it is on its way.
#[test]
fn forgetting_one_of_a_storm_whose_ticket_is_on_its_way_files_no_other() {
    let mut world = World::new();
    for n in 0..20 {
        world.fails(&format!("m{n:02}"), "service-unavailable");
    }
    world.pass(minutes(25));
    world.answer = Answer::Nothing;
    world.pass(minutes(20));
    let mut on_its_way = world.effects.values().find(|it| it.phase == Phase::Ticket).unwrap().clone();
    on_its_way.remote = Some("T-1".to_owned());
    world.obey(Command::Forget { user: "u-m03".into() });
    world.pass(minutes(2));
    world.answers_late(on_its_way, EffectState::Delivered);
    world.restart();
    world.answer = Answer::Takes;
    world.pass(hours(10));
    assert_eq!(world.count(Phase::Ticket), 0);
    for n in 0..20 {
        world.recovers(&format!("m{n:02}"));
    }
    world.pass(hours(2));
    let Payload::Comment { text, .. } = &world.of(Phase::Comment).last().unwrap().effect.payload else {
        panic!()
    };
    assert!(text.starts_with("19 of 19 connections have recovered"), "{text}");
}

/// "Closed by a human while still failing: after 24 h one comment": also where the storm's first connection recovered
/// long ago, and where the one that was to be looked at is forgotten.
#[test]
fn a_storm_closed_by_a_person_is_reminded_of_whatever_became_of_its_first() {
    for forget in [false, true] {
        let mut world = World::new();
        for n in 0..20 {
            world.fails(&format!("m{n:02}"), "service-unavailable");
        }
        world.pass(hours(1));
        let ticket = world.of(Phase::Ticket)[0].effect.incidents.clone();
        let lead = world.incidents[&ticket[0]].connection.trim_start_matches("c-").to_owned();
        world.recovers(&lead);
        world.pass(hours(80));
        let other = (0..20).map(|n| format!("m{n:02}")).find(|name| *name != lead).unwrap();
        let incident = world.incident(&other).reference.clone();
        world.obey(Command::TicketClosed { incident, wont_fix: false });
        if forget {
            let closed = world.rows.keys().find(|(kind, _)| kind == "closed-ticket").unwrap().1.clone();
            let user = world.incidents[&closed].user.clone();
            world.obey(Command::Forget { user });
        }
        world.restart();
        world.pass(hours(50));
        let reminded = world.of(Phase::Comment).into_iter().filter(|done| {
            matches!(&done.effect.payload, Payload::Comment { text, .. } if text.contains("still fail"))
        });
        assert_eq!(reminded.count(), 1, "forget: {forget}");
    }
}
