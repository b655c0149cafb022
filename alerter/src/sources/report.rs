//! What a source that evaluates rules has yet to report.

use daemon::{CancellationToken, Timestamp};

use super::Sender;
use crate::rules::{Book, Changes};

/// Changes that are not durable yet: they are told again until they are.
pub(super) struct Pending {
    changes: Changes,
    /// The core is told everything that fires after a start, after a reload, and after a report that it could
    /// not commit.
    all: bool,
    /// The store is told everything that is pending or fires after a report that it could not commit.
    rows: bool,
}

impl Pending {
    pub(super) fn new(changes: Changes) -> Self {
        Self { changes, all: true, rows: false }
    }

    /// Rules were read again. Annotations may have changed with nothing else.
    pub(super) fn reloaded(&mut self, changes: Changes) {
        self.changes.then(changes);
        self.all = true;
    }

    /// Adds what an evaluation at `at` changed, and reports. `None` if the daemon stops, else whether all of
    /// it is durable.
    pub(super) async fn report(
        &mut self,
        at: Timestamp,
        changes: Changes,
        book: &Book,
        reports: &Sender,
        stop: &CancellationToken,
    ) -> Option<bool> {
        self.changes.then(changes);
        let mut changes = std::mem::take(&mut self.changes);
        if self.all {
            // There may be very many: not two lists of them at a time.
            changes.firing = Vec::new();
            changes.firing = book.firing();
        }
        if self.rows {
            changes.then(Changes { state: book.rows(), ..Changes::default() });
        }
        // What is there is told from the book if this cannot be committed; what is gone is nowhere else.
        let ended = changes.ended.clone();
        let state = changes.state.iter().filter(|row| row.is_gone()).cloned().collect();
        let committed = tokio::select! {
            () = stop.cancelled() => return None,
            committed = reports.send(at, changes) => committed,
        };
        (self.all, self.rows) = (!committed, !committed);
        if !committed {
            self.changes = Changes { firing: Vec::new(), ended, state };
            tracing::warn!(source = %reports.source(), "a report could not be committed; the next one repeats it");
        }
        Some(committed)
    }
}
