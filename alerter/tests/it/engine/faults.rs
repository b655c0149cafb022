//! Relays, banks and Basiq at fault: what waits meanwhile, and how it goes on.

use std::{sync::Arc, time::Duration};

use basiq_alerter::{
    channels::DeliveryError,
    outbox::Pace,
    store::{EffectFilter, EffectState, Phase},
};

use super::{
    Remembers, begin, pass,
    process::{start, start_paced, until},
};
use crate::{
    store::{Place, on_both_stores},
    world::World,
};

async fn a_channel_at_fault_opens_its_circuit_spends_no_attempt_and_operators_hear(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&[DeliveryError::Channel { why: "535 authentication failed".into() }]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("the notice", async || hands.notices.lock().unwrap().len() == 1).await;
    assert_eq!(hands.messages.lock().unwrap().len(), 0);
    pass(&process, &mut world, &hand, 3).await;
    until("delivered after all", async || hands.messages.lock().unwrap().len() == 1).await;
    until("the end of the notice", async || hands.notices.lock().unwrap().len() == 2).await;
    let filter = EffectFilter { state: Some(EffectState::Delivered), ..EffectFilter::default() };
    until("kept", async || {
        let effects = process.store.effects(&filter).await.unwrap();
        effects.iter().any(|effect| effect.phase == Phase::Opening && effect.attempts == 1)
    })
    .await;
    process.ends().await;
}

/// Eight attempts that were on their way when the relay broke are one fault, not one fault and seven probes that failed.
async fn attempts_that_fail_together_open_the_circuit_for_a_minute(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&vec![DeliveryError::Channel { why: "535 authentication failed".into() }; 8]);
    *hands.slow.lock().unwrap() = Some(Duration::from_millis(300));
    // All are of one domain, which gets half of the places.
    let pace = Pace { concurrency: 16, rate: 100_000.0, burst: 100.0 };
    let process = start_paced(&place, &clock, &hands, hands.clone(), pace).await;
    for n in 0..8 {
        world.fails(&format!("m{n}"), "invalid-credentials");
    }
    pass(&process, &mut world, &hand, 16).await;
    let deferred = async || {
        let filter =
            EffectFilter { state: Some(EffectState::Deferred), limit: 100, ..EffectFilter::default() };
        let effects = process.store.effects(&filter).await.unwrap();
        effects.iter().filter(|effect| effect.reason.contains("535")).count()
    };
    until("all have failed", async || deferred().await == 8).await;
    *hands.slow.lock().unwrap() = None;
    pass(&process, &mut world, &hand, 3).await;
    until("a probe went through", async || !hands.messages.lock().unwrap().is_empty()).await;
    process.ends().await;
}

/// "What was due during an outage of Basiq or of a relay restarts spread over 30 minutes."
async fn what_waited_for_a_relay_restarts_spread_out(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&vec![DeliveryError::Channel { why: "535 authentication failed".into() }; 4]);
    let pace = Pace { concurrency: 2, rate: 100_000.0, burst: 5.0 };
    let process = start_paced(&place, &clock, &hands, hands.clone(), pace).await;
    for n in 0..60 {
        world.fails(&format!("m{n:02}"), "invalid-credentials");
    }
    let told = || hands.messages.lock().unwrap().len();
    pass(&process, &mut world, &hand, 16).await;
    until("the circuit is open", async || !hands.notices.lock().unwrap().is_empty()).await;
    assert_eq!(told(), 0);
    for _ in 0..60 {
        if told() > 0 {
            break;
        }
        pass(&process, &mut world, &hand, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It works again: a probe went through, and the others do not follow all at once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!((1..30).contains(&told()), "{} of 60 at once", told());
    pass(&process, &mut world, &hand, 10).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!((5..50).contains(&told()), "{} of 60 after a third of the time", told());
    pass(&process, &mut world, &hand, 22).await;
    until("all are told", async || told() == 60).await;
    process.ends().await;
}

/// "User mails and refreshes stop": a second try waits, spends no attempt and keeps its reason. "What was due during an
/// outage of Basiq … restarts spread over 30 minutes."
async fn a_second_try_waits_while_basiq_fails_and_restarts_spread_out(place: Place) {
    const PEOPLE: usize = 60;
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&vec![DeliveryError::Unknown { why: "no reply after DATA".into() }; PEOPLE]);
    let pace = Pace { concurrency: 4, rate: 100_000.0, burst: 5.0 };
    let process = start_paced(&place, &clock, &hands, hands.clone(), pace).await;
    for n in 0..PEOPLE {
        world.fails(&format!("m{n:02}"), "invalid-credentials");
    }
    let told = || hands.messages.lock().unwrap().len();
    let banks = |world: &mut World, newly_failing: f64| {
        for n in 0..6 {
            world.jobs(&format!("AU0000{n}"), newly_failing, newly_failing);
        }
    };
    pass(&process, &mut world, &hand, 16).await;
    until("all are unknown", async || process.count(EffectState::Unknown).await == PEOPLE).await;
    banks(&mut world, 30.0);
    pass(&process, &mut world, &hand, 25).await;
    let filter = EffectFilter { state: Some(EffectState::Unknown), limit: 100, ..EffectFilter::default() };
    let waiting = async || process.store.effects(&filter).await.unwrap();
    until("all wait", async || {
        let waiting = waiting().await;
        waiting.len() == PEOPLE && waiting.iter().all(|effect| effect.reason.contains("Basiq itself"))
    })
    .await;
    assert!(waiting().await.iter().all(|effect| effect.attempts == 1), "{:#?}", waiting().await);
    assert_eq!(told(), PEOPLE, "nobody hears anything meanwhile");
    banks(&mut world, 0.0);
    pass(&process, &mut world, &hand, 3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(told() < PEOPLE + 30, "{} of {PEOPLE} at once", told() - PEOPLE);
    for _ in 0..32 {
        pass(&process, &mut world, &hand, 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("all are told", async || told() == 2 * PEOPLE).await;
    until("and known to be", async || process.count(EffectState::Delivered).await >= PEOPLE).await;
    process.ends().await;
}

/// "One bad mailbox, domain or relay holds up nobody else."
async fn a_domain_that_hangs_holds_up_nobody_else(place: Place) {
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    let process = start(&place, &clock, &hands).await;
    // More of them than there are hands, and all due at the same time.
    for n in 0..20 {
        world.fails(&format!("hangs{n}"), "invalid-credentials");
        world.fails(&format!("well{n}"), "invalid-credentials");
    }
    pass(&process, &mut world, &hand, 16).await;
    until("all others are told", async || hands.messages.lock().unwrap().len() == 20).await;
    process.dies().await;
}

on_both_stores! {
    a_channel_at_fault_opens_its_circuit_spends_no_attempt_and_operators_hear,
    attempts_that_fail_together_open_the_circuit_for_a_minute,
    what_waited_for_a_relay_restarts_spread_out,
    a_second_try_waits_while_basiq_fails_and_restarts_spread_out,
    a_domain_that_hangs_holds_up_nobody_else,
}
