//! A connection to Postgres that breaks after the commit: what was done without an answer is neither lost nor done
//! twice, and waits for no death. The planner has the lead by another connection.

use std::sync::Arc;

use basiq_alerter::{
    outbox::Signal,
    plan::Outcome,
    store::{Batch, EffectState, Postgres, Read, Replicas, Store, StoreError, TimelineEntry},
};

use super::{
    Place,
    suite::{batch, effect, now},
};
use crate::support::deaf::Deaf;

/// One that leads, and one that delivers by the way on which answers are lost.
async fn two() -> Option<(Arc<dyn Store>, Postgres, Deaf)> {
    let place = Place::database().await?;
    let leader = place.open(now()).await;
    assert!(leader.replicas().unwrap().beat().await.unwrap().leads);
    leader.commit(&batch(vec![effect("k0", "i"), effect("k1", "i")])).await.unwrap();
    let Place::Database(url) = &place else { unreachable!() };
    let way = Deaf::before(url).await;
    let other = Postgres::open(&way.url, 2, now()).await.unwrap();
    assert!(!other.beat().await.unwrap().leads);
    Some((leader, other, way))
}

async fn claim(store: &Postgres) -> Vec<String> {
    let claimed = store.claim(&[("mail".to_owned(), 9)], now()).await.unwrap();
    let mut keys: Vec<String> = claimed.into_iter().map(|effect| effect.key).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_without_an_answer_comes_free() {
    let Some((leader, other, way)) = two().await else { return };
    way.lose("UPDATE");
    assert!(other.claim(&[("mail".to_owned(), 9)], now()).await.is_err() && way.lost());
    assert!(leader.replicas().unwrap().due(now()).await.unwrap().is_empty(), "the claim stands");
    assert_eq!(claim(&other).await, ["k0", "k1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_without_an_answer_is_taken_back_and_what_is_attempted_stays() {
    let Some((leader, other, way)) = two().await else { return };
    let state = async |key: &str| leader.effect(key).await.unwrap().unwrap().state;
    assert_eq!(claim(&other).await, ["k0", "k1"]);
    assert_eq!(other.attempting(&["k1".to_owned()]).await.unwrap(), ["k1"]);
    way.lose("UPDATE");
    assert!(other.attempting(&["k0".to_owned()]).await.is_err() && way.lost());
    assert_eq!(state("k0").await, EffectState::Attempting, "the mark stands");
    assert_eq!(claim(&other).await, ["k0"]);
    assert_eq!((state("k0").await, state("k1").await), (EffectState::Planned, EffectState::Attempting));
    assert_eq!(other.attempting(&["k0".to_owned()]).await.unwrap(), ["k0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_handed_back_without_an_answer_comes_free() {
    let Some((_leader, other, way)) = two().await else { return };
    let keys = claim(&other).await;
    way.lose("UPDATE");
    assert!(other.put_back(&keys, now()).await.is_err() && way.lost());
    assert_eq!(claim(&other).await, ["k0", "k1"]);
}

/// The one that plans asks again until it has an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_committed_once() {
    let Some(place) = Place::database().await else { return };
    let Place::Database(url) = &place else { unreachable!() };
    let way = Deaf::before(url).await;
    let leader = Postgres::open(&way.url, 2, now()).await.unwrap();
    assert!(leader.beat().await.unwrap().leads);
    let told = |text: &str| {
        let mut batch = batch(vec![effect("k0", "i")]);
        batch.changes.timeline.push(TimelineEntry {
            incident: "i".to_owned(),
            at: now(),
            effect: None,
            what: "opened".to_owned(),
            text: text.to_owned(),
        });
        batch
    };
    let story = async || leader.timeline("i").await.unwrap().len();
    let first = Batch { id: Some(1), ..told("once") };
    way.lose("COMMIT");
    assert!(leader.commit(&first).await.is_err() && way.lost());
    assert_eq!(story().await, 1, "it was committed");
    leader.commit(&first).await.unwrap();
    assert_eq!(story().await, 1);
    // The next one is news; and whoever no longer leads is told so, also of a batch that was committed.
    let second = Batch { id: Some(2), ..told("again") };
    leader.commit(&second).await.unwrap();
    assert_eq!(story().await, 2);
    leader.leave().await.unwrap();
    assert!(matches!(leader.commit(&second).await, Err(StoreError::Deposed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_without_an_answer_is_written_down_once() {
    let Some((leader, other, way)) = two().await else { return };
    claim(&other).await;
    other.attempting(&["k0".to_owned()]).await.unwrap();
    let mut delivered = leader.effect("k0").await.unwrap().unwrap();
    (delivered.state, delivered.marks) = (EffectState::Delivered, 1);
    let outcome =
        Outcome { effect: delivered, spoke_of: vec!["i".into()], refreshed: None, failed_before: None };
    let said = [Signal::Outcome(Box::new(outcome))];
    let written = async || leader.replicas().unwrap().reported().await.unwrap().len();
    way.lose("COMMIT");
    assert!(other.report(&said).await.is_err() && way.lost());
    assert_eq!(written().await, 1, "it was written down");
    other.report(&said).await.unwrap();
    assert_eq!(written().await, 1);
    // The next one is news.
    let circuit = [Signal::Circuit { channel: "mail".to_owned(), open: None }];
    other.report(&circuit).await.unwrap();
    assert_eq!(written().await, 2);
}
