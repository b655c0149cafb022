//! Rounds: time passes, what changed is stored, and then shown.

use super::Core;
use crate::{
    ledger::{Ms, span},
    store::Batch,
};

/// How often the use of the quota is noted while nothing else is stored. By the clock.
const NOTE_EVERY: Ms = span::MINUTE;

impl Core {
    /// Lets time pass, stores what changed, then shows it.
    pub(super) async fn round(&mut self) {
        let now = self.now();
        self.drop_leaving(now);
        self.ledger.tick(now);
        // First what an earlier round could not store, then what changed since: hints and pages are newer than that.
        for _ in 0..2 {
            if self.batch.is_empty() {
                self.batch = Batch::take(&mut self.ledger);
                // With whatever is stored anyway, so that a kill forgets no more than the last moments.
                if !self.batch.is_empty() || now >= self.noted + NOTE_EVERY {
                    self.note_spending(now);
                }
                if std::mem::take(&mut self.notes_changed) {
                    self.batch.note(&self.notes);
                }
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
        for stored in std::mem::take(&mut self.unstored) {
            // Whoever waits may have gone.
            let _ = stored.send(());
        }
        self.show(now).await;
    }

    /// Notes what was used of the day's quota, so that a restart does not give it anew.
    pub(super) fn note_spending(&mut self, now: Ms) {
        self.noted = now;
        let spent = self.client.spent();
        if spent != self.notes.spent {
            self.notes.spent = spent;
            self.notes_changed = true;
        }
    }

    async fn show(&mut self, now: Ms) {
        self.grow_warm(now);
        let status = self.client.status();
        let throttled = status.throttled_until.is_some_and(|until| until.as_millisecond() > now);
        if throttled {
            self.stay_up(now, now);
        }
        let own = &self.metrics.own;
        own.set_up(now < self.up_until);
        own.users.set(i64::try_from(self.ledger.len()).unwrap_or(i64::MAX));
        let waiting = self.schedule.next_due().unwrap_or(now);
        let oldest = self.looking.values().map(|look| look.due).fold(waiting.min(now), Ms::min);
        own.oldest_due.set(oldest as f64 / 1000.0);
        own.quota_remaining.set(i64::try_from(status.remaining_today).unwrap_or(i64::MAX));
        own.throttled.set(i64::from(throttled));
        self.metrics.publish(&mut self.ledger, &mut self.connectors, now).await;
    }

    /// Warm is said once all that was due at the start has been observed, and then for good.
    fn grow_warm(&mut self, now: Ms) {
        if self.cold.is_none() && self.have_all_spoken() && self.connectors.is_known() {
            self.cold = Some(self.schedule.due(now).collect());
        }
        let warm = &self.metrics.own.warm;
        if warm.get() == 0 && self.cold.as_ref().is_some_and(std::collections::HashSet::is_empty) {
            tracing::info!(
                users = self.ledger.len(),
                "warm: all that was due at the start has been observed"
            );
            warm.set(1);
        }
    }
}
