//! The engine, each of the stores and the outbox together, with hands that remember.

mod at_once;
mod faults;
mod hands;
mod process;
mod stopping;
mod traces;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use basiq_alerter::{
    channels::{DeliveryError, UserMessage},
    demand::Action,
    plan::{Command, Pause},
    store::{EffectFilter, EffectState, IncidentFilter, Phase},
};
pub(crate) use hands::Remembers;
pub(crate) use process::{Process, begin, pass, start_with};
use process::{start, until};

use crate::{
    store::{Place, on_both_stores},
    world::minutes,
};

async fn a_failure_is_told_ticketed_and_closed_through_store_and_outbox(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    world.fails("b", "service-unavailable");
    pass(&process, &mut world, &hand, 16).await;
    until("the opening", async || hands.messages.lock().unwrap().len() == 1).await;
    until("the first refresh", async || hands.refreshes.load(Ordering::SeqCst) == 1).await;
    pass(&process, &mut world, &hand, 1).await;
    world.fails_again("b");
    pass(&process, &mut world, &hand, 12).await;
    until("the second refresh", async || hands.refreshes.load(Ordering::SeqCst) == 2).await;
    until("delayed", async || hands.messages.lock().unwrap().len() == 2).await;
    world.now += minutes(1);
    hand.set(world.now);
    world.fails_again("b");
    pass(&process, &mut world, &hand, 16).await;
    until("the ticket", async || hands.tickets.lock().unwrap().len() == 1).await;
    let body = hands.tickets.lock().unwrap().values().next().unwrap().body.clone();
    for fact in ["c-b", "u-b", "job-77", "corr-1", "2 refreshes"] {
        assert!(body.contains(fact), "{fact} is missing in:\n{body}");
    }
    until("all is delivered", async || process.count(EffectState::Delivered).await == 5).await;
    world.recovers("a");
    world.recovers("b");
    pass(&process, &mut world, &hand, 31).await;
    until("both closings", async || hands.messages.lock().unwrap().len() == 4).await;
    until("the comment", async || hands.comments.lock().unwrap().len() == 1).await;
    let incidents = process.store.incidents(&IncidentFilter::default()).await.unwrap();
    assert_eq!(incidents.len(), 2);
    let story = process.store.timeline(&incidents[0].reference).await.unwrap();
    let words: Vec<&str> = story.iter().map(|entry| entry.what.as_str()).collect();
    assert!(words.starts_with(&["opened"]) && words.contains(&"delivered"), "{words:?}");
    process.ends().await;
}

async fn an_unknown_outcome_of_a_mail_is_tried_once_more_with_the_same_message_id(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let unknown = DeliveryError::Unknown { why: "no reply after DATA".into() };
    hands.says(&[unknown.clone(), unknown]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("unknown", async || process.count(EffectState::Unknown).await == 1).await;
    pass(&process, &mut world, &hand, 14).await;
    assert_eq!(hands.messages.lock().unwrap().len(), 1, "not before a quarter of an hour");
    pass(&process, &mut world, &hand, 3).await;
    until("final", async || process.count(EffectState::Dead).await == 1).await;
    pass(&process, &mut world, &hand, 60).await;
    let ids: Vec<String> =
        hands.messages.lock().unwrap().iter().map(|message| message.message_id.clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    process.ends().await;
}

async fn a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "unknown");
    hands.says(&[DeliveryError::Unknown { why: "no answer to the POST".into() }]);
    pass(&process, &mut world, &hand, 6 * 60 + 16).await;
    until("unknown", async || process.count(EffectState::Unknown).await == 1).await;
    pass(&process, &mut world, &hand, 6).await;
    until("found", async || process.count(EffectState::Delivered).await == 1).await;
    assert_eq!(hands.tickets.lock().unwrap().len(), 1);
    process.ends().await;
}

