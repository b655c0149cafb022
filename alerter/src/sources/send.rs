//! Hands reports to the core and hears whether they were committed.

use std::sync::Arc;

use daemon::Timestamp;
use tokio::sync::{mpsc, oneshot};

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
        let (committed, answer) = oneshot::channel();
        let Changes { firing, ended, state } = changes;
        let report =
            Report { source: self.source.clone(), at, firing, ended, state, committed: Some(committed) };
        self.reports.send(report).await.is_ok() && answer.await.is_ok()
    }
}
