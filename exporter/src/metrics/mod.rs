//! What is shown: both pages, rendered when something changed and after it was stored.

mod aggregates;
mod connections;
mod connectors;
mod contract;
mod own;
mod reference;

use std::sync::Arc;

use exposition::Page;

pub use connectors::{Connector, Connectors};
pub use contract::{AGGREGATES, CONNECTION, CONNECTION_LABELS, OWN};
pub use own::Own;
pub use reference::reference;

use crate::ledger::{Ledger, Ms};
use connections::ConnectionRows;

/// Both pages and what they are made from.
#[derive(Debug)]
pub struct Metrics {
    /// `/metrics`
    pub page: Arc<Page>,
    /// `/metrics/connections`
    pub connections: Arc<Page>,
    /// The daemon's own metrics.
    pub own: Own,
    rows: ConnectionRows,
    shown: Option<(bool, bool)>,
}

impl Metrics {
    /// Empty pages.
    ///
    /// # Errors
    /// Two metrics have one name, which is a mistake in the program.
    pub fn new() -> Result<Self, prometheus::Error> {
        let own = Own::new()?;
        let page = Arc::new(Page::new().with_registry(own.registry()));
        let connections = Arc::new(Page::new());
        Ok(Self { page, connections, own, rows: ConnectionRows::new(), shown: None })
    }

    /// Shows the ledger as it is now, if anything changed. What it shows must be stored.
    pub async fn publish(&mut self, ledger: &mut Ledger, connectors: &mut Connectors, now: Ms) {
        let up = self.own.is_up();
        let fresh = connectors.is_fresh(now);
        let (counters, durations) = ledger.counters.take_unshown(now);
        let gauges = ledger.gauges.take_unshown();
        let changed = connectors.take_changed()
            || !counters.is_empty()
            || !durations.is_empty()
            || !gauges.is_empty()
            || self.shown != Some((up, fresh));
        let mut pages = Vec::new();
        if changed {
            self.shown = Some((up, fresh));
            pages.push((self.page.clone(), aggregates::render(ledger, connectors.fresh(now), up, now)));
        }
        if self.rows.update(ledger) {
            pages.push((self.connections.clone(), self.rows.part()));
        }
        self.own.set_hidden(ledger.rows.hidden());
        if pages.is_empty() {
            return;
        }
        // Compresses and copies what changed, which takes a while for large pages.
        let rendered = tokio::task::spawn_blocking(move || {
            for (page, part) in pages {
                page.publish([part]);
            }
        });
        if let Err(error) = rendered.await {
            tracing::error!(%error, "the pages could not be rendered; they show what they showed before");
        }
    }
}

/// Milliseconds as the seconds that metrics speak.
fn seconds(ms: Ms) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests;
