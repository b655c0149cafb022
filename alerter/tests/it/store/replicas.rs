//! Several replicas on one Postgres: one leads and its commits are fenced, all claim, the dead are buried.

use std::{sync::Arc, time::Duration};

use basiq_alerter::{
    outbox::Signal,
    plan::Outcome,
    store::{Effect, EffectState, LEASE, Replicas, Store, StoreError},
};

use super::{
    Place,
    suite::{batch, effect, now},
};

async fn replicas(number: usize) -> Option<Vec<Arc<dyn Store>>> {
    let place = Place::database().await?;
    let mut stores = Vec::new();
    for _ in 0..number {
        stores.push(place.open(now()).await);
    }
    Some(stores)
}

fn of(store: &Arc<dyn Store>) -> &dyn Replicas {
    store.replicas().unwrap()
}

async fn keys(store: &Arc<dyn Store>, number: u32) -> Vec<String> {
    let claimed = of(store).claim(&[("mail".to_owned(), number)], now()).await.unwrap();
    claimed.into_iter().map(|effect| effect.key).collect()
}

#[tokio::test]
async fn one_leads_and_the_commits_of_another_are_refused() {
    let Some(all) = replicas(2).await else { return };
    assert!(of(&all[0]).beat().await.unwrap().leads);
    let second = of(&all[1]).beat().await.unwrap();
    assert_eq!((second.leads, second.alive), (false, 2));
    all[0].commit(&batch(vec![effect("k1", "i")])).await.unwrap();
    let error = all[1].commit(&batch(vec![effect("k2", "i")])).await.unwrap_err();
    assert!(matches!(error, StoreError::Deposed), "{error}");
    assert!(all[0].effect("k2").await.unwrap().is_none());
    // The lead that is handed back is taken at the next beat.
    of(&all[0]).leave().await.unwrap();
    let second = of(&all[1]).beat().await.unwrap();
    assert_eq!((second.leads, second.alive), (true, 1));
    let error = all[0].commit(&batch(vec![effect("k3", "i")])).await.unwrap_err();
    assert!(matches!(error, StoreError::Deposed), "{error}");
}

