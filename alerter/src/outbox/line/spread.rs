//! What became due while nothing could go, restarts spread over half an hour (behaviour, section 4); what this replica
//! cannot deliver, others may.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use daemon::Timestamp;

use super::{LOOK_AGAIN, Line};
use crate::{
    outbox::queue::ANY,
    plan::{after, share, since},
};

/// How long (real time) claims that were under way when a line spread what is due may take to arrive.
const ARRIVES: Duration = Duration::from_millis(500);

impl Line {
    /// After a time without evidence, what became due in it restarts spread out.
    pub(super) async fn mind_evidence(&mut self, as_of: Option<Timestamp>, now: Timestamp) {
        let fresh = as_of.is_some_and(|as_of| since(now, as_of) <= self.work.limits.evidence_age);
        match self.blind {
            None if !fresh => self.blind = Some(now),
            Some(began) if fresh => {
                self.blind = None;
                if since(now, began) > self.work.limits.evidence_age {
                    self.spread(now).await;
                }
            }
            _ => {}
        }
    }

    /// How long nothing begins, because what was being claimed while the rest was spread is still to be spread.
    pub(super) async fn gathers(&mut self, now: Timestamp) -> Option<Duration> {
        let left = ARRIVES.checked_sub(self.spread?.elapsed()).filter(|left| !left.is_zero());
        if left.is_some() && self.waiting.len() > 0 {
            let began = self.spread;
            self.spread(now).await;
            self.spread = began;
        }
        if left.is_none() {
            self.spread = None;
        }
        left
    }

    /// Spreads what is due over half an hour, unless it is no more than goes at once anyway. What was put off is due
    /// with the next look at it.
    pub(super) async fn spread(&mut self, now: Timestamp) {
        let due = after(now, LOOK_AGAIN);
        // What this replica has claimed is spread with the rest.
        self.hand_back(now).await;
        self.spread = self.shared().map(|_| Instant::now());
        self.room.store(0, Ordering::Relaxed);
        if let Some(replicas) = self.shared() {
            let over = self.work.limits.catch_up_spread.saturating_sub(LOOK_AGAIN);
            let least = self.work.pace.burst as u32;
            if let Err(error) = replicas.spread(&self.name, due, over, least).await {
                tracing::error!(reason = %error, channel = self.name, "what is due could not be spread out");
            }
            return;
        }
        self.waiting.ripen(due, |_| ANY);
        let due = self.waiting.take_due();
        let many = due.len() as f64 > self.work.pace.burst;
        for mut effect in due {
            if many {
                let later = self.work.limits.catch_up_spread.mul_f64(share(&effect.key));
                effect.next_attempt = after(now, later).min(effect.expires);
            }
            self.waiting.put(effect);
        }
    }

    /// What this replica cannot deliver for now, others may.
    pub(super) async fn hand_back(&mut self, now: Timestamp) {
        if self.shared().is_none() {
            return;
        }
        let keys: Vec<String> = self.waiting.take_all().into_iter().map(|effect| effect.key).collect();
        self.let_go(&keys, now).await;
    }

    pub(super) async fn let_go(&self, keys: &[String], at: Timestamp) {
        let Some(replicas) = self.shared() else { return };
        if let Err(error) = replicas.put_back(keys, at).await {
            // They come free before this replica claims again, or with its end.
            tracing::error!(reason = %error, channel = self.name, "claims could not be handed back");
        }
    }
}
