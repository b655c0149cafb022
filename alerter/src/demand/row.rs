//! State of sources, as the store keeps it.

use std::{borrow::Cow, fmt};

use crate::rules::AlertRow;

/// The state of one rule of one source, kept with whatever is planned from it. Opaque to everyone but
/// the source that wrote it.
#[derive(Clone)]
pub struct StateRow(Row);

#[derive(Clone)]
enum Row {
    Written {
        key: String,
        body: Option<Vec<u8>>,
    },
    /// An alert: at the first evaluation there may be a hundred thousand of them at once, so it is put into words
    /// when it is stored.
    Alert(AlertRow),
}

impl StateRow {
    /// A row of that key, unique within its source; without a body it deletes what was there.
    pub fn new(key: impl Into<String>, body: Option<Vec<u8>>) -> Self {
        Self(Row::Written { key: key.into(), body })
    }

    /// The row of an alert.
    pub(crate) fn alert(alert: AlertRow) -> Self {
        Self(Row::Alert(alert))
    }

    /// Its key.
    pub fn key(&self) -> Cow<'_, str> {
        match &self.0 {
            Row::Written { key, .. } => key.into(),
            Row::Alert(alert) => alert.key().into(),
        }
    }

    /// What is kept; `None` if the row is to be deleted.
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        match &self.0 {
            Row::Written { body, .. } => body.as_deref().map(Cow::Borrowed),
            Row::Alert(alert) => alert.body().map(Cow::Owned),
        }
    }

    /// Key and body, as [`StateRow::new`] takes them.
    pub fn into_parts(self) -> (String, Option<Vec<u8>>) {
        match self.0 {
            Row::Written { key, body } => (key, body),
            Row::Alert(alert) => (alert.key(), alert.body()),
        }
    }

    /// Whether it deletes what was there.
    pub fn is_gone(&self) -> bool {
        match &self.0 {
            Row::Written { body, .. } => body.is_none(),
            Row::Alert(alert) => alert.is_gone(),
        }
    }
}

impl PartialEq for StateRow {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.body() == other.body()
    }
}

impl fmt::Debug for StateRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        let body = body.as_deref().map(String::from_utf8_lossy);
        f.debug_struct("StateRow").field("key", &self.key()).field("body", &body).finish()
    }
}
