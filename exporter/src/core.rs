//! The one task that owns the ledger: takes in what was seen, hands out looks, stores, then shows.
//!
//! Order matters: what is shown was stored before, so a kill at any moment costs nothing that anybody saw.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use basiq::{Client, Connector, ConnectorFilter, Error, ErrorKind, Priority};
use daemon::{Context, Fatal};
use tokio::sync::{mpsc, oneshot};

use crate::{
    api::Hint,
    config::Config,
    discovery::Found,
    ledger::{Ledger, Method, Ms, Name},
    metrics::{Connectors, Metrics},
    poll::{self, Look, Need, Pace, Plan, Schedule},
    store::{Batch, Store},
};

/// Slow looks under way for each quick one that may be.
pub(crate) const SLOW: usize = 8;
/// A look under way for longer is slow, and holds no place of the quick ones. Real time.
const QUICK: Duration = Duration::from_secs(2);
/// From something that was seen to the round that stores and shows it; and the least between two rounds. Real time.
const ROUND: Duration = Duration::from_millis(100);
/// Between two rounds while nothing is seen and nothing is due. Real time, on a clock that does not run faster.
const IDLE: Duration = Duration::from_secs(1);
/// The pause after a failure of Basiq as a whole, doubled up to the second. Real time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// The pause after a look that failed for its own reasons, doubled up to the second. By the clock.
const AGAIN: (Ms, Ms) = (60_000, 3_600_000);
/// The source under which hinted users are kept.
const HINTS: &str = "hints";

/// What reaches the core.
#[derive(Debug)]
pub(crate) enum Message {
    /// A source named users.
    Found(String, Found),
    /// A look has ended.
    Looked(u32, Plan, Box<Look>),
    /// A poll of the connectors, asked for at this time, has ended.
    Connectors(Ms, Result<Vec<Connector>, Error>),
    /// A hint; told when it is stored.
    Hint(Hint, oneshot::Sender<()>),
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
    paused: Option<(Instant, Duration)>,
    /// Sources that have not said anything yet.
    silent: HashSet<String>,
    /// Sources that are configured.
    configured: HashSet<String>,
    /// What was due at the start and has not been looked at; `None` until everything is known to be due.
    cold: Option<HashSet<u32>>,
    up_until: Ms,
    connectors_every: Ms,
    /// When each bank's users were last moved forward.
    moved: HashMap<(Name, Method), Ms>,
    unstored_hints: Vec<oneshot::Sender<()>>,
    batch: Batch,
}

impl Core {
    pub(crate) fn new(
        ledger: Ledger,
        store: Store,
        metrics: Metrics,
        client: Client,
        pace: Pace,
        config: &Config,
        context: Context,
    ) -> Self {
        let now = context.clock.now().as_millisecond();
        let configured: HashSet<String> =
            config.discovery.sources().iter().map(|source| source.name()).collect();
        let mut core = Self {
            ledger,
            store,
            metrics,
            connectors: Connectors::default(),
            client,
            context,
            pace,
            schedule: Schedule::default(),
            looking: HashMap::new(),
            concurrency: config.basiq.quota.concurrency,
            looks: mpsc::channel(1024),
            failed: HashMap::new(),
            paused: None,
            silent: configured.clone(),
            configured,
            cold: None,
            up_until: 0,
            connectors_every: Ms::try_from(config.poll.connectors.0.as_millis()).unwrap_or(Ms::MAX / 8),
            moved: HashMap::new(),
            unstored_hints: Vec::new(),
            batch: Batch::default(),
        };
        for (place, user) in core.ledger.users() {
            let (need, due) = poll::need(user, &core.pace, now);
            core.schedule.set(place, need, due);
        }
        if core.silent.is_empty() {
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
            Message::Found(source, found) => self.found(&source, found, now),
            Message::Looked(place, plan, look) => self.looked(place, &plan, *look, now),
            Message::Connectors(asked, result) => self.connectors(asked, result, now),
            Message::Hint(hint, stored) => {
                let source = self.source(HINTS);
                if self.ledger.discover(source, &hint.user, now) {
                    tracing::info!("a hint named a user that was not watched");
                    self.ledger.take_added();
                }
                let (connection, job) = (hint.connection.as_ref(), hint.job.as_ref());
                self.ledger.observe_hint(&hint.user, connection, job, hint.kind, now);
                if let Some(place) = self.ledger.place(&hint.user) {
                    self.schedule.hasten(place, Need::Hint, now);
                }
                self.unstored_hints.push(stored);
            }
        }
    }

    /// The bit of a source.
    fn source(&mut self, name: &str) -> u8 {
        u8::try_from(self.ledger.sources.intern(name).place()).unwrap_or(0)
    }

