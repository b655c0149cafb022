//! How several alerters share the database. Times are the database's own: the clocks of the machines may differ.

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use daemon::Timestamp;

use super::Postgres;
use crate::{
    outbox::{Signal, after_unknown},
    plan::{Outcome, Stops, digest},
    store::{
        Effect, EffectState, Replicas, Standing, StoreError, after_death, decode_effect, json, replicas::LEASE,
    },
};

/// When what was last heard at `seen` is too long ago. A database that was away heard nobody: after its start all
/// get as long again.
fn over(seen: &str) -> String {
    let seconds = LEASE.as_secs();
    format!("greatest({seen}, pg_postmaster_start_time()) < clock_timestamp() - interval '{seconds} seconds'")
}

#[async_trait]
impl Replicas for Postgres {
    async fn beat(&self) -> Result<Standing, StoreError> {
        sqlx::query(
            "INSERT INTO replicas (id, seen) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
        )
        .bind(&self.replica)
        .execute(&self.pool)
        .await?;
        let lead = format!(
            "UPDATE leader SET holder = $1, epoch = epoch + (holder IS DISTINCT FROM $1)::int, \
             renewed = clock_timestamp() WHERE holder IS NULL OR holder = $1 OR {} RETURNING epoch",
            over("renewed")
        );
        // Built from a constant.
        let epoch: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(lead))
            .bind(&self.replica)
            .fetch_optional(&self.pool)
            .await?;
        match (self.epoch(), epoch) {
            (0, Some(epoch)) => self.epoch.store(epoch, Ordering::SeqCst),
            (0, None) => {}
            (mine, Some(epoch)) if mine == epoch => {}
            // What this process planned from is no longer what the store holds.
            (_, None | Some(_)) => return Err(StoreError::Deposed),
        }
        let alive = format!("SELECT count(*) FROM replicas WHERE NOT ({})", over("seen"));
        let alive: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(alive)).fetch_one(&self.pool).await?;
        Ok(Standing { leads: epoch.is_some(), alive: u32::try_from(alive).unwrap_or(u32::MAX).max(1) })
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT DISTINCT channel FROM effects WHERE owner IS NULL \
             AND state IN ('planned', 'deferred', 'unknown') AND next_attempt <= $1",
        );
        Ok(query.bind(now.as_millisecond()).fetch_all(&self.pool).await?)
    }

    async fn claim(&self, room: &[(String, u32)], now: Timestamp) -> Result<Vec<Effect>, StoreError> {
        self.free_unanswered().await?;
        let claimed = sqlx::query_as::<_, (String, String, i64)>(
            "WITH mine AS MATERIALIZED ( \
               SELECT waiting.key FROM unnest($1::text[], $2::bigint[]) AS room (channel, places) \
               CROSS JOIN LATERAL ( \
                 SELECT key FROM effects WHERE effects.channel = room.channel AND owner IS NULL \
                 AND state IN ('planned', 'deferred', 'unknown') AND next_attempt <= $3 \
                 ORDER BY next_attempt LIMIT room.places FOR UPDATE SKIP LOCKED \
               ) AS waiting \
             ) \
             UPDATE effects SET owner = $4 FROM mine WHERE effects.key = mine.key \
             RETURNING effects.body, effects.state, effects.marks",
        )
        .bind(room.iter().map(|(channel, _)| channel.as_str()).collect::<Vec<_>>())
        .bind(room.iter().map(|(_, places)| i64::from(*places)).collect::<Vec<_>>())
        .bind(now.as_millisecond())
        .bind(&self.replica)
        .fetch_all(&self.pool)
        .await;
        let rows = self.unanswered.heed(claimed)?;
        rows.into_iter().map(|(body, state, marks)| marked(&body, &state, marks)).collect()
    }

    async fn put_back(&self, keys: &[String], at: Timestamp) -> Result<(), StoreError> {
        let freed = sqlx::query(
            "UPDATE effects SET owner = NULL, next_attempt = greatest(next_attempt, $1) \
             WHERE key = ANY($2) AND owner = $3 AND state IN ('planned', 'deferred', 'unknown')",
        )
        .bind(at.as_millisecond())
        .bind(keys)
        .bind(&self.replica)
        .execute(&self.pool)
        .await;
        self.unanswered.heed(freed).map(|_| ())
    }

    async fn spread(
        &self,
        channel: &str,
        due: Timestamp,
        over: Duration,
        least: u32,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "WITH due AS MATERIALIZED ( \
               SELECT key FROM effects WHERE channel = $1 AND owner IS NULL \
               AND state IN ('planned', 'deferred', 'unknown') AND next_attempt <= $2 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE effects SET next_attempt = $2 + (hashtext(effects.key)::bigint & 2147483647) % $3 \
             FROM due WHERE effects.key = due.key AND (SELECT count(*) FROM due) > $4",
        )
        .bind(channel)
        .bind(due.as_millisecond())
        .bind(i64::try_from(over.as_millis()).unwrap_or(i64::MAX).max(1))
        .bind(i64::from(least))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn report(&self, signals: &[Signal]) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let bodies: Vec<String> = signals.iter().map(json).collect();
        let news = sqlx::query(
            "INSERT INTO replicas (id, seen, said) VALUES ($1, clock_timestamp(), $2) \
             ON CONFLICT (id) DO UPDATE SET said = excluded.said WHERE replicas.said IS DISTINCT FROM excluded.said",
        )
        .bind(&self.replica)
        .bind(digest(&bodies.concat()))
        .execute(&mut *tx)
        .await?;
        if news.rows_affected() == 0 {
            // It is written down: only the answer to the commit was lost.
            return Ok(());
        }
        let (mut keys, mut marks) = (Vec::new(), Vec::new());
        for signal in signals {
            if let Signal::Outcome(outcome) = signal {
                keys.push(super::text(&outcome.effect.key));
                marks.push(i64::from(outcome.effect.marks));
            }
        }
        sqlx::query("INSERT INTO signals (body) SELECT * FROM unnest($1::text[])")
            .bind(bodies)
            .execute(&mut *tx)
            .await?;
        // Nobody's attempt any more: what became of it is written down.
        sqlx::query(
            "UPDATE effects SET owner = NULL FROM unnest($1::text[], $2::bigint[]) AS told (key, marks) \
             WHERE effects.key = told.key AND effects.marks = told.marks AND state = 'attempting' AND owner = $3",
        )
        .bind(keys)
        .bind(marks)
        .bind(&self.replica)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn reported(&self) -> Result<Vec<(i64, Signal)>, StoreError> {
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT id, body FROM signals ORDER BY id LIMIT 2000")
                .fetch_all(&self.pool)
                .await?;
        let unreadable =
            |error: serde_json::Error| StoreError::Unreadable { table: "signals", why: error.to_string() };
        rows.into_iter().map(|(id, body)| Ok((id, serde_json::from_str(&body).map_err(unreadable)?))).collect()
    }

    async fn bury(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let dead = format!("DELETE FROM replicas WHERE id <> $1 AND {}", over("seen"));
        sqlx::query(sqlx::AssertSqlSafe(dead)).bind(&self.replica).execute(&mut *tx).await?;
        let theirs = "owner IS NOT NULL AND owner NOT IN (SELECT id FROM replicas)";
        let free = format!(
            "UPDATE effects SET owner = NULL WHERE {theirs} AND state IN ('planned', 'deferred', 'unknown')"
        );
        sqlx::query(sqlx::AssertSqlSafe(free)).execute(&mut *tx).await?;
        let orphans = format!(
            "UPDATE effects SET owner = NULL WHERE {theirs} AND state = 'attempting' RETURNING body, state, marks"
        );
        let orphans: Vec<(String, String, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(orphans)).fetch_all(&mut *tx).await?;
        let mut signals = Vec::with_capacity(orphans.len());
        for (body, state, marks) in orphans {
            let effect = after_death(marked(&body, &state, marks)?, now);
            // Whether its desk can be searched is found out at the next attempt.
            let reason = effect.reason.clone();
            let effect = after_unknown(effect, reason, now, true);
            let outcome = Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None };
            signals.push(json(&Signal::Outcome(Box::new(outcome))));
        }
        sqlx::query("INSERT INTO signals (body) SELECT * FROM unnest($1::text[])")
            .bind(signals)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn stops(&self) -> Result<Stops, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT kind, body FROM planner WHERE kind IN ('pause', 'trouble')")
                .fetch_all(&self.pool)
                .await?;
        Stops::read(&rows).map_err(|error| StoreError::Unreadable { table: "planner", why: error.to_string() })
    }

    async fn leave(&self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("UPDATE leader SET holder = NULL WHERE holder = $1")
            .bind(&self.replica)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE effects SET owner = NULL WHERE owner = $1 AND state IN ('planned', 'deferred', 'unknown')",
        )
        .bind(&self.replica)
        .execute(&mut *tx)
        .await?;
        // What it was still attempting is looked after by whoever plans: it is no longer among the living.
        sqlx::query("DELETE FROM replicas WHERE id = $1").bind(&self.replica).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn marked(body: &str, state: &str, marks: i64) -> Result<Effect, StoreError> {
    let mut effect = decode_effect(body, state)?;
    effect.marks = u32::try_from(marks).unwrap_or(u32::MAX);
    debug_assert!(effect.state != EffectState::Held);
    Ok(effect)
}
