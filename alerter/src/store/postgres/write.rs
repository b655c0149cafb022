//! What the daemon commits: each table's rows in one statement of arrays.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use daemon::{Secret, Timestamp};
use sqlx::{Postgres as Dialect, Transaction};

use super::{Postgres, forget, text};
use crate::{
    incidents::Incident,
    plan::{Changes, Command, Saved},
    store::{
        Batch, Effect, EffectState, HOUR_MS, LOOK_BACK_MS, Payload, Read, Replicas, Store, StoreError, Suppression,
        TicketRow, TimelineEntry, decode_command, decode_effect, decode_incident, json, to_time,
    },
};

pub(super) type Tx = Transaction<'static, Dialect>;

#[async_trait]
impl Store for Postgres {
    async fn load(&self, now: Timestamp) -> Result<Saved, StoreError> {
        let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE open OR changed >= $1")
            .bind(now.as_millisecond() - LOOK_BACK_MS)
            .fetch_all(&self.pool)
            .await?;
        // What others are attempting stays so: they report it, or are buried.
        let unfinished: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT body, state, marks FROM effects WHERE state IN ('planned', 'deferred', 'held', 'attempting', 'unknown')",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut effects = Vec::with_capacity(unfinished.len());
        for (body, state, marks) in unfinished {
            let mut effect = decode_effect(&body, &state)?;
            effect.marks = u32::try_from(marks).unwrap_or(u32::MAX);
            effects.push(effect);
        }
        let suppressed: Vec<i64> = sqlx::query_scalar("SELECT at FROM suppressions WHERE at > $1 ORDER BY at")
            .bind(now.as_millisecond() - HOUR_MS)
            .fetch_all(&self.pool)
            .await?;
        Ok(Saved {
            born: self.born().await?,
            incidents: bodies
                .iter()
                .map(|body| decode_incident(body).map(Arc::new))
                .collect::<Result<_, _>>()?,
            effects,
            rows: sqlx::query_as("SELECT kind, key, body FROM planner").fetch_all(&self.pool).await?,
            suppressed: suppressed.into_iter().map(to_time).collect(),
        })
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        // Holds the lead for the length of the commit: nobody can take it before this is done.
        let news = sqlx::query(
            "UPDATE leader SET renewed = clock_timestamp(), committed = $3 \
             WHERE holder = $1 AND epoch = $2 AND ($3::bigint IS NULL OR committed IS DISTINCT FROM $3)",
        )
        .bind(&self.replica)
        .bind(self.epoch())
        .bind(batch.id)
        .execute(&mut *tx)
        .await?;
        if news.rows_affected() == 0 {
            return self.has_committed(&mut tx, batch).await;
        }
        let Changes { incidents, effects, timeline, rows, suppressed, forgotten, unresolved: _ } = &batch.changes;
        write_incidents(&mut tx, incidents).await?;
        write_effects(&mut tx, effects).await?;
        write_tickets(&mut tx, &tickets(effects, batch.at)).await?;
        write_timeline(&mut tx, timeline).await?;
        write_rows(&mut tx, rows).await?;
        for (source, state) in &batch.state {
            write_state(&mut tx, source, state).await?;
        }
        delete(&mut tx, "DELETE FROM commands WHERE id = ANY($1)", &batch.obeyed).await?;
        delete(&mut tx, "DELETE FROM signals WHERE id = ANY($1)", &batch.heard).await?;
        let suppressed: Vec<Suppression> = suppressed
            .iter()
            .map(|(person, code)| Suppression { person: person.clone(), code: code.clone(), at: batch.at })
            .collect();
        write_suppressions(&mut tx, &suppressed).await?;
        for forgotten in forgotten {
            forget::forget(&mut tx, forgotten, batch.at).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn attempting(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar(
            "UPDATE effects SET state = 'attempting', marks = marks + 1 \
             WHERE key = ANY($1) AND owner = $2 AND state IN ('planned', 'deferred', 'unknown') RETURNING key",
        );
        self.unanswered.heed_marks(keys, query.bind(keys).bind(&self.replica).fetch_all(&self.pool).await)
    }

    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO commands (at, body) VALUES ($1, $2)")
            .bind(now.as_millisecond())
            .bind(json(command))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn asked(&self) -> Result<Vec<(i64, Command)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, body FROM commands ORDER BY id LIMIT 1000")
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(|(id, body)| Ok((id, decode_command(&body)?))).collect()
    }

    async fn suppressed(&self, person: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT code FROM suppressions WHERE person = $1").bind(person);
        Ok(query.fetch_optional(&self.pool).await?)
    }

    async fn oldest_pending(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT channel, min(due) FROM effects \
             WHERE state IN ('planned', 'deferred', 'attempting', 'unknown') GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(channel, due)| (channel, to_time(due))).collect())
    }

    async fn salt(&self) -> Result<Secret, StoreError> {
        Ok(Secret::new(self.meta("salt").await?))
    }

    async fn tickets(&self) -> Result<Vec<TicketRow>, StoreError> {
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT key, desk, remote, created FROM tickets ORDER BY key")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(TicketRow::of).collect())
    }

    async fn suppressions(&self) -> Result<Vec<Suppression>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT person, code, at FROM suppressions ORDER BY person")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(Suppression::of).collect())
    }

    async fn import(&self, tickets: &[TicketRow], suppressions: &[Suppression]) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        write_tickets(&mut tx, tickets).await?;
        write_suppressions(&mut tx, suppressions).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn adopt_salt(&self, salt: &Secret) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE meta SET value = $1 WHERE key = 'salt' AND NOT EXISTS (SELECT 1 FROM suppressions) \
             AND NOT EXISTS (SELECT 1 FROM incidents)",
        )
        .bind(salt.expose())
        .execute(&self.pool)
        .await?;
        Ok(self.salt().await? == *salt)
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.erase(now).await
    }

    fn replicas(&self) -> Option<&dyn Replicas> {
        Some(self)
    }
}

