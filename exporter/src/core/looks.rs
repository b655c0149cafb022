//! Asking Basiq: looks at users, polls of the connectors, and what follows from their ends.

use std::time::{Duration, Instant};

use basiq::{Client, Connector, ConnectorFilter, Error, ErrorKind, Priority};
use daemon::{Context, traces::TARGET};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{Core, Looking, Message};
use crate::{
    ledger::{Id, Ms, span},
    poll::{self, Banks, Look, Need, Plan},
};

/// Slow looks under way for each quick one that may be.
pub(crate) const SLOW: usize = 8;
/// A look under way for longer is slow, and holds no place of the quick ones. Real time.
const QUICK: Duration = Duration::from_secs(2);
/// The pause after a failure of Basiq as a whole, doubled up to the second. Real time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// The pause after a look that failed for its own reasons, doubled up to the second. By the clock.
const AGAIN: (Ms, Ms) = (60_000, 3_600_000);
/// That a user or a job does not exist is believed after so many looks over at least this long: a gateway, a wrong key and a
/// fault say so, too.
const MISSING: (u32, Ms) = (3, span::HOUR);
/// If more users than this, and more than one in twenty, are missing at once, that is a fault of the whole.
const MISSING_AT_MOST: usize = 20;
/// How long, at most, a call waits in the client: its patience. By the clock.
const PATIENCE: Ms = 2 * span::MINUTE;

impl Core {
    pub(super) fn looked(&mut self, place: u32, plan: &Plan, look: Look, now: Ms) {
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
                None if self.is_unreadable_for_good(place, &by_id.id, now) => {
                    self.ledger.observe_job_gone(user, &by_id.id, now);
                }
                None => {}
            }
        }
        let unread = |id: &Id| look.by_id.iter().any(|by_id| by_id.id == *id && by_id.job.is_none());
        if look.error.is_none() {
            self.unreadable.retain(|(at, id), _| *at != place || unread(id));
        }
        if look.gone && self.is_gone_for_good(place, now) {
            tracing::info!("a user is gone");
            self.gone(user, now);
            return;
        }
        let (need, due) = match &look.error {
            _ if look.gone => (plan.need, now + MISSING.1 / Ms::from(MISSING.0 - 1)),
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
                self.missing.remove(&place);
                self.metrics.own.succeeded("users", now);
                match self.ledger.user(place) {
                    Some(_) if self.ledger.wants_connections(user) => (Need::Hint, now),
                    Some(user) => poll::need(user, &self.pace, self.banks_of(user, plan.need, now), now),
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
        self.move_alarmed(now);
    }

    /// Basiq says that it does not know the user at `place`: whether that is to be believed now.
    fn is_gone_for_good(&mut self, place: u32, now: Ms) -> bool {
        let (since, times) = self.missing.entry(place).or_insert((now, 0));
        *times += 1;
        let sure = *times >= MISSING.0 && now >= *since + MISSING.1;
        let many = self.missing.len() > MISSING_AT_MOST.max(self.ledger.len() / 20);
        if sure && many {
            tracing::error!(
                users = self.missing.len(),
                "Basiq says that many users do not exist; that is not believed: check that the API key is of the \
                 application that has them"
            );
        }
        sure && !many
    }

    /// Basiq says that it does not know a job: whether that is to be believed now.
    fn is_unreadable_for_good(&mut self, place: u32, job: &Id, now: Ms) -> bool {
        let kept = self.ledger.user(place).and_then(|user| user.jobs.iter().find(|kept| kept.id == *job));
        // What only a hint named need not exist, and after its seven days Basiq owes nobody a job.
        if kept.is_none_or(|kept| kept.created == 0 || now >= kept.created + span::WEEK) {
            return true;
        }
        let (since, times) = self.unreadable.entry((place, job.clone())).or_insert((now, 0));
        *times += 1;
        *times >= MISSING.0 && now >= *since + MISSING.1
    }

    pub(super) fn connectors(&mut self, asked: Ms, result: Result<Vec<Connector>, Error>, now: Ms) {
        match result {
            Ok(listed) => {
                let changed = self.connectors.observe(&listed, &mut self.ledger, asked, now);
                self.up_until = now + 3 * self.connectors_every;
                self.metrics.own.succeeded("connectors", now);
                self.paused = None;
                for bank in changed {
                    self.trouble_at(bank, now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the connectors could not be read");
                if matches!(error.kind, ErrorKind::Throttled { .. } | ErrorKind::QuotaExhausted { .. }) {
                    self.stay_up(asked, now);
                }
                if error.is_global() {
                    self.pause(&error);
                }
            }
        }
    }

    /// Throttling, by Basiq or by our own quota, changes nothing about whether Basiq is up: until the next answer,
    /// which may wait in the client, it is as it was.
    pub(super) fn stay_up(&mut self, asked: Ms, now: Ms) {
        if asked < self.up_until {
            self.up_until = self.up_until.max(now + 3 * self.connectors_every + PATIENCE);
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
    pub(super) fn dispatch(&mut self) {
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
            if need == Need::Suspect && !self.is_suspect(user) {
                let (need, due) = poll::need(user, &self.pace, Banks::Calmed, now);
                self.schedule.done(place, need, due);
                continue;
            }
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
        let span = tracing::info_span!(target: TARGET, "poll connectors");
        let filter = ConnectorFilter::default();
        let result = client.connectors(&filter, Priority::Running).instrument(span).await;
        if core.send(Message::Connectors(asked, result)).await.is_err() {
            return;
        }
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = context.clock.sleep(interval) => {}
        }
    }
}
