//! Erases what is old, a few hundred rows at a time.

use daemon::Timestamp;

use super::Sqlite;
use crate::store::{
    StoreError, decode_effect, json,
    retention::{AT_ONCE, FINAL, rows_before, spent, variables_before},
};

impl Sqlite {
    /// Erases variables and rows that are too old, and gives the number of rows that changed.
    pub(super) async fn erase(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (mut all, variables, rows) = (0, variables_before(now), rows_before(now));
        loop {
            let old = format!(
                "SELECT key, body, state FROM effects WHERE spent = 0 AND changed < $1 AND state IN {FINAL} \
                 ORDER BY changed LIMIT {AT_ONCE}"
            );
            let mut tx = self.writer.begin().await?;
            // Built from constants.
            let old: Vec<(String, String, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(old)).bind(variables).fetch_all(&mut *tx).await?;
            if old.is_empty() {
                break;
            }
            for (key, body, state) in old {
                let effect = spent(decode_effect(&body, &state)?);
                sqlx::query("UPDATE effects SET body = $1, spent = 1 WHERE key = $2")
                    .bind(json(&effect))
                    .bind(key)
                    .execute(&mut *tx)
                    .await?;
                all += 1;
            }
            tx.commit().await?;
        }
        // The key of an effect of an open incident is what keeps it from being planned again.
        let effects = format!(
            "DELETE FROM effects WHERE changed < $1 AND state IN {FINAL} AND NOT EXISTS ( \
               SELECT 1 FROM effect_incidents AS link JOIN incidents ON incidents.reference = link.incident \
               WHERE link.effect = effects.key AND incidents.open = 1)"
        );
        for statement in [
            effects.as_str(),
            "DELETE FROM incidents WHERE changed < $1 AND NOT (open = 1)",
            "DELETE FROM effect_incidents WHERE NOT EXISTS (SELECT 1 FROM effects WHERE effects.key = effect) AND $1 > 0",
            "DELETE FROM timeline WHERE at < $1 AND NOT EXISTS ( \
               SELECT 1 FROM incidents WHERE incidents.reference = timeline.incident AND open = 1)",
        ] {
            let done = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(rows).execute(&self.writer).await?;
            all += done.rows_affected();
        }
        Ok(all)
    }
}