impl Postgres {
    /// A batch was refused: it is committed, and only the answer was lost; or another replica leads.
    async fn has_committed(&self, tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
        let query = "SELECT EXISTS (SELECT 1 FROM leader WHERE holder = $1 AND epoch = $2 AND committed = $3)";
        let committed: bool = sqlx::query_scalar(query)
            .bind(&self.replica)
            .bind(self.epoch())
            .bind(batch.id)
            .fetch_one(&mut **tx)
            .await?;
        if committed { Ok(()) } else { Err(StoreError::Deposed) }
    }
}

async fn delete(tx: &mut Tx, statement: &'static str, ids: &[i64]) -> Result<(), StoreError> {
    if !ids.is_empty() {
        sqlx::query(statement).bind(ids).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_incidents(tx: &mut Tx, incidents: &[Arc<Incident>]) -> Result<(), StoreError> {
    if incidents.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Incident) -> &str| -> Vec<String> { incidents.iter().map(|it| text(of(it))).collect() };
    let ticket = |it: &Incident| {
        let link = it.ticket.as_ref()?;
        Some(text(link.remote.as_ref().unwrap_or(&link.key)))
    };
    sqlx::query(
        "INSERT INTO incidents \
         (reference, connection, \"user\", institution, scenario, ticket, open, baseline, failing, changed, body) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], \
         $8::bool[], $9::bigint[], $10::bigint[], $11::text[]) \
         ON CONFLICT (reference) DO UPDATE SET connection = excluded.connection, \"user\" = excluded.\"user\", \
         institution = excluded.institution, scenario = excluded.scenario, ticket = excluded.ticket, \
         open = excluded.open, baseline = excluded.baseline, failing = excluded.failing, \
         changed = excluded.changed, body = excluded.body",
    )
    .bind(column(|it| &it.reference))
    .bind(column(|it| &it.connection))
    .bind(column(|it| &it.user))
    .bind(column(|it| &it.institution))
    .bind(column(|it| &it.scenario))
    .bind(incidents.iter().map(|it| ticket(it)).collect::<Vec<_>>())
    .bind(incidents.iter().map(|it| it.is_open()).collect::<Vec<_>>())
    .bind(incidents.iter().map(|it| it.baseline.is_some()).collect::<Vec<_>>())
    .bind(incidents.iter().map(|it| it.failing_since.as_millisecond()).collect::<Vec<_>>())
    .bind(incidents.iter().map(|it| it.changed.as_millisecond()).collect::<Vec<_>>())
    .bind(incidents.iter().map(|it| json(&**it)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A changed effect is nobody's: whoever had claimed it looks at it anew.
async fn write_effects(tx: &mut Tx, effects: &[Effect]) -> Result<(), StoreError> {
    if effects.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Effect) -> &str| -> Vec<String> { effects.iter().map(|it| text(of(it))).collect() };
    let number = |of: fn(&Effect) -> i64| -> Vec<i64> { effects.iter().map(of).collect() };
    sqlx::query(
        "INSERT INTO effects (key, action, channel, state, marks, due, next_attempt, changed, body) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[]) \
         ON CONFLICT (key) DO UPDATE SET action = excluded.action, channel = excluded.channel, \
         state = excluded.state, marks = excluded.marks, next_attempt = excluded.next_attempt, \
         changed = excluded.changed, owner = NULL, body = excluded.body WHERE excluded.marks >= effects.marks",
    )
    .bind(column(|it| &it.key))
    .bind(column(|it| it.action.as_str()))
    .bind(column(|it| &it.channel))
    .bind(column(|it| it.state.as_str()))
    .bind(number(|it| i64::from(it.marks)))
    .bind(number(|it| it.due.as_millisecond()))
    .bind(number(|it| it.next_attempt.as_millisecond()))
    .bind(number(|it| it.changed.as_millisecond()))
    .bind(effects.iter().map(json).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    let links: Vec<(String, String)> = effects
        .iter()
        .flat_map(|effect| effect.incidents.iter().map(|incident| (text(incident), text(&effect.key))))
        .collect();
    let (incidents, keys): (Vec<String>, Vec<String>) = links.into_iter().unzip();
    sqlx::query(
        "INSERT INTO effect_incidents (incident, effect) SELECT * FROM unnest($1::text[], $2::text[]) \
         ON CONFLICT DO NOTHING",
    )
    .bind(incidents)
    .bind(keys)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Tickets that a desk has taken.
fn tickets(effects: &[Effect], now: Timestamp) -> Vec<TicketRow> {
    effects
        .iter()
        .filter_map(|effect| match (&effect.payload, &effect.remote) {
            (Payload::Ticket { ticket, .. }, Some(remote)) if effect.state == EffectState::Delivered => {
                Some(TicketRow {
                    key: text(&ticket.key),
                    desk: effect.channel.clone(),
                    remote: text(remote),
                    created: now,
                })
            }
            _ => None,
        })
        .collect()
}

async fn write_tickets(tx: &mut Tx, tickets: &[TicketRow]) -> Result<(), StoreError> {
    for ticket in tickets {
        sqlx::query(
            "INSERT INTO tickets (key, desk, remote, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(&ticket.key)
        .bind(&ticket.desk)
        .bind(&ticket.remote)
        .bind(ticket.created.as_millisecond())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_suppressions(tx: &mut Tx, suppressions: &[Suppression]) -> Result<(), StoreError> {
    for row in suppressions {
        sqlx::query(
            "INSERT INTO suppressions (person, code, at) VALUES ($1, $2, $3) \
             ON CONFLICT (person) DO UPDATE SET code = excluded.code, at = excluded.at",
        )
        .bind(&row.person)
        .bind(&row.code)
        .bind(row.at.as_millisecond())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_timeline(tx: &mut Tx, entries: &[TimelineEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO timeline (incident, at, effect, what, text) \
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])",
    )
    .bind(entries.iter().map(|it| text(&it.incident)).collect::<Vec<_>>())
    .bind(entries.iter().map(|it| it.at.as_millisecond()).collect::<Vec<_>>())
    .bind(entries.iter().map(|it| it.effect.as_deref().map(text)).collect::<Vec<_>>())
    .bind(entries.iter().map(|it| text(&it.what)).collect::<Vec<_>>())
    .bind(entries.iter().map(|it| text(&it.text)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_rows(tx: &mut Tx, rows: &[crate::plan::Row]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.body.is_some());
    if !kept.is_empty() {
        sqlx::query(
            "INSERT INTO planner (kind, key, body) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) \
             ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
        )
        .bind(kept.iter().map(|row| row.kind).collect::<Vec<_>>())
        .bind(kept.iter().map(|row| text(&row.key)).collect::<Vec<_>>())
        .bind(kept.iter().map(|row| row.body.as_deref().map(text)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    }
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM planner USING unnest($1::text[], $2::text[]) AS gone (kind, key) \
             WHERE planner.kind = gone.kind AND planner.key = gone.key",
        )
        .bind(gone.iter().map(|row| row.kind).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| text(&row.key)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_state(tx: &mut Tx, source: &str, state: &[crate::demand::StateRow]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = state.iter().partition(|row| !row.is_gone());
    if !kept.is_empty() {
        sqlx::query(
            "INSERT INTO source_state (source, key, body) SELECT $1, * FROM unnest($2::text[], $3::bytea[]) \
             ON CONFLICT (source, key) DO UPDATE SET body = excluded.body",
        )
        .bind(source)
        .bind(kept.iter().map(|row| text(&row.key())).collect::<Vec<_>>())
        .bind(kept.iter().map(|row| row.body().map(Cow::into_owned)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    }
    if !gone.is_empty() {
        sqlx::query("DELETE FROM source_state WHERE source = $1 AND key = ANY($2)")
            .bind(source)
            .bind(gone.iter().map(|row| text(&row.key())).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
