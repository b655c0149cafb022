//! The one task that plans: it takes in what happened, commits what follows, and hands it on.

mod ears;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::{
    Clock, Timestamp,
    traces::{self, TARGET},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Span, field::Empty};

pub use self::ears::Ears;
use self::ears::Heard;
use crate::{
    channels::operators::Lasting,
    evidence::Snapshot,
    metrics::Metrics,
    outbox::{Nudges, Outbox, Resolver, after_unknown},
    plan::{Changes, Input, Outcome, Planner, Saved, Settings, Stops},
    store::{Batch, Effect, EffectState, Payload, Store, StoreError},
};

/// How often (real time) commands of the tools are looked for.
const COMMANDS: Duration = Duration::from_millis(500);
/// How often (real time) what other replicas report is looked for.
const REPORTS: Duration = Duration::from_millis(100);
/// How often (real time) the metrics are brought up to date.
const METRICS: Duration = Duration::from_secs(5);
/// Between two tries of a commit that the store refused (real time).
const AGAIN: Duration = Duration::from_secs(1);
/// What comes within this time (real time) goes into one commit, unless a source waits for it.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long (real time) attempts may take to end, and the store to take what was decided, once the daemon was asked
/// to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plans and commits.
pub struct Engine {
    planner: Planner,
    store: Arc<dyn Store>,
    clock: Clock,
    outbox: Option<Outbox>,
    nudges: Nudges,
    resolver: Resolver,
    stops: watch::Sender<Arc<Stops>>,
    metrics: Metrics,
    lasting: watch::Sender<Lasting>,
    ears: Ears,
    /// What became of effects that a dead process was attempting.
    died: Vec<Outcome>,
    /// Something was committed since the metrics were brought up to date.
    stale: bool,
    /// Asks it to stop.
    stop: CancellationToken,
}

/// What an engine is made of.
pub struct Parts {
    /// The planner's settings.
    pub settings: Settings,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Who delivers; `None` where replicas claim what is due from the store.
    pub outbox: Option<Outbox>,
    /// How replicas of this process and the engine wake each other.
    pub nudges: Nudges,
    /// Who finds persons.
    pub resolver: Resolver,
    /// Where lines read what stops for now.
    pub stops: watch::Sender<Arc<Stops>>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where what is repeated reads the notices that last.
    pub lasting: watch::Sender<Lasting>,
    /// Where the engine hears from.
    pub ears: Ears,
}

