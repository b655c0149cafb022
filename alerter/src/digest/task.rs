//! When a digest is due, and that it is sent once.

use std::{sync::Arc, time::Duration};

use daemon::{CancellationToken, Clock, Timestamp};
use jiff::SignedDuration;
use tokio::sync::{mpsc, oneshot};

use super::{Digest, SOURCE, gather, notice};
use crate::{
    channels::{DeliveryError, Notice, Operators},
    demand::{Report, StateRow},
    plan::after,
    store::Store,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Between attempts, and how long they go on: as long as a notice lives.
const AGAIN: Duration = Duration::from_secs(600);
const LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// The row in which the time of the last digest is kept.
const LAST: &str = "last";

/// Sends the digest every day.
pub struct Task {
    /// When and where to.
    pub settings: Digest,
    /// The offset at which days begin.
    pub utc_offset_hours: i8,
    /// Which installation it speaks of.
    pub environment: String,
    /// The channel; without it there is no digest.
    pub channel: Option<Arc<dyn Operators>>,
    /// What it is made of.
    pub store: Arc<dyn Store>,
    /// Through which the time of the last one is kept.
    pub reports: mpsc::Sender<Report>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Task {
    /// Sends digests until stopped. What fell due while nobody ran is sent at the start, as one.
    pub async fn run(self) {
        let Some(channel) = self.channel.clone() else { return };
        let minute = self.settings.minute_of_day().unwrap_or_default();
        let mut last = match self.last().await {
            Ok(last) => last,
            Err(reason) => {
                tracing::error!(%reason, "there will be no digest: the time of the last could not be read");
                return;
            }
        };
        loop {
            let due = next(last.unwrap_or_else(|| self.clock.now()), minute, self.utc_offset_hours);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.clock.sleep_until(due) => {}
            }
            let now = self.clock.now();
            let from = last.unwrap_or(now - DAY).max(now - DAY * 7);
            match gather(&*self.store, from).await {
                Ok(figures) => {
                    let digest = notice(&figures, &self.environment, from, now, self.utc_offset_hours);
                    if !self.send(&*channel, &digest).await {
                        return;
                    }
                }
                Err(reason) => tracing::error!(%reason, "a digest was left out: the store could not be read"),
            }
            last = Some(now);
            self.keep(now).await;
        }
    }

    /// False if it was stopped meanwhile.
    async fn send(&self, channel: &dyn Operators, digest: &Notice) -> bool {
        let until = after(self.clock.now(), LIFETIME);
        loop {
            let reason = match channel.notify(digest).await {
                Ok(_) => return true,
                Err(reason) => reason,
            };
            let wait = match &reason {
                DeliveryError::Retry { after: Some(after), .. } => (*after).max(AGAIN),
                // The same key, and so the same Message-ID: a second one can be recognised.
                DeliveryError::Retry { .. }
                | DeliveryError::Channel { .. }
                | DeliveryError::Unknown { .. } => AGAIN,
                _ => {
                    tracing::error!(%reason, "the digest was refused");
                    return true;
                }
            };
            if after(self.clock.now(), wait) >= until {
                tracing::error!(%reason, "the digest could not be delivered");
                return true;
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    async fn last(&self) -> Result<Option<Timestamp>, String> {
        let rows = self.store.state(SOURCE).await.map_err(|error| error.to_string())?;
        let row = rows.into_iter().find(|row| row.key() == LAST).and_then(|row| row.into_parts().1);
        Ok(row.and_then(|body| String::from_utf8(body).ok()?.parse().ok()))
    }

    async fn keep(&self, now: Timestamp) {
        let (committed, kept) = oneshot::channel();
        let report = Report {
            source: SOURCE.into(),
            at: now,
            firing: Vec::new(),
            ended: Vec::new(),
            state: vec![StateRow::new(LAST, Some(now.to_string().into_bytes()))],
            traceparent: None,
            committed: Some(committed),
        };
        // A daemon that ends meanwhile sends this digest once more, with the same key.
        if self.reports.send(report).await.is_ok() {
            let _ = kept.await;
        }
    }
}

/// The first time after `last` that is so many minutes after a midnight of that offset.
fn next(last: Timestamp, minute: i64, utc_offset_hours: i8) -> Timestamp {
    let shift = minute * 60 - i64::from(utc_offset_hours) * 3600;
    let since = (last.as_second() - shift).rem_euclid(86_400);
    last - SignedDuration::from_secs(since) - SignedDuration::from_nanos(i64::from(last.subsec_nanosecond()))
        + DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_digest_is_at_the_next_such_time_of_day() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (last, minute, offset, due) in [
            ("2026-11-22T00:00:00Z", 480, 0, "2026-11-22T08:00:00Z"),
            ("2026-11-22T08:00:00Z", 480, 0, "2026-11-23T08:00:00Z"),
            ("2026-11-22T08:00:00.5Z", 480, 0, "2026-11-23T08:00:00Z"),
            ("2026-11-22T21:59:59Z", 480, 10, "2026-11-22T22:00:00Z"),
            ("2026-11-22T22:00:00Z", 480, 10, "2026-11-23T22:00:00Z"),
            ("2026-11-22T12:00:00Z", 0, -11, "2026-11-23T11:00:00Z"),
        ] {
            assert_eq!(next(at(last), minute, offset), at(due), "{last} {minute} {offset}");
        }
    }
}
