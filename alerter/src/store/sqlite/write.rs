//! What the daemon commits, in statements of some hundred rows.

use std::borrow::Cow;

use async_trait::async_trait;
use daemon::{Secret, Timestamp};
use sqlx::{QueryBuilder, Sqlite as Dialect, Transaction};

use super::{Sqlite, forget};
use crate::{
    incidents::Incident,
    plan::{Changes, Command, Saved},
    store::{
        Batch, Effect, EffectState, LOOK_BACK_MS, Payload, Read, Store, StoreError, Suppression, TicketRow,
        TimelineEntry, after_death, decode_command, decode_effect, decode_incident, json, to_time,
    },
};

/// Rows a statement, at most: beyond this nothing is gained, and SQLite bounds the number of parameters.
const ROWS: usize = 128;

pub(super) type Tx = Transaction<'static, Dialect>;

/// Splits rows into pieces of 128, 64, 32, … rows, so that there are few statements, which stay prepared.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = rows.len().checked_ilog2().map(|log| (1 << log).min(ROWS))?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

#[async_trait]
impl Store for Sqlite {
    async fn load(&self, now: Timestamp) -> Result<Saved, StoreError> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT body FROM incidents WHERE open = 1 OR changed >= $1")
                .bind(now.as_millisecond() - LOOK_BACK_MS)
                .fetch_all(&self.writer)
                .await?;
        let unfinished: Vec<(String, String, u32)> = sqlx::query_as(
            "SELECT body, state, marks FROM effects WHERE state IN ('planned', 'deferred', 'held', 'attempting', 'unknown')",
        )
        .fetch_all(&self.writer)
        .await?;
        let mut effects = Vec::with_capacity(unfinished.len());
        for (body, state, marks) in unfinished {
            let mut effect = decode_effect(&body, &state)?;
            effect.marks = marks;
            // One file has one process: whoever was attempting it is dead.
            let died = effect.state == EffectState::Attempting;
            effects.push(if died { after_death(effect, now) } else { effect });
        }
        Ok(Saved {
            born: self.born().await?,
            incidents: bodies.iter().map(|body| decode_incident(body)).collect::<Result<_, _>>()?,
            effects,
            rows: sqlx::query_as("SELECT kind, key, body FROM planner ORDER BY kind, key").fetch_all(&self.writer).await?,
        })
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        let Changes { incidents, effects, timeline, rows, suppressed, forgotten, unresolved: _ } =
            &batch.changes;
        write_incidents(&mut tx, incidents).await?;
        write_effects(&mut tx, effects, batch.at).await?;
        write_timeline(&mut tx, timeline).await?;
        write_rows(&mut tx, rows).await?;
        for (source, state) in &batch.state {
            write_state(&mut tx, source, state).await?;
        }
        for id in &batch.obeyed {
            sqlx::query("DELETE FROM commands WHERE id = $1").bind(id).execute(&mut *tx).await?;
        }
        for (person, code) in suppressed {
            let row = Suppression { person: person.clone(), code: code.clone(), at: batch.at };
            write_suppression(&mut tx, &row).await?;
        }
        for forgotten in forgotten {
            forget::forget(&mut tx, forgotten, batch.at).await?;
        }
        tx.commit().await?;
        if !suppressed.is_empty() || !forgotten.is_empty() {
            self.suppressed.forget();
        }
        Ok(())
    }

    async fn attempting(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        self.notice_others().await?;
        let mut marked = Vec::with_capacity(keys.len());
        // All or none: what is marked while its line hears of an error would not be attempted before a restart.
        let mut tx = self.writer.begin().await?;
        for keys in pieces(keys) {
            let mut query = QueryBuilder::<Dialect>::new(
                "UPDATE effects SET state = 'attempting', marks = marks + 1 WHERE key IN (",
            );
            let mut list = query.separated(", ");
            for key in keys {
                list.push_bind(key.clone());
            }
            query.push(") AND state IN ('planned', 'deferred', 'unknown') RETURNING key");
            marked.extend(query.build_query_scalar::<String>().fetch_all(&mut *tx).await?);
        }
        tx.commit().await?;
        Ok(marked)
    }

    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO commands (at, body) VALUES ($1, $2)")
            .bind(now.as_millisecond())
            .bind(json(command))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn asked(&self) -> Result<Vec<(i64, Command)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, body FROM commands ORDER BY id LIMIT 1000")
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(|(id, body)| Ok((id, decode_command(&body)?))).collect()
    }

    async fn suppressed(&self, person: &str) -> Result<Option<String>, StoreError> {
        self.code_of(person).await
    }

    async fn oldest_pending(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT channel, min(due) FROM effects \
             WHERE state IN ('planned', 'deferred', 'attempting', 'unknown') GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(channel, due)| (channel, to_time(due))).collect())
    }

    async fn salt(&self) -> Result<Secret, StoreError> {
        Ok(Secret::new(self.meta("salt").await?))
    }

    async fn tickets(&self) -> Result<Vec<TicketRow>, StoreError> {
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT key, desk, remote, created FROM tickets ORDER BY key")
                .fetch_all(&self.readers)
                .await?;
        Ok(rows.into_iter().map(TicketRow::of).collect())
    }

    async fn suppressions(&self) -> Result<Vec<Suppression>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT person, code, at FROM suppressions ORDER BY person")
                .fetch_all(&self.readers)
                .await?;
        Ok(rows.into_iter().map(Suppression::of).collect())
    }

    async fn import(&self, tickets: &[TicketRow], suppressions: &[Suppression]) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        for ticket in tickets {
            write_ticket(&mut tx, ticket).await?;
        }
        for row in suppressions {
            write_suppression(&mut tx, row).await?;
        }
        tx.commit().await?;
        self.suppressed.forget();
        Ok(())
    }

    async fn adopt_salt(&self, salt: &Secret) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE meta SET value = $1 WHERE key = 'salt' AND NOT EXISTS (SELECT 1 FROM suppressions) \
             AND NOT EXISTS (SELECT 1 FROM incidents)",
        )
        .bind(salt.expose())
        .execute(&self.writer)
        .await?;
        Ok(self.salt().await? == *salt)
    }

    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.erase(now).await
    }
}

