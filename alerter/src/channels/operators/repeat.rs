//! Sends notices again while they last, where a channel asks for it: Alertmanager takes an alert that is
//! not repeated for over, and a heartbeat is nothing but repetition.

use std::{sync::Arc, time::Duration};

use daemon::{CancellationToken, Clock, Timestamp};
use tokio::{sync::watch, task::JoinSet};

use crate::channels::{DeliveryError, Notice, Operators, Repeat};

/// Without a report of any source for so long, nobody knows whether the watchdog would still fire.
const UNHEARD: Duration = Duration::from_secs(300);

/// What lasts, as the planner sees it.
#[derive(Clone, Debug, Default)]
pub struct Lasting {
    /// Notices that have not ended.
    pub notices: Arc<Vec<Notice>>,
    /// When a source of demands last reported.
    pub heard: Option<Timestamp>,
}

/// Repeats what lasts through every channel that asks for it, until stopped.
pub async fn repeat(
    channels: Vec<(String, Arc<dyn Operators>)>,
    lasting: watch::Receiver<Lasting>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut running = JoinSet::new();
    for (name, channel) in channels {
        if let Some(repeat) = channel.repeat() {
            running.spawn(one(name, channel, repeat, lasting.clone(), clock.clone(), stop.clone()));
        }
    }
    while running.join_next().await.is_some() {}
}

async fn one(
    name: String,
    channel: Arc<dyn Operators>,
    repeat: Repeat,
    lasting: watch::Receiver<Lasting>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(repeat.every) => {}
        }
        let round = lasting.borrow().clone();
        let heard = round.heard.is_some_and(|heard| {
            Duration::try_from(clock.now().duration_since(heard)).unwrap_or_default() <= UNHEARD
        });
        if repeat.only_while_heard && !heard {
            continue;
        }
        let mut error = None;
        for notice in round.notices.iter() {
            let lasts = || lasting.borrow().notices.iter().any(|other| other.key == notice.key);
            if !lasts() {
                continue;
            }
            match channel.notify(notice).await {
                Ok(_) => {}
                // It takes this one never; the others must not be taken for over.
                Err(why @ DeliveryError::Permanent { .. }) => {
                    error = Some(why);
                    continue;
                }
                Err(why) => {
                    error = Some(why);
                    break;
                }
            }
            // Its end may have been delivered while this was on its way, and must have the last word.
            if !lasts() {
                let ended = Notice { ended: Some(clock.now()), ..notice.clone() };
                error = channel.notify(&ended).await.err().or(error);
            }
        }
        match error {
            Some(reason) if !failing => {
                tracing::warn!(channel = name, %reason, "notices could not be repeated; it is tried on");
                failing = true;
            }
            None if failing => {
                tracing::info!(channel = name, "notices are repeated again");
                failing = false;
            }
            _ => {}
        }
    }
}