/// Two users of one address get one message. Who has an address of their own by the time it is sent gets one of their
/// own, and nobody else hears of their bank.
async fn users_who_part_while_their_message_waits_are_told_apart(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.homes.lock().unwrap().insert("u-b".into(), "u-a".into());
    hands.says(&[DeliveryError::Retry { after: None, why: "451 later".into() }]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    world.fails("b", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("the first try of both", async || process.count(EffectState::Deferred).await == 1).await;
    hands.homes.lock().unwrap().clear();
    let told = || -> Vec<(String, Vec<String>)> {
        let messages = hands.messages.lock().unwrap();
        let of = |message: &UserMessage| message.connections.iter().map(|of| of.user.clone()).collect();
        messages.iter().map(|message| (message.user.clone(), of(message))).collect()
    };
    pass(&process, &mut world, &hand, 5).await;
    until("they have parted", async || process.count(EffectState::Obsolete).await == 1).await;
    pass(&process, &mut world, &hand, 10).await;
    until("each one's own", async || told().len() == 2).await;
    let mut told = told();
    told.sort();
    assert_eq!(told, ["u-a", "u-b"].map(|user| (user.to_owned(), vec![user.to_owned()])));
    process.ends().await;
}

async fn an_address_that_does_not_exist_is_suppressed_and_never_tried_again(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&[DeliveryError::Recipient { code: "5.1.1".into() }]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("unreachable", async || process.count(EffectState::Unreachable).await == 1).await;
    world.turns("a", "account-locked");
    pass(&process, &mut world, &hand, 20).await;
    until("suppressed", async || process.count(EffectState::Unreachable).await == 2).await;
    assert!(hands.messages.lock().unwrap().is_empty());
    process.ends().await;
}

/// "Ends: …", "Each change keeps its reason": in the effect, and in the story of its incident.
async fn each_end_is_kept_with_its_reason(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    let no = DeliveryError::Permanent { why: "552 5.3.4 too large".into() };
    let nobody = DeliveryError::Recipient { code: "5.1.1".into() };
    let ends = [
        ("a", vec![no], EffectState::Dead, "552 5.3.4 too large"),
        ("b", vec![nobody], EffectState::Unreachable, "5.1.1"),
        ("c", Vec::new(), EffectState::Delivered, "taken"),
    ];
    for (name, answers, state, reason) in ends {
        hands.says(&answers);
        world.fails(name, "invalid-credentials");
        pass(&process, &mut world, &hand, 16).await;
        let filter = EffectFilter { state: Some(state), limit: 100, ..EffectFilter::default() };
        let ended = async || {
            let all = process.store.effects(&filter).await.unwrap();
            all.into_iter().find(|effect| effect.phase == Phase::Opening)
        };
        until(state.as_str(), async || ended().await.is_some()).await;
        let effect = ended().await.unwrap();
        assert!(effect.reason.contains(reason), "{effect:?}");
        let story = process.store.timeline(&effect.incidents[0]).await.unwrap();
        let last = story.iter().rfind(|entry| entry.effect.as_ref() == Some(&effect.key)).unwrap();
        assert!(last.text.contains(reason), "{story:#?}");
    }
    process.ends().await;
}

/// "The address comes at send time … and is kept no longer than needed."
async fn no_address_is_kept(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("told", async || process.count(EffectState::Delivered).await == 1).await;
    world.recovers("a");
    pass(&process, &mut world, &hand, 31).await;
    until("told the end", async || process.count(EffectState::Delivered).await == 2).await;
    let everything = EffectFilter { limit: 1000, ..EffectFilter::default() };
    let incidents =
        process.store.incidents(&IncidentFilter { limit: 1000, ..Default::default() }).await.unwrap();
    let mut kept = format!("{:?} {incidents:?}", process.store.effects(&everything).await.unwrap());
    for incident in &incidents {
        kept += &format!("{:?}", process.store.timeline(&incident.reference).await.unwrap());
    }
    assert!(kept.contains("u-a"), "the user is known by id");
    assert!(!kept.contains("@example.test"), "{kept}");
    process.ends().await;
}

/// "Operators and desks are never suppressed."
async fn a_desk_that_refuses_is_not_suppressed(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&[DeliveryError::Recipient { code: "5.1.1".into() }]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "unsupported");
    pass(&process, &mut world, &hand, 20).await;
    until("refused", async || process.count(EffectState::Unreachable).await == 1).await;
    assert!(process.store.suppressions().await.unwrap().is_empty());
    world.fails("b", "unsupported");
    pass(&process, &mut world, &hand, 20).await;
    until("filed", async || hands.tickets.lock().unwrap().len() == 1).await;
    process.ends().await;
}

/// Issue 7: "Kill -9 at random moments … nothing lost, no ticket doubled, a mail doubled only with the same
/// Message-ID after an unknown outcome, and that counted."
async fn deaths_lose_nothing_and_double_nothing_uncounted(place: Place) {
    const PEOPLE: usize = 120;
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    *hands.slow.lock().unwrap() = Some(Duration::from_millis(5));
    for n in 0..PEOPLE {
        world.fails(&format!("m{n:03}"), "invalid-credentials");
    }
    world.now += minutes(16);
    hand.set(world.now);
    for death in 0..10_u64 {
        let process = start(&place, &clock, &hands).await;
        world.says_all_again();
        process.shows(&mut world).await;
        tokio::time::sleep(Duration::from_millis(10 + death * 7)).await;
        process.dies().await;
        world.now += minutes(3);
        hand.set(world.now);
    }
    let process = start(&place, &clock, &hands).await;
    let messages = async || {
        let filter = EffectFilter { limit: 1000, ..EffectFilter::default() };
        let mut effects = process.store.effects(&filter).await.unwrap();
        effects.retain(|effect| effect.action == Action::NotifyUser);
        effects
    };
    // On a busy machine the simulated time runs ahead of the lines, which then spread what is due over half an hour.
    let mut passed = 0;
    let effects = loop {
        let effects = messages().await;
        let waiting: Vec<_> = effects.iter().filter(|effect| !effect.state.is_final()).collect();
        if effects.len() == PEOPLE && waiting.is_empty() {
            break effects;
        }
        passed += 1;
        let planned = effects.len();
        assert!(passed < 300, "{planned} of {PEOPLE} are planned, and these have no end: {waiting:#?}");
        pass(&process, &mut world, &hand, 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut sent: HashMap<String, (u32, String)> = HashMap::new();
    for message in hands.messages.lock().unwrap().iter() {
        let entry = sent.entry(message.user.clone()).or_insert((0, message.message_id.clone()));
        assert_eq!(entry.1, message.message_id, "another Message-ID for the same message");
        entry.0 += 1;
    }
    for effect in effects {
        let basiq_alerter::store::Payload::Message(message) = &effect.payload else { panic!("{effect:?}") };
        let times = sent.get(&message.user).map_or(0, |(times, _)| *times);
        assert!(times <= 1 + effect.unknowns, "doubled without being counted: {effect:?}");
        // One that was on its way in two deaths is not tried a third time, and operators hear of it.
        let given_up = effect.state == EffectState::Dead && effect.unknowns == 2;
        assert!(times > 0 || given_up, "somebody was forgotten: {effect:?}");
        assert!(effect.state == EffectState::Delivered || given_up, "{effect:?}");
    }
    process.ends().await;
}

async fn a_pause_asked_for_through_the_store_is_obeyed(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    process.store.ask(&Command::Pause(Pause::default()), clock.now()).await.unwrap();
    until("it is taken", async || process.store.asked().await.unwrap().is_empty()).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 30).await;
    assert!(hands.messages.lock().unwrap().is_empty());
    process.store.ask(&Command::Resume(Pause::default()), clock.now()).await.unwrap();
    until("it is sent", async || hands.messages.lock().unwrap().len() == 1).await;
    process.ends().await;
}

on_both_stores! {
    a_failure_is_told_ticketed_and_closed_through_store_and_outbox,
    an_unknown_outcome_of_a_mail_is_tried_once_more_with_the_same_message_id,
    a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice,
    users_who_part_while_their_message_waits_are_told_apart,
    an_address_that_does_not_exist_is_suppressed_and_never_tried_again,
    each_end_is_kept_with_its_reason,
    no_address_is_kept,
    a_desk_that_refuses_is_not_suppressed,
    deaths_lose_nothing_and_double_nothing_uncounted,
    a_pause_asked_for_through_the_store_is_obeyed,
}
