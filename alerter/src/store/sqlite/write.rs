//! What the daemon commits, in statements of some hundred rows.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use daemon::{Secret, Timestamp};
use sqlx::{Sqlite as Dialect, Transaction};

use super::{
    Sqlite, forget,
    rows::{Rows, Values, pieces},
};
use crate::{
    incidents::Incident,
    plan::{Changes, Command, Saved},
    store::{
        Batch, Effect, EffectState, HOUR_MS, LOOK_BACK_MS, Payload, Read, Store, StoreError, Suppression, TicketRow,
        TimelineEntry, after_death, decode_command, decode_effect, decode_incident, json, to_time,
    },
};

pub(super) type Tx = Transaction<'static, Dialect>;

/// Whose an incident is does not change, so that the indexes of that stay as they are.
static INCIDENTS: Rows = Rows::new(
    "INSERT INTO incidents \
     (reference, connection, user, institution, scenario, open, baseline, failing, changed, ticket, body) VALUES",
    11,
    " ON CONFLICT (reference) DO UPDATE SET institution = excluded.institution, scenario = excluded.scenario, \
     open = excluded.open, baseline = excluded.baseline, failing = excluded.failing, changed = excluded.changed, \
     ticket = excluded.ticket, body = excluded.body",
);
static EFFECTS: Rows = Rows::new(
    "INSERT INTO effects (key, action, channel, state, marks, due, changed, body) VALUES",
    8,
    " ON CONFLICT (key) DO UPDATE SET action = excluded.action, channel = excluded.channel, \
     state = excluded.state, marks = excluded.marks, changed = excluded.changed, body = excluded.body \
     WHERE excluded.marks >= effects.marks",
);
/// The plus keeps the states from being what is searched by: all that wait would be looked through for each claim.
static ATTEMPTING: Rows = Rows::new(
    "UPDATE effects SET state = 'attempting', marks = marks + 1 WHERE key IN (VALUES",
    1,
    ") AND +state IN ('planned', 'deferred', 'unknown') RETURNING key",
);
static LINKS: Rows = Rows::new("INSERT OR IGNORE INTO effect_incidents (incident, effect) VALUES", 2, "");
static TIMELINE: Rows = Rows::new("INSERT INTO timeline (incident, at, effect, what, text) VALUES", 5, "");
static PLANNER: Rows = Rows::new(
    "INSERT INTO planner (kind, key, body) VALUES",
    3,
    " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
);
/// Pairs that are compared with a list are not searched for: each deletion would read the whole table.
static PLANNER_GONE: Rows = Rows::new(
    "WITH gone (kind, key) AS (VALUES",
    2,
    ") DELETE FROM planner WHERE id IN (SELECT id FROM gone CROSS JOIN planner USING (kind, key))",
);
static STATE: Rows = Rows::new(
    "INSERT INTO source_state (source, key, body) VALUES",
    3,
    " ON CONFLICT (source, key) DO UPDATE SET body = excluded.body",
);
static STATE_GONE: Rows = Rows::new(
    "WITH gone (source, key) AS (VALUES",
    2,
    ") DELETE FROM source_state WHERE id IN (SELECT id FROM gone CROSS JOIN source_state USING (source, key))",
);

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
        let suppressed: Vec<i64> = sqlx::query_scalar("SELECT at FROM suppressions WHERE at > $1 ORDER BY at")
            .bind(now.as_millisecond() - HOUR_MS)
            .fetch_all(&self.writer)
            .await?;
        Ok(Saved {
            born: self.born().await?,
            incidents: bodies
                .iter()
                .map(|body| decode_incident(body).map(Arc::new))
                .collect::<Result<_, _>>()?,
            effects,
            rows: sqlx::query_as("SELECT kind, key, body FROM planner ORDER BY kind, key").fetch_all(&self.writer).await?,
            suppressed: suppressed.into_iter().map(to_time).collect(),
        })
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        // What is planned may begin with this.
        self.notice_others().await?;
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
            let (text, keys) = ATTEMPTING.of(keys, |row, key| {
                row.text(key);
            })?;
            let query = sqlx::query_scalar_with::<_, String, _>(sqlx::AssertSqlSafe(text), keys);
            marked.extend(query.fetch_all(&mut *tx).await?);
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

