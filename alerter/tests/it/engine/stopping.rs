//! What the engine does when it is asked to stop.

use std::{sync::Arc, time::Duration};

use basiq_alerter::store::EffectState;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Remembers,
    process::{begin, pass, start, until},
};
use crate::store::Place;

/// A store that refuses holds up a stop for seconds, not forever; what it did not take is looked after at the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_forever_for_a_store_that_refuses() {
    let place = Place::file();
    let Place::File(folder) = &place else { unreachable!() };
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    *hands.slow.lock().unwrap() = Some(Duration::from_secs(1));
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("it is on its way", async || process.count(EffectState::Attempting).await == 1).await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("alerter.db"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("ALTER TABLE timeline RENAME TO away").execute(&mut other).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(60), process.stops()).await;
    assert!(stopped.expect("it stops").is_err(), "the outcome could not be kept");
    sqlx::query("ALTER TABLE away RENAME TO timeline").execute(&mut other).await.unwrap();
    let process = start(&place, &clock, &hands).await;
    until("nobody knows what became of it", async || process.count(EffectState::Unknown).await == 1).await;
    assert_eq!(hands.messages.lock().unwrap().len(), 1);
    process.ends().await;
}