async fn write_incidents(tx: &mut Tx, incidents: &[Incident]) -> Result<(), StoreError> {
    for incidents in pieces(incidents) {
        let mut query = QueryBuilder::<Dialect>::new(
            "INSERT INTO incidents \
             (reference, connection, user, institution, scenario, open, baseline, failing, changed, body) ",
        );
        query.push_values(incidents, |mut row, incident| {
            row.push_bind(incident.reference.clone())
                .push_bind(incident.connection.clone())
                .push_bind(incident.user.clone())
                .push_bind(incident.institution.clone())
                .push_bind(incident.scenario.clone())
                .push_bind(i64::from(incident.is_open()))
                .push_bind(i64::from(incident.baseline.is_some()))
                .push_bind(incident.failing_since.as_millisecond())
                .push_bind(incident.changed.as_millisecond())
                .push_bind(json(incident));
        });
        // Whose it is does not change, so that the indexes of that stay as they are.
        query.push(
            " ON CONFLICT (reference) DO UPDATE SET institution = excluded.institution, \
             scenario = excluded.scenario, open = excluded.open, baseline = excluded.baseline, \
             failing = excluded.failing, changed = excluded.changed, body = excluded.body",
        );
        query.build().execute(&mut **tx).await?;
    }
    // But it may be forgotten.
    for incident in incidents.iter().filter(|incident| incident.connection.is_empty()) {
        sqlx::query("UPDATE incidents SET connection = '', user = '' WHERE reference = $1")
            .bind(&incident.reference)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_effects(tx: &mut Tx, effects: &[Effect], now: Timestamp) -> Result<(), StoreError> {
    for effects in pieces(effects) {
        let mut query = QueryBuilder::<Dialect>::new(
            "INSERT INTO effects (key, action, channel, state, marks, due, changed, body) ",
        );
        query.push_values(effects, |mut row, effect| {
            row.push_bind(effect.key.clone())
                .push_bind(effect.action.as_str())
                .push_bind(effect.channel.clone())
                .push_bind(effect.state.as_str())
                .push_bind(i64::from(effect.marks))
                .push_bind(effect.due.as_millisecond())
                .push_bind(effect.changed.as_millisecond())
                .push_bind(json(effect));
        });
        query.push(
            " ON CONFLICT (key) DO UPDATE SET action = excluded.action, channel = excluded.channel, \
             state = excluded.state, marks = excluded.marks, changed = excluded.changed, body = excluded.body \
             WHERE excluded.marks >= effects.marks",
        );
        query.build().execute(&mut **tx).await?;
    }
    let links: Vec<(&String, &String)> = effects
        .iter()
        .flat_map(|effect| effect.incidents.iter().map(move |incident| (incident, &effect.key)))
        .collect();
    for links in pieces(&links) {
        let mut query =
            QueryBuilder::<Dialect>::new("INSERT OR IGNORE INTO effect_incidents (incident, effect) ");
        query.push_values(links, |mut row, (incident, effect)| {
            row.push_bind((*incident).clone()).push_bind((*effect).clone());
        });
        query.build().execute(&mut **tx).await?;
    }
    for effect in effects {
        let (Payload::Ticket { ticket, .. }, Some(remote)) = (&effect.payload, &effect.remote) else {
            continue;
        };
        let (key, desk) = (ticket.key.clone(), effect.channel.clone());
        write_ticket(tx, &TicketRow { key, desk, remote: remote.clone(), created: now }).await?;
    }
    Ok(())
}

async fn write_ticket(tx: &mut Tx, ticket: &TicketRow) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO tickets (key, desk, remote, created) VALUES ($1, $2, $3, $4)")
        .bind(&ticket.key)
        .bind(&ticket.desk)
        .bind(&ticket.remote)
        .bind(ticket.created.as_millisecond())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_suppression(tx: &mut Tx, row: &Suppression) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO suppressions (person, code, at) VALUES ($1, $2, $3)")
        .bind(&row.person)
        .bind(&row.code)
        .bind(row.at.as_millisecond())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_timeline(tx: &mut Tx, entries: &[TimelineEntry]) -> Result<(), StoreError> {
    for entries in pieces(entries) {
        let mut query =
            QueryBuilder::<Dialect>::new("INSERT INTO timeline (incident, at, effect, what, text) ");
        query.push_values(entries, |mut row, entry| {
            row.push_bind(entry.incident.clone())
                .push_bind(entry.at.as_millisecond())
                .push_bind(entry.effect.clone())
                .push_bind(entry.what.clone())
                .push_bind(entry.text.clone());
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_rows(tx: &mut Tx, rows: &[crate::plan::Row]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.body.is_some());
    for rows in pieces(&kept) {
        let mut query = QueryBuilder::<Dialect>::new("INSERT INTO planner (kind, key, body) ");
        query.push_values(rows, |mut to, row| {
            to.push_bind(row.kind).push_bind(row.key.clone()).push_bind(row.body.clone());
        });
        query.push(" ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body");
        query.build().execute(&mut **tx).await?;
    }
    for rows in pieces(&gone) {
        let mut query = QueryBuilder::<Dialect>::new("DELETE FROM planner WHERE (kind, key) IN ");
        query.push_tuples(rows, |mut to, row| {
            to.push_bind(row.kind).push_bind(row.key.clone());
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_state(tx: &mut Tx, source: &str, state: &[crate::demand::StateRow]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = state.iter().partition(|row| !row.is_gone());
    for rows in pieces(&kept) {
        let mut query =
            QueryBuilder::<Dialect>::new("INSERT INTO source_state (source, key, body) ");
        query.push_values(rows, |mut to, row| {
            to.push_bind(source.to_owned())
                .push_bind(row.key().into_owned())
                .push_bind(row.body().map(Cow::into_owned));
        });
        query.push(" ON CONFLICT (source, key) DO UPDATE SET body = excluded.body");
        query.build().execute(&mut **tx).await?;
    }
    for rows in pieces(&gone) {
        let mut query = QueryBuilder::<Dialect>::new("DELETE FROM source_state WHERE source = ");
        query.push_bind(source.to_owned()).push(" AND key IN (");
        let mut list = query.separated(", ");
        for row in rows {
            list.push_bind(row.key().into_owned());
        }
        query.push(")");
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}
