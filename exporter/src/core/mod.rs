//! The one task that owns the ledger: takes in what was seen, hands out looks, stores, then shows.
//!
//! Order matters: what is shown was stored before, so a kill at any moment costs nothing that anybody saw.

mod finds;
mod leaving;
mod looks;
mod show;
mod trouble;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use basiq::{Client, Connector, Error};
use daemon::{Context, Fatal};
use tokio::sync::{mpsc, oneshot};

use crate::{
    api::Hint,
    config::Config,
    discovery::Found,
    ledger::{Id, Ledger, Method, Ms, Name},
    metrics::{Connectors, Metrics},
    poll::{self, Banks, Look, Pace, Plan, Schedule},
    store::{Batch, Notes, Store},
};
use leaving::Leaving;

pub(crate) use looks::{SLOW, poll_connectors};

/// From something that was seen to the round that stores and shows it; and the least between two rounds. Real time.
const ROUND: Duration = Duration::from_millis(100);
/// Between two rounds while nothing is seen and nothing is due. Real time, on a clock that does not run faster.
const IDLE: Duration = Duration::from_secs(1);
/// Tenths of the day's quota that suspects leave alone: quiet users may have all but two, so that banks which are in trouble
/// for days use up nobody's turn.
const KEPT_TENTHS: u64 = 3;

/// What reaches the core.
#[derive(Debug)]
pub(crate) enum Message {
    /// A source named users or told what happened; told when that is stored.
    Found(String, Found, Option<oneshot::Sender<()>>),
    /// A look has ended.
    Looked(u32, Plan, Box<Look>),
    /// A poll of the connectors, asked for at this time, has ended.
    Connectors(Ms, Result<Vec<Connector>, Error>),
    /// A hint; told when it is stored.
    Hint(Hint, oneshot::Sender<()>),
    /// A user is to be forgotten; told when that is stored.
    Forget(Id, oneshot::Sender<()>),
}

/// A look that is under way.
#[derive(Clone, Copy, Debug)]
struct Looking {
    since: Instant,
    due: Ms,
}

/// The owner of the ledger.
#[derive(Debug)]
pub(crate) struct Core {
    ledger: Ledger,
    store: Store,
    metrics: Metrics,
    connectors: Connectors,
    client: Client,
    context: Context,
    pace: Pace,
    schedule: Schedule,
    looking: HashMap<u32, Looking>,
    concurrency: usize,
    looks: (mpsc::Sender<Message>, mpsc::Receiver<Message>),
    /// Looks that failed in a row, by user.
    failed: HashMap<u32, u32>,
    /// Users that Basiq says it does not know: since when, and how often it said so.
    missing: HashMap<u32, (Ms, u32)>,
    /// Jobs of users that Basiq says it does not know: since when, and how often it said so.
    unreadable: HashMap<(u32, Id), (Ms, u32)>,
    paused: Option<(Instant, Duration)>,
    /// When each configured source last spoke; 0 for not yet.
    spoke: BTreeMap<String, Ms>,
    leaving: Leaving,
    /// What was due at the start and has not been looked at; `None` until everything is known to be due.
    cold: Option<HashSet<u32>>,
    up_until: Ms,
    connectors_every: Ms,
    /// When each bank was last found to be in trouble.
    troubled: HashMap<(Name, Method), Ms>,
    /// Requests of a day that are kept from suspects.
    kept: u64,
    /// Who waits until what they said is stored.
    unstored: Vec<oneshot::Sender<()>>,
    notes: Notes,
    /// Whether the notes differ from what is stored.
    notes_changed: bool,
    /// When the quota's use was last noted.
    noted: Ms,
    batch: Batch,
}

impl Core {
    pub(crate) fn new(
        ledger: Ledger,
        (store, notes): (Store, Notes),
        metrics: Metrics,
        client: Client,
        config: &Config,
        context: Context,
    ) -> Self {
        let now = context.clock.now().as_millisecond();
        let pace = Pace::from(&config.poll);
        let mut core = Self {
            ledger,
            store,
            metrics,
            connectors: Connectors::default(),
            client,
            context,
            pace,
            schedule: Schedule::new(pace.late()),
            looking: HashMap::new(),
            concurrency: config.basiq.quota.concurrency,
            looks: mpsc::channel(1024),
            failed: HashMap::new(),
            missing: HashMap::new(),
            unreadable: HashMap::new(),
            paused: None,
            spoke: config.discovery.sources().iter().map(|source| (source.name(), 0)).collect(),
            leaving: Leaving::default(),
            cold: None,
            up_until: 0,
            connectors_every: Ms::try_from(config.poll.connectors.0.as_millis()).unwrap_or(Ms::MAX / 8),
            troubled: HashMap::new(),
            kept: config.basiq.quota.per_day / 10 * KEPT_TENTHS,
            unstored: Vec::new(),
            notes,
            notes_changed: false,
            noted: now,
            batch: Batch::default(),
        };
        for (place, user) in core.ledger.users() {
            let (need, due) = poll::need(user, &core.pace, Banks::Well, now);
            core.schedule.set(place, need, due);
        }
        if core.have_all_spoken() {
            core.drop_old_sources(now);
        }
        core
    }

    pub(crate) fn users(&self) -> usize {
        self.ledger.len()
    }

    /// Runs until stopped, and stores everything at the end.
    ///
    /// # Errors
    /// What cannot be stored at the end.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), Fatal> {
        let speed = self.context.clock.speed();
        let round = ROUND.div_f64(speed.clamp(1.0, 5.0));
        let idle = IDLE.div_f64(speed.clamp(1.0, 50.0));
        let mut next = tokio::time::Instant::now();
        let stop = self.context.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                message = messages.recv() => match message {
                    Some(message) => {
                        self.take(message);
                        next = next.min(tokio::time::Instant::now() + round);
                    }
                    None => break,
                },
                Some(message) = self.looks.1.recv() => {
                    self.take(message);
                    next = next.min(tokio::time::Instant::now() + round);
                }
                () = tokio::time::sleep_until(next) => {
                    self.round().await;
                    next = tokio::time::Instant::now() + self.until_due().clamp(round, idle);
                }
            }
            self.dispatch();
        }
        self.note_spending(self.now());
        self.round().await;
        if !self.batch.is_empty() {
            return Err(Fatal::running("stopped with observations that could not be stored; see the log"));
        }
        self.store.close().await;
        Ok(())
    }

    fn now(&self) -> Ms {
        self.context.clock.now().as_millisecond()
    }

    /// Until the next look is due, in real time; no time at all if one waits for room.
    fn until_due(&mut self) -> Duration {
        let Some(due) = self.schedule.next_due() else { return Duration::MAX };
        let left = u64::try_from(due - self.now()).unwrap_or(0);
        Duration::from_millis(left).div_f64(self.context.clock.speed())
    }

    fn take(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Found(source, found, stored) => {
                self.found(&source, found, now);
                self.unstored.extend(stored);
            }
            Message::Looked(place, plan, look) => self.looked(place, &plan, *look, now),
            Message::Connectors(asked, result) => self.connectors(asked, result, now),
            Message::Hint(hint, stored) => {
                self.hint(&hint, now);
                self.unstored.push(stored);
            }
            Message::Forget(user, stored) => {
                self.forget(&user, now);
                self.unstored.push(stored);
            }
        }
    }
}

#[cfg(test)]
mod tests;