    /// Users that only sources name which are no longer configured are dropped, once all that are configured have
    /// spoken: a source whose settings changed names most of the same users under its new name.
    fn drop_old_sources(&mut self, now: Ms) {
        let kept = |name: &&str| *name == HINTS || self.configured.contains(*name);
        let stored = self.ledger.sources.iter().skip(2).filter(|name| !kept(name));
        let old: Vec<String> = stored.map(str::to_owned).collect();
        for name in old {
            let source = self.source(&name);
            self.set_source(source, &HashSet::new(), now);
        }
    }

    fn set_source(&mut self, source: u8, ids: &HashSet<crate::ledger::Id>, now: Ms) -> (usize, usize) {
        let counts = self.ledger.set_source(source, ids, now);
        for place in self.ledger.take_removed() {
            self.forget(place);
        }
        for place in self.ledger.take_added() {
            self.schedule.set(place, Need::New, now);
        }
        counts
    }

    fn found(&mut self, name: &str, found: Found, now: Ms) {
        let source = self.source(name);
        match found {
            Found::All(ids) => {
                let (added, dropped) = self.set_source(source, &ids, now);
                tracing::info!(source = name, users = ids.len(), added, dropped, "users found");
            }
        }
        if self.silent.remove(name) && self.silent.is_empty() {
            self.drop_old_sources(now);
        }
        self.metrics.own.succeeded("discovery", now);
    }

    /// A place in the ledger is free and may be another's next.
    fn forget(&mut self, place: u32) {
        self.schedule.remove(place);
        self.failed.remove(&place);
        if let Some(cold) = &mut self.cold {
            cold.remove(&place);
        }
    }

    fn looked(&mut self, place: u32, plan: &Plan, look: Look, now: Ms) {
        self.looking.remove(&place);
        if self.ledger.place(&plan.user) != Some(place) {
            return;
        }
        let user = &plan.user;
        if let Some((asked, connections)) = &look.connections {
            self.ledger.observe_connections(user, connections, *asked, now);
        }
        if let Some((asked, jobs)) = &look.jobs {
            self.ledger.observe_jobs(user, jobs, true, *asked, now);
        }
        for by_id in &look.by_id {
            match &by_id.job {
                Some(job) => {
                    self.ledger.observe_jobs(user, std::slice::from_ref(job), false, by_id.asked, now);
                }
                None => self.ledger.observe_job_gone(user, &by_id.id, now),
            }
        }
        if look.gone {
            tracing::info!("a user is gone");
            self.ledger.user_gone(user, now);
            self.ledger.take_removed();
            self.forget(place);
            return;
        }
        let (need, due) = match &look.error {
            Some(error) if error.is_global() => {
                self.pause(error);
                (plan.need, now + AGAIN.0 / 2)
            }
            Some(error) => {
                let failed = self.failed.entry(place).or_default();
                let wait = (AGAIN.0 << (*failed).min(10)).min(AGAIN.1);
                *failed += 1;
                tracing::warn!(%error, "a user could not be looked at");
                (plan.need, now + wait)
            }
            None => {
                self.paused = None;
                self.failed.remove(&place);
                self.metrics.own.succeeded("users", now);
                match self.ledger.user(place) {
                    Some(_) if self.ledger.wants_connections(user) => (Need::Hint, now),
                    Some(user) => poll::need(user, &self.pace, now),
                    None => return,
                }
            }
        };
        self.schedule.done(place, need, due);
        if look.error.as_ref().is_none_or(|error| !error.is_global())
            && let Some(cold) = &mut self.cold
        {
            cold.remove(&place);
        }
        for bank in self.ledger.take_alarms() {
            self.move_forward(bank, now);
        }
    }

    /// Looks at the other users of a bank in trouble sooner, spread over the time that is set for it.
    fn move_forward(&mut self, bank: (Name, Method), now: Ms) {
        let window = self.pace.suspect;
        if window == 0 || self.moved.get(&bank).is_some_and(|at| now < at + window) {
            return;
        }
        self.moved.insert(bank, now);
        let suspects: Vec<(u32, Ms)> = self
            .ledger
            .users()
            .filter(|(_, user)| user.connections.iter().any(|c| (c.institution, c.method) == bank))
            .map(|(place, user)| (place, now + (user.id.spread() % window.unsigned_abs()).cast_signed()))
            .collect();
        tracing::info!(
            institution = &*self.ledger.institutions.get(bank.0),
            method = bank.1.as_str(),
            users = suspects.len(),
            "a bank is in trouble; its users are looked at sooner"
        );
        for (place, due) in suspects {
            self.schedule.hasten(place, Need::Suspect, due);
        }
    }

