//! One of several alerters on one store: says that it lives, claims what is due, and writes down what became of it.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Outbox, Signal};
use crate::{
    plan::Stops,
    store::{BEAT, Replicas, Standing, Store, StoreError},
};

/// How often what is due is looked for where nobody says that there is something (real time).
const LOOK: Duration = Duration::from_millis(250);
/// Between two claims while there is more (real time).
const BREATH: Duration = Duration::from_millis(10);
/// Between two tries of what the store refused (real time).
const AGAIN: Duration = Duration::from_millis(500);
/// Signals written down at once.
const AT_ONCE: usize = 500;
/// How long attempts may take to end once the daemon was asked to stop (real time).
const PATIENCE: Duration = Duration::from_secs(10);

/// Wakes who waits for the other within one process.
#[derive(Clone, Debug, Default)]
pub struct Nudges {
    /// Something was planned.
    pub planned: Arc<Notify>,
    /// Something was reported.
    pub reported: Arc<Notify>,
}

/// What a replica is made of.
pub struct Share {
    /// The store, which replicas can share.
    pub store: Arc<dyn Store>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Who delivers.
    pub outbox: Outbox,
    /// What its lines say.
    pub signals: mpsc::Receiver<Signal>,
    /// Where lines read what stops for now.
    pub stops: watch::Sender<Arc<Stops>>,
    /// Where the replica's standing is told.
    pub standing: watch::Sender<Standing>,
    /// Wakes the planner, and is woken by it.
    pub nudges: Nudges,
}

impl Share {
    /// Delivers until asked to stop, then hands back what was claimed, and the lead.
    ///
    /// # Errors
    /// [`StoreError::Deposed`]: it planned, and another has taken over.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let Self { store, clock, outbox, mut signals, stops, standing, nudges } = self;
        let Some(replicas) = store.replicas() else { return Ok(()) };
        let (over, stop) = (CancellationToken::new(), stop.child_token());
        let lives = async {
            let ended = live(replicas, &clock, &stops, &standing, &over).await;
            stop.cancel();
            ended
        };
        let works = async {
            // What lines say is written down while they work, and while they come to an end.
            let delivers = async {
                deliver(replicas, &clock, outbox, &nudges.planned, &stop).await.stop(PATIENCE).await;
            };
            tokio::join!(delivers, write_down(replicas, &mut signals, &nudges.reported, &stop));
            over.cancel();
        };
        let (ended, ()) = tokio::join!(lives, works);
        if let Err(error) = replicas.leave().await {
            tracing::warn!(reason = %error, "what was claimed could not be handed back; it is free once this replica was not heard for a while");
        }
        ended
    }
}

/// Says that this replica lives, and buries the dead if it leads.
async fn live(
    replicas: &dyn Replicas,
    clock: &Clock,
    stops: &watch::Sender<Arc<Stops>>,
    standing: &watch::Sender<Standing>,
    over: &CancellationToken,
) -> Result<(), StoreError> {
    let mut silent = false;
    loop {
        let began = Instant::now();
        let beat = async {
            let now = replicas.beat().await?;
            if now.leads {
                replicas.bury(clock.now()).await?;
            }
            Ok::<_, StoreError>((now, replicas.stops().await?))
        };
        match timeout(BEAT * 3, beat).await {
            Ok(Ok((now, stopped))) => {
                if standing.send_replace(now) != now {
                    tracing::info!(leads = now.leads, alive = now.alive, "replicas");
                }
                stops.send_if_modified(|known| {
                    let news = **known != stopped;
                    if news {
                        *known = Arc::new(stopped);
                    }
                    news
                });
                silent = false;
            }
            Ok(Err(error @ StoreError::Deposed)) => return Err(error),
            Ok(Err(error)) if !silent => {
                tracing::error!(reason = %error, "the store does not hear this replica");
                silent = true;
            }
            Err(_) if !silent => {
                tracing::error!("the store does not answer this replica in time");
                silent = true;
            }
            _ => {}
        }
        tokio::select! {
            () = over.cancelled() => return Ok(()),
            () = sleep(BEAT.saturating_sub(began.elapsed())) => {}
        }
    }
}

/// Claims what is due as far as lines have room, until stopped.
async fn deliver(
    replicas: &dyn Replicas,
    clock: &Clock,
    mut outbox: Outbox,
    planned: &Notify,
    stop: &CancellationToken,
) -> Outbox {
    let mut wait = BREATH;
    loop {
        tokio::select! {
            () = stop.cancelled() => return outbox,
            () = planned.notified() => {}
            () = sleep(wait) => {}
        }
        wait = LOOK;
        match claim(replicas, clock, &mut outbox).await {
            Ok(0) => {}
            Ok(_) => wait = BREATH,
            Err(error) => {
                tracing::error!(reason = %error, "what is due could not be claimed");
                wait = AGAIN;
            }
        }
    }
}

async fn claim(replicas: &dyn Replicas, clock: &Clock, outbox: &mut Outbox) -> Result<usize, StoreError> {
    let now = clock.now();
    let due = replicas.due(now).await?;
    let room: Vec<(String, u32)> = due
        .into_iter()
        .map(|channel| {
            let room = outbox.room(&channel);
            (channel, room)
        })
        .filter(|(_, room)| *room > 0)
        .collect();
    if room.is_empty() {
        return Ok(0);
    }
    let claimed = replicas.claim(&room, now).await?;
    let number = claimed.len();
    outbox.submit(claimed, Vec::new());
    Ok(number)
}

/// Writes down what lines say, until there are none. What cannot be written down at the end is found as an attempt
/// of a replica that is dead.
async fn write_down(
    replicas: &dyn Replicas,
    signals: &mut mpsc::Receiver<Signal>,
    reported: &Notify,
    stop: &CancellationToken,
) {
    let mut said = Vec::new();
    while signals.recv_many(&mut said, AT_ONCE).await > 0 {
        while let Err(error) = replicas.report(&said).await {
            tracing::error!(reason = %error, "outcomes could not be written down");
            if stop.is_cancelled() {
                break;
            }
            sleep(AGAIN).await;
        }
        said.clear();
        reported.notify_one();
    }
}
