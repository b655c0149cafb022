//! What this replica asked of the database and got no answer to. A connection that breaks may do so after the
//! commit: then the claim or the mark stands, and nobody here knows of it. Such claims are freed before the next
//! ones are made, and wait neither for the end of this process nor for ever.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::Postgres;
use crate::store::{Effect, StoreError};

/// What has no answer.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    any: AtomicBool,
    /// Effects that may be marked although nobody attempts them.
    marks: Mutex<Vec<String>>,
}

impl Unanswered {
    /// Remembers that a statement about claims had no answer.
    pub(super) fn heed<T>(&self, answer: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        Ok(answer.inspect_err(|_| self.any.store(true, Ordering::SeqCst))?)
    }

    /// Remembers that the marking of these effects had no answer.
    pub(super) fn heed_marks<T>(
        &self,
        keys: &[String],
        answer: Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        if answer.is_err() {
            self.marks.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(keys);
        }
        self.heed(answer)
    }
}

impl Postgres {
    /// Frees all that this replica has claimed and does not attempt, if it may hold something without knowing it.
    /// A line that holds one of them learns so when it wants to mark it, and drops it.
    pub(super) async fn free_unanswered(&self) -> Result<(), StoreError> {
        if !self.unanswered.any.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let marks = std::mem::take(&mut *self.unanswered.marks.lock().unwrap_or_else(PoisonError::into_inner));
        self.unanswered.heed_marks(&marks, self.free(&marks).await)
    }

    async fn free(&self, marks: &[String]) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let marked: Vec<(String, String)> = sqlx::query_as(
            "SELECT key, body FROM effects WHERE key = ANY($1) AND owner = $2 AND state = 'attempting' FOR UPDATE",
        )
        .bind(marks)
        .bind(&self.replica)
        .fetch_all(&mut *tx)
        .await?;
        for (key, body) in marked {
            // As it was planned. The mark stays counted: whatever comes of a later one is newer.
            let state = match serde_json::from_str(&body) {
                Ok(Effect { state, .. }) => state,
                Err(error) => {
                    tracing::error!(reason = %error, key, "a mark without an answer stays: its effect cannot be read");
                    continue;
                }
            };
            sqlx::query("UPDATE effects SET state = $1 WHERE key = $2")
                .bind(state.as_str())
                .bind(key)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query(
            "UPDATE effects SET owner = NULL WHERE owner = $1 AND state IN ('planned', 'deferred', 'unknown')",
        )
        .bind(&self.replica)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}
