//! Hands reports to the core and hears whether they were committed.

use std::sync::Arc;

use daemon::{
    Timestamp,
    traces::{self, TARGET},
};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

use crate::{demand::Report, rules::Changes};

/// The way of one source's reports.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    source: Arc<str>,
    reports: mpsc::Sender<Report>,
}

impl Sender {
    pub(crate) fn new(source: Arc<str>, reports: mpsc::Sender<Report>) -> Self {
        Self { source, reports }
    }

    /// Whose reports.
    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Reports, and returns once it is known whether all of it is durable.
    pub(crate) async fn send(&self, at: Timestamp, changes: Changes) -> bool {
        let (firing, ended) = (changes.firing.len(), changes.ended.len());
        // A report of nothing new is no demand.
        let span = if firing + ended == 0 {
            Span::none()
        } else {
            tracing::info_span!(target: TARGET, "demand", source = %self.source, firing, ended)
        };
        self.hand_over(at, changes, traces::traceparent(&span)).instrument(span).await
    }

    async fn hand_over(&self, at: Timestamp, changes: Changes, traceparent: Option<String>) -> bool {
        let (committed, answer) = oneshot::channel();
        let Changes { firing, ended, state } = changes;
        let (source, committed) = (self.source.clone(), Some(committed));
        let report = Report { source, at, firing, ended, state, traceparent, committed };
        self.reports.send(report).await.is_ok() && answer.await.is_ok()
    }
}
