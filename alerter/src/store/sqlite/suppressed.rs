//! Who is suppressed, remembered: every message asks, and the answer seldom changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Sqlite;
use crate::store::StoreError;

/// The table as it was last read.
#[derive(Debug, Default)]
pub(super) struct Suppressed(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Codes by person; `None` until they are asked for again.
    known: Option<Arc<HashMap<String, String>>>,
    /// Counts how often it was forgotten: what was read before is not kept afterwards.
    forgotten: u64,
    /// SQLite's number of what the writer sees; another one means that another process has written.
    version: i64,
}

impl Suppressed {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process has written may differ.
    pub(super) fn forget(&self) {
        let mut memory = self.memory();
        memory.known = None;
        memory.forgotten += 1;
    }
}

impl Sqlite {
    /// Forgets what is remembered if another process has written since, as the tools do.
    pub(super) async fn notice_others(&self) -> Result<(), StoreError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.writer).await?;
        if std::mem::replace(&mut self.suppressed.memory().version, version) != version {
            self.suppressed.forget();
        }
        Ok(())
    }

    /// The code for which a person is suppressed.
    pub(super) async fn code_of(&self, person: &str) -> Result<Option<String>, StoreError> {
        let forgotten = {
            let memory = self.suppressed.memory();
            if let Some(known) = &memory.known {
                return Ok(known.get(person).cloned());
            }
            memory.forgotten
        };
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT person, code FROM suppressions").fetch_all(&self.readers).await?;
        let known: Arc<HashMap<String, String>> = Arc::new(rows.into_iter().collect());
        let code = known.get(person).cloned();
        let mut memory = self.suppressed.memory();
        if memory.forgotten == forgotten {
            memory.known = Some(known);
        }
        Ok(code)
    }
}