#[tokio::test]
async fn what_one_has_claimed_no_other_gets_and_a_change_frees_it() {
    let Some(all) = replicas(2).await else { return };
    of(&all[0]).beat().await.unwrap();
    let effects: Vec<Effect> = (0..10).map(|n| effect(&format!("k{n}"), "i")).collect();
    all[0].commit(&batch(effects)).await.unwrap();
    assert_eq!(of(&all[1]).due(now()).await.unwrap(), ["mail"]);
    let (one, other) = (keys(&all[0], 4).await, keys(&all[1], 100).await);
    assert_eq!((one.len(), other.len()), (4, 6));
    assert!(one.iter().all(|key| !other.contains(key)));
    assert!(keys(&all[0], 100).await.is_empty() && of(&all[0]).due(now()).await.unwrap().is_empty());
    assert!(all[0].attempting(&other).await.unwrap().is_empty(), "they are another's");
    // The planner changes one: whoever had claimed it must look at it anew.
    all[0].commit(&batch(vec![effect(&other[0], "i")])).await.unwrap();
    assert!(all[1].attempting(&other[..1]).await.unwrap().is_empty());
    assert_eq!(keys(&all[1], 100).await, other[..1]);
    assert_eq!(all[1].attempting(&other).await.unwrap().len(), 6);
    // Handed back for later, and due then.
    of(&all[0]).put_back(&one, now() + crate::world::minutes(1)).await.unwrap();
    assert!(keys(&all[1], 100).await.is_empty());
    let later = now() + crate::world::minutes(1);
    assert_eq!(of(&all[1]).claim(&[("mail".into(), 100)], later).await.unwrap().len(), 4);
    // Who ends hands back what it has not begun.
    assert!(of(&all[0]).claim(&[("mail".into(), 100)], later).await.unwrap().is_empty());
    of(&all[1]).leave().await.unwrap();
    assert_eq!(of(&all[0]).claim(&[("mail".into(), 100)], later).await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_was_due_during_an_outage_is_spread_out() {
    let Some(all) = replicas(1).await else { return };
    of(&all[0]).beat().await.unwrap();
    let effects: Vec<Effect> = (0..200).map(|n| effect(&format!("k{n}"), "i")).collect();
    all[0].commit(&batch(effects)).await.unwrap();
    of(&all[0]).spread("mail", now(), Duration::from_secs(1800), 500).await.unwrap();
    assert_eq!(keys(&all[0], 20).await.len(), 20, "so few go at once");
    of(&all[0]).spread("mail", now(), Duration::from_secs(1800), 20).await.unwrap();
    assert!(keys(&all[0], 500).await.len() < 5);
    let half = now() + crate::world::minutes(15);
    let due = of(&all[0]).claim(&[("mail".into(), 500)], half).await.unwrap().len();
    assert!((60..120).contains(&due), "{due} of 180 after half of the time");
}

/// "the death of any is made good within 10 seconds"
#[tokio::test]
async fn of_a_dead_replica_claims_come_free_attempts_are_unknown_and_outcomes_are_kept() {
    let Some(all) = replicas(2).await else { return };
    assert!(of(&all[0]).beat().await.unwrap().leads);
    of(&all[1]).beat().await.unwrap();
    let effects: Vec<Effect> = (0..3).map(|n| effect(&format!("k{n}"), "i")).collect();
    all[0].commit(&batch(effects)).await.unwrap();
    // The second claims all, attempts two, reports one of them, and dies.
    let claimed = of(&all[1]).claim(&[("mail".into(), 9)], now()).await.unwrap();
    assert_eq!(all[1].attempting(&["k0".into(), "k1".into()]).await.unwrap().len(), 2);
    let mut delivered = claimed.iter().find(|effect| effect.key == "k0").unwrap().clone();
    (delivered.state, delivered.marks) = (EffectState::Delivered, 1);
    let outcome =
        Outcome { effect: delivered, spoke_of: vec!["i".into()], refreshed: None, failed_before: None };
    of(&all[1]).report(&[Signal::Outcome(Box::new(outcome))]).await.unwrap();
    let began = std::time::Instant::now();
    let mut reported = Vec::new();
    while reported.len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "not made good in time");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(of(&all[0]).beat().await.unwrap().leads);
        of(&all[0]).bury(now()).await.unwrap();
        reported = of(&all[0]).reported().await.unwrap();
    }
    assert!(began.elapsed() + Duration::from_secs(2) > LEASE, "it was not given up too soon");
    let states: Vec<(String, EffectState, u32)> = reported
        .iter()
        .map(|(_, signal)| match signal {
            Signal::Outcome(outcome) => {
                (outcome.effect.key.clone(), outcome.effect.state, outcome.effect.unknowns)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        states,
        [("k0".to_owned(), EffectState::Delivered, 0), ("k1".to_owned(), EffectState::Unknown, 1)]
    );
    assert_eq!(keys(&all[0], 9).await, ["k2"]);
    // The next burial finds nothing more.
    of(&all[0]).bury(now()).await.unwrap();
    assert_eq!(of(&all[0]).reported().await.unwrap().len(), 2);
}

/// A leader that was not heard for a while finds another in its place, and plans no more.
#[tokio::test]
async fn a_leader_that_was_silent_too_long_is_deposed() {
    let Some(all) = replicas(2).await else { return };
    assert!(of(&all[0]).beat().await.unwrap().leads);
    let began = std::time::Instant::now();
    while !of(&all[1]).beat().await.unwrap().leads {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody takes over");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let error = all[0].commit(&batch(vec![effect("k1", "i")])).await.unwrap_err();
    assert!(matches!(error, StoreError::Deposed), "{error}");
    assert!(matches!(of(&all[0]).beat().await, Err(StoreError::Deposed)));
}