impl Engine {
    /// Reads the store and goes on from there. Effects that a dead process was attempting become
    /// `unknown`, or end, in the first step: nothing of them is delivered before that is committed.
    ///
    /// # Errors
    /// The store cannot be read or written, or holds what this version cannot read.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let Parts { settings, store, clock, mut outbox, nudges, resolver, stops, metrics, lasting, ears } =
            parts;
        let now = clock.now();
        let saved: Saved = store.load(now).await?;
        let (interrupted, waiting): (Vec<Effect>, Vec<Effect>) = saved
            .effects
            .iter()
            .cloned()
            .partition(|effect| effect.state == EffectState::Unknown && effect.changed == now);
        let died = interrupted.into_iter().map(|effect| {
            let reason = effect.reason.clone();
            // Whether its desk can be searched is found out at the next attempt.
            let effect = after_unknown(effect, reason, now, true);
            Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None }
        });
        let died = died.collect();
        let planner =
            Planner::load(settings, saved).map_err(|why| StoreError::Unreadable { table: "planner", why })?;
        stops.send_replace(Arc::new(planner.stops()));
        metrics.standing(planner.pauses().len(), planner.holds().count());
        lasting.send_replace(Lasting { notices: Arc::new(planner.lasting()), heard: None });
        if let Some(outbox) = &mut outbox {
            outbox.submit(waiting, Vec::new());
        }
        metrics.leads();
        let stale = true;
        Ok(Self {
            planner,
            store,
            clock,
            outbox,
            nudges,
            resolver,
            stops,
            metrics,
            lasting,
            ears,
            died,
            stale,
            stop: CancellationToken::new(),
        })
    }

    /// Plans until asked to stop; then lets what is in hand end, and keeps what became of it.
    ///
    /// # Errors
    /// [`StoreError::Deposed`]: another replica plans now. Any other store that refuses is asked again until it
    /// takes what was decided, or until the daemon was asked to stop and the store went on refusing.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        self.stop = stop.clone();
        let mut commands = tokio::time::interval(COMMANDS);
        let mut metrics = tokio::time::interval(METRICS);
        let (mut reports, shared) = (tokio::time::interval(REPORTS), self.store.replicas().is_some());
        let nudges = self.nudges.clone();
        for (action, open) in self.planner.going_live() {
            tracing::warn!(
                action = action.as_str(),
                open,
                "goes live: what fails already has no effect of this kind until it fails anew"
            );
        }
        // What was due while nobody planned, and what became of what was under way: their incidents must know.
        let outcomes = std::mem::take(&mut self.died);
        self.step(Heard { input: Input { outcomes, ..Input::default() }, ..Heard::default() }).await?;
        while !stop.is_cancelled() {
            let mut heard = Heard::default();
            let (clock, due) = (self.clock.clone(), self.planner.next_due());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(report) = self.ears.reports.recv() => heard.report(report),
                Ok(()) = self.ears.evidence.changed() => {}
                Some(signal) = self.ears.signals.recv() => heard.signal(signal),
                Some(person) = self.ears.people.recv() => heard.input.people.push(person),
                _ = commands.tick() => self.commands(&mut heard).await,
                _ = reports.tick(), if shared => {}
                () = nudges.reported.notified() => {}
                _ = metrics.tick() => {
                    // Replicas change what is counted, too.
                    if self.stale || shared {
                        self.show().await;
                    }
                    continue;
                }
                () = async move { if let Some(at) = due { clock.sleep_until(at).await } }, if due.is_some() => {}
            }
            self.gather(&mut heard);
            if heard.waves() {
                tokio::select! {
                    () = tokio::time::sleep(TOGETHER) => {}
                    // Whoever sent it may wait for its commit.
                    Some(report) = self.ears.reports.recv() => heard.report(report),
                }
                self.gather(&mut heard);
            }
            self.hear(&mut heard).await;
            self.step(heard).await?;
        }
        self.finish().await
    }

    async fn step(&mut self, heard: Heard) -> Result<(), StoreError> {
        let (began, now) = (Instant::now(), self.clock.now());
        let Heard { input, state, committed, obeyed, heard, reported } = heard;
        for (channel, fault) in &input.circuits {
            self.metrics.circuit(channel, fault.is_some());
        }
        let traceparent = input.traceparent.clone();
        let mut changes = self.plan(now, input);
        // Whoever is known at hand is not worth a commit of their own.
        loop {
            let people = self.resolver.at_hand(&mut changes.unresolved);
            if people.is_empty() {
                break;
            }
            let traceparent = traceparent.clone();
            changes.and(self.plan(now, Input { people, traceparent, ..Input::default() }));
        }
        let unresolved = changes.unresolved.clone();
        let stops = self.planner.stops();
        let begun = match &self.outbox {
            Some(outbox) => outbox.begin(&mut changes.effects, &stops, now),
            None => Vec::new(),
        };
        let batch = Batch { changes, state, obeyed, heard, at: now, id: Some(rand::random()) };
        if !batch.is_empty() {
            self.commit(&batch).await?;
            self.stale = true;
            let (pauses, holds) = (self.planner.pauses().len(), self.planner.holds().count());
            self.metrics.stepped(&batch.changes, began.elapsed(), pauses, holds);
        }
        let noticed = |effect: &crate::store::Effect| matches!(effect.payload, Payload::Notice(_));
        let notices = batch.changes.effects.iter().any(noticed).then(|| Arc::new(self.planner.lasting()));
        if reported || notices.is_some() {
            self.lasting.send_modify(|lasting| {
                lasting.heard = if reported { Some(now) } else { lasting.heard };
                lasting.notices = notices.unwrap_or_else(|| lasting.notices.clone());
            });
        }
        for told in committed {
            // A source that is gone does not wait for it.
            let _ = told.send(());
        }
        self.stops.send_if_modified(|known| {
            let news = **known != stops;
            if news {
                *known = Arc::new(stops);
            }
            news
        });
        if let Some(outbox) = &mut self.outbox {
            outbox.submit(batch.changes.effects, begun);
        } else if !batch.changes.effects.is_empty() {
            self.nudges.planned.notify_one();
        }
        for user in unresolved {
            self.resolver.ask(user);
        }
        Ok(())
    }

    /// One step of the planner, as a part of the trace of what it heard first.
    fn plan(&mut self, now: Timestamp, mut input: Input) -> Changes {
        let due = self.planner.next_due().is_some_and(|at| at <= now);
        let span = if input.said.is_empty() && input.outcomes.is_empty() && !due {
            Span::none()
        } else {
            tracing::info_span!(target: TARGET, "plan", reports = input.said.len(), effects = Empty)
        };
        if let Some(demand) = &input.traceparent {
            traces::continue_from(&span, demand);
        }
        input.traceparent = traces::traceparent(&span);
        let changes = span.in_scope(|| self.planner.step(now, input));
        span.record("effects", changes.effects.len());
        changes
    }

    /// What was decided must be kept before anything else happens: the planner is ahead of the store until
    /// it is. What a store does not take by the end is decided anew at the next start; attempts whose outcome it did not
    /// take are `unknown` then.
    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut stopping = None;
        while let Err(error) = self.store.commit(batch).await {
            if matches!(error, StoreError::Deposed) {
                return Err(error);
            }
            self.metrics.commit_failed();
            if self.stop.is_cancelled() && stopping.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                tracing::error!("stopped while the store refused; the next start goes on from what it has");
                return Err(error);
            }
            tracing::error!(reason = %error, "the store refused a commit; nothing goes on until it takes it");
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn show(&mut self) {
        match (self.store.counts().await, self.store.oldest_pending().await) {
            (Ok(counts), Ok(oldest)) => {
                self.metrics.show(&counts, &oldest);
                self.stale = false;
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(reason = %error, "the metrics could not be brought up to date");
            }
        }
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        self.lasting.send_replace(Lasting::default());
        let Some(outbox) = self.outbox.take() else { return Ok(()) };
        let stopped = outbox.stop(PATIENCE);
        tokio::pin!(stopped);
        loop {
            let mut heard = Heard::default();
            let ended = tokio::select! {
                () = &mut stopped => true,
                Some(signal) = self.ears.signals.recv() => {
                    heard.signal(signal);
                    false
                }
            };
            while let Ok(signal) = self.ears.signals.try_recv() {
                heard.signal(signal);
            }
            self.step(heard).await?;
            if ended {
                return Ok(());
            }
        }
    }
}

/// The time of the newest evidence, for readiness.
pub fn evidence_as_of(evidence: &watch::Receiver<Arc<Snapshot>>) -> Option<Timestamp> {
    evidence.borrow().as_of
}