    fn connectors(&mut self, asked: Ms, result: Result<Vec<Connector>, Error>, now: Ms) {
        match result {
            Ok(listed) => {
                let worse = self.connectors.observe(&listed, &mut self.ledger, asked, now);
                self.up_until = now + 3 * self.connectors_every;
                self.metrics.own.succeeded("connectors", now);
                self.paused = None;
                for bank in worse {
                    self.move_forward(bank, now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the connectors could not be read");
                if matches!(error.kind, ErrorKind::Throttled { .. } | ErrorKind::QuotaExhausted { .. })
                    && now < self.up_until
                {
                    self.up_until = self.up_until.max(now + 2 * self.connectors_every);
                }
                if error.is_global() {
                    self.pause(&error);
                }
            }
        }
    }

    /// Basiq as a whole fails: ask nobody for a while.
    fn pause(&mut self, error: &Error) {
        let now = Instant::now();
        let pause = match self.paused {
            // Looks that were under way together fail together.
            Some((until, _)) if now < until => return,
            Some((_, last)) => (last * 2).min(PAUSE.1),
            None => PAUSE.0,
        };
        tracing::warn!(%error, pause_seconds = pause.as_secs_f64(), "Basiq fails as a whole; asking is paused");
        self.paused = Some((now + pause, pause));
    }

    /// Starts looks that are due, as many as may be under way.
    fn dispatch(&mut self) {
        if self.paused.is_some_and(|(until, _)| Instant::now() < until) {
            return;
        }
        let now = self.now();
        while self.looking.len() < self.concurrency * SLOW
            && self.looking.values().filter(|look| look.since.elapsed() < QUICK).count() < self.concurrency
        {
            let Some((place, need, due)) = self.schedule.next(now) else { return };
            let Some(user) = self.ledger.user(place) else {
                self.schedule.remove(place);
                continue;
            };
            let plan = poll::plan(user, need, &self.pace, now);
            self.looking.insert(place, Looking { since: Instant::now(), due });
            let (client, clock, done) =
                (self.client.clone(), self.context.clock.clone(), self.looks.0.clone());
            tokio::spawn(async move {
                let look = poll::look(&client, &clock, &plan).await;
                // The core may be gone, at the end.
                let _ = done.send(Message::Looked(place, plan, Box::new(look))).await;
            });
        }
    }

    /// Lets time pass, stores what changed, then shows it.
    async fn round(&mut self) {
        let now = self.now();
        self.ledger.tick(now);
        // First what an earlier round could not store, then what changed since: hints and pages are newer than that.
        for _ in 0..2 {
            if self.batch.is_empty() {
                self.batch = Batch::take(&mut self.ledger);
            }
            if self.batch.is_empty() {
                break;
            }
            if let Err(error) = self.store.commit(&self.batch).await {
                tracing::error!(%error, "nothing can be stored; nothing new is shown until it can");
                return;
            }
            self.batch = Batch::default();
        }
        for hint in std::mem::take(&mut self.unstored_hints) {
            // Whoever sent it may have gone.
            let _ = hint.send(());
        }
        self.show(now).await;
    }

    async fn show(&mut self, now: Ms) {
        self.grow_warm(now);
        let own = &self.metrics.own;
        own.set_up(now < self.up_until);
        own.users.set(i64::try_from(self.ledger.len()).unwrap_or(i64::MAX));
        let waiting = self.schedule.next_due().unwrap_or(now);
        let oldest = self.looking.values().map(|look| look.due).fold(waiting.min(now), Ms::min);
        own.oldest_due.set(oldest as f64 / 1000.0);
        let status = self.client.status();
        own.quota_remaining.set(i64::try_from(status.remaining_today).unwrap_or(i64::MAX));
        let throttled = status.throttled_until.is_some_and(|until| until.as_millisecond() > now);
        own.throttled.set(i64::from(throttled));
        self.metrics.publish(&mut self.ledger, &mut self.connectors, now).await;
    }

    /// Warm is said once all that was due at the start has been observed, and then for good.
    fn grow_warm(&mut self, now: Ms) {
        if self.cold.is_none() && self.silent.is_empty() && self.connectors.is_known() {
            self.cold = Some(self.schedule.due(now).collect());
        }
        let warm = &self.metrics.own.warm;
        if warm.get() == 0 && self.cold.as_ref().is_some_and(HashSet::is_empty) {
            tracing::info!(
                users = self.ledger.len(),
                "warm: all that was due at the start has been observed"
            );
            warm.set(1);
        }
    }
}

/// Reads the connectors at once and then at intervals.
pub(crate) async fn poll_connectors(
    client: Client,
    interval: Duration,
    core: mpsc::Sender<Message>,
    context: Context,
) {
    loop {
        let asked = context.clock.now().as_millisecond();
        let result = client.connectors(&ConnectorFilter::default(), Priority::Running).await;
        if core.send(Message::Connectors(asked, result)).await.is_err() {
            return;
        }
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = context.clock.sleep(interval) => {}
        }
    }
}
