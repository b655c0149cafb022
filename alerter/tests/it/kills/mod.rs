//! Kills alerters (real processes, `kill -9`) while demands become messages and tickets, and holds what arrived
//! against what their store says.

mod fleet;
mod servers;
mod verdict;

use std::{path::Path, time::Duration};

use basiq_alerter::store::Store;
use daemon::{Clock, Timestamp};
use fleet::Fleet;
use servers::Servers;
pub(crate) use verdict::Verdict;

/// How many seconds of the alerters' clock pass in a real one: what is unknown is tried again after 15 minutes.
const SPEED: f64 = 60.0;
/// Real time from the last kill until everything has its end.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is done to whom.
pub(crate) struct Plan {
    /// Connections whose users get a message.
    pub(crate) messages: usize,
    /// Connections that get a ticket.
    pub(crate) tickets: usize,
    /// Processes at a time.
    pub(crate) replicas: usize,
    /// Kills.
    pub(crate) kills: usize,
    /// Restarts of the store, at equal distances among the kills.
    pub(crate) restarts: usize,
    /// The longest time between two kills; the shortest is a fifth of it.
    pub(crate) pause: Duration,
    /// Mails a second that the relay takes.
    pub(crate) rate: u32,
}

/// Carries the plan out in `folder` and judges. `section` is the store's section of the configuration; `open` opens
/// that store; `restart` stops it and starts it again, off the async threads.
pub(crate) async fn run(
    plan: &Plan,
    folder: &Path,
    section: &str,
    open: impl AsyncFn(Timestamp) -> std::sync::Arc<dyn Store>,
    restart: impl Fn() + Clone + Send + 'static,
) -> Verdict {
    let anchor = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
    let clock = Clock::scaled(anchor, SPEED);
    let servers = Servers::start(plan, clock.now()).await;
    let mut fleet = Fleet::start(plan, folder, section, &servers, anchor).await;
    fleet.demand(plan).await;
    for kill in 0..plan.kills {
        let pause = plan.pause.mul_f64(rand::random_range(0.2..1.0));
        fleet.live_for(pause).await;
        fleet.kill();
        let restarts = |kills: usize| kills * (plan.restarts + 1) / plan.kills;
        if kill > 0 && restarts(kill) > restarts(kill - 1) {
            tokio::task::spawn_blocking(restart.clone()).await.unwrap();
        }
    }
    let store = open(clock.now()).await;
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        fleet.live_for(Duration::from_secs(1)).await;
        if verdict::settled(&*store, plan).await {
            break;
        }
    }
    fleet.stop().await;
    let mut verdict = verdict::judge(&*store, &servers, plan).await;
    if !verdict.faults.is_empty() {
        verdict.log = fleet.last_words();
    }
    verdict
}

fn connection(kind: &str, number: usize) -> String {
    format!("c-{kind}-{number:05}")
}

fn institution(kind: &str, number: usize) -> String {
    // Tickets of one bank and class would become one storm ticket.
    if kind == "ticket" { format!("AU{number:05}") } else { "AU99999".to_owned() }
}
