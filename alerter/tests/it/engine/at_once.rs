//! What is planned while nothing waits begins with the commit that plans it.

use std::sync::Arc;

use basiq_alerter::store::EffectState;
use sqlx::{Connection as _, SqliteConnection};

use super::{Remembers, begin, pass, process::start, until};
use crate::store::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_that_plans_a_message_marks_it_as_attempted() {
    let (mut world, clock, hand) = begin();
    let (hands, place) = (Arc::new(Remembers::default()), Place::file());
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("the first, whose line begins with it", async || process.count(EffectState::Delivered).await == 1)
        .await;
    let Place::File(folder) = &place else { unreachable!() };
    let url = format!("sqlite://{}", folder.path().join("alerter.db").display());
    let mut beside = SqliteConnection::connect(&url).await.unwrap();
    let refused = "CREATE TRIGGER no_claims BEFORE UPDATE OF state ON effects WHEN new.state = 'attempting' \
                   BEGIN SELECT RAISE(ABORT, 'no claims'); END";
    sqlx::query(refused).execute(&mut beside).await.unwrap();
    world.fails("b", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("the second", async || process.count(EffectState::Delivered).await == 2).await;
    assert_eq!(hands.messages.lock().unwrap().len(), 2);
    process.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_with_its_plan_is_of_unknown_outcome_after_a_death() {
    let (mut world, clock, hand) = begin();
    let (hands, place) = (Arc::new(Remembers::default()), Place::file());
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("the first", async || process.count(EffectState::Delivered).await == 1).await;
    world.fails("hangs", "invalid-credentials");
    pass(&process, &mut world, &hand, 16).await;
    until("it is on its way", async || process.count(EffectState::Attempting).await == 1).await;
    process.dies().await;
    let process = start(&place, &clock, &hands).await;
    until("unknown", async || process.count(EffectState::Unknown).await == 1).await;
    process.ends().await;
}
