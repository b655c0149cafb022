//! What only the replica that leads does, and the hourly tidying.

use std::{collections::HashMap, sync::Arc, time::Duration};

use daemon::CancellationToken;
use tokio::sync::{oneshot, watch};

use crate::{
    demand::StateRow,
    engine::{Engine, Parts as EngineParts},
    store::{Standing, Store, StoreError},
};

/// How often (real time) what is old is erased.
const TIDY: Duration = Duration::from_secs(3600);

/// What each source kept: keys and values, by the source's name.
pub(super) type SourceStates = HashMap<Arc<str>, Vec<(String, Vec<u8>)>>;

/// Waits until this replica has the lead; `false` if it was asked to stop first.
async fn leads(standing: &mut watch::Receiver<Standing>, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        leads = standing.wait_for(|standing| standing.leads) => leads.is_ok(),
    }
}

/// Does a task that one replica is enough for: the one that plans, which is sure to be one.
pub(super) async fn once_leading(
    mut standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    task: impl Future<Output = ()>,
) {
    if leads(&mut standing, &stop).await {
        task.await;
    }
}

/// Waits for the lead, and plans.
pub(super) async fn plan(
    parts: EngineParts,
    mut standing: watch::Receiver<Standing>,
    sources: Vec<Arc<str>>,
    state: oneshot::Sender<SourceStates>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    if !leads(&mut standing, &stop).await {
        return Ok(());
    }
    let mut kept = HashMap::new();
    for name in sources {
        let rows = parts.store.state(&name).await?;
        kept.insert(
            name,
            rows.into_iter().map(StateRow::into_parts).filter_map(|(key, body)| Some((key, body?))).collect(),
        );
    }
    let engine = Engine::start(parts).await?;
    // Sources that are gone end the daemon.
    let _ = state.send(kept);
    engine.run(stop).await
}

/// Erases what is old, once an hour.
pub(super) async fn tidy((store, clock): (Arc<dyn Store>, daemon::Clock), stop: CancellationToken) {
    loop {
        match store.tidy(clock.now()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old variables and rows were erased"),
            Err(error) => {
                tracing::error!(reason = %error, "old rows could not be erased; trying again in an hour")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TIDY) => {}
        }
    }
}