async fn write_incidents(tx: &mut Tx, incidents: &[Arc<Incident>]) -> Result<(), StoreError> {
    let values = |row: &mut Values, incident: &Arc<Incident>| {
        row.text(&incident.reference)
            .text(&incident.connection)
            .text(&incident.user)
            .text(&incident.institution)
            .text(&incident.scenario)
            .put(i64::from(incident.is_open()))
            .put(i64::from(incident.baseline.is_some()))
            .put(incident.failing_since.as_millisecond())
            .put(incident.changed.as_millisecond())
            .maybe(incident.ticket.as_ref().map(|ticket| ticket.remote.as_deref().unwrap_or(&ticket.key)))
            .put(json(&**incident));
    };
    INCIDENTS.write(tx, incidents, values).await?;
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
    let values = |row: &mut Values, effect: &Effect| {
        row.text(&effect.key)
            .text(effect.action.as_str())
            .text(&effect.channel)
            .text(effect.state.as_str())
            .put(i64::from(effect.marks))
            .put(effect.due.as_millisecond())
            .put(effect.changed.as_millisecond())
            .put(json(effect));
    };
    EFFECTS.write(tx, effects, values).await?;
    let links: Vec<(&str, &str)> = effects
        .iter()
        .flat_map(|effect| effect.incidents.iter().map(|incident| (incident.as_str(), effect.key.as_str())))
        .collect();
    let values = |row: &mut Values, (incident, effect): &(&str, &str)| {
        row.text(incident).text(effect);
    };
    LINKS.write(tx, &links, values).await?;
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
    let values = |row: &mut Values, entry: &TimelineEntry| {
        row.text(&entry.incident)
            .put(entry.at.as_millisecond())
            .maybe(entry.effect.as_deref())
            .text(&entry.what)
            .text(&entry.text);
    };
    TIMELINE.write(tx, entries, values).await
}

async fn write_rows(tx: &mut Tx, rows: &[crate::plan::Row]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.body.is_some());
    let values = |row: &mut Values, of: &&crate::plan::Row| {
        row.text(of.kind).text(&of.key).maybe(of.body.as_deref());
    };
    PLANNER.write(tx, &kept, values).await?;
    let values = |row: &mut Values, of: &&crate::plan::Row| {
        row.text(of.kind).text(&of.key);
    };
    PLANNER_GONE.write(tx, &gone, values).await
}

async fn write_state(tx: &mut Tx, source: &str, state: &[crate::demand::StateRow]) -> Result<(), StoreError> {
    let (kept, gone): (Vec<_>, Vec<_>) = state.iter().partition(|row| !row.is_gone());
    let values = |row: &mut Values, of: &&crate::demand::StateRow| {
        row.text(source).text(&of.key()).put(of.body().map(Cow::into_owned));
    };
    STATE.write(tx, &kept, values).await?;
    let values = |row: &mut Values, of: &&crate::demand::StateRow| {
        row.text(source).text(&of.key());
    };
    STATE_GONE.write(tx, &gone, values).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_statement_of_many_rows_reads_a_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("alerter.db"), Timestamp::UNIX_EPOCH).await.unwrap();
        for rows in
            [&INCIDENTS, &EFFECTS, &ATTEMPTING, &LINKS, &TIMELINE, &PLANNER, &PLANNER_GONE, &STATE, &STATE_GONE]
        {
            let text = format!("EXPLAIN QUERY PLAN {}", rows.text(2));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(text.clone())).fetch_all(&store.writer).await.unwrap();
            for (.., step) in plan {
                let given = ["VALUES CLAUSE", "CONSTANT ROWS", "SCAN gone"].iter().any(|end| step.ends_with(end));
                assert!(given || !step.starts_with("SCAN") && !step.contains("state=?"), "{text}: {step}");
            }
        }
    }
}
