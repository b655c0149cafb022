//! Reads for the page and the tools.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite as Dialect};

use super::Sqlite;
use crate::{
    demand::StateRow,
    store::{
        Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Read, StoreError,
        TimelineEntry, decode_effect, decode_incident, page, to_time,
    },
};

/// Adds `AND column = value`s to a query that begins with `WHERE 1 = 1`.
struct Where<'q>(&'q mut QueryBuilder<Dialect>);

impl Where<'_> {
    fn is(&mut self, column: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(format_args!(" AND {column} = ")).push_bind(value.to_owned());
        }
        self
    }

    fn page(&mut self, limit: u32, offset: u32) {
        let (limit, offset) = page(limit, offset);
        self.0.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    }
}

/// Adds whether incidents are open. Where the rest finds a few of them (`narrow`), a plus keeps SQLite, which counts no
/// rows, from walking all that are open because their index is in the order of the answer.
pub(super) fn push_open(query: &mut QueryBuilder<Dialect>, open: Option<bool>, narrow: bool) {
    if let Some(open) = open {
        query.push(if narrow { " AND +open = " } else { " AND open = " }).push_bind(i64::from(open));
    }
}

#[async_trait]
impl Read for Sqlite {
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<IncidentRow>, StoreError> {
        let mut query = QueryBuilder::<Dialect>::new("SELECT body FROM incidents WHERE 1 = 1");
        push_open(&mut query, filter.open, filter.user.is_some() || filter.connection.is_some());
        Where(&mut query)
            .is("user", filter.user.as_deref())
            .is("connection", filter.connection.as_deref())
            .is("institution", filter.institution.as_deref())
            .is("scenario", filter.scenario.as_deref());
        query.push(" ORDER BY changed DESC, reference");
        Where(&mut query).page(filter.limit, filter.offset);
        let bodies: Vec<String> = query.build_query_scalar().fetch_all(&self.readers).await?;
        bodies.iter().map(|body| decode_incident(body).map(Arc::new)).collect()
    }

    async fn incident(&self, reference: &str) -> Result<Option<IncidentRow>, StoreError> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE reference = $1")
            .bind(reference)
            .fetch_optional(&self.readers)
            .await?;
        body.map(|body| decode_incident(&body).map(Arc::new)).transpose()
    }

    async fn timeline(&self, reference: &str) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT incident, at, effect, what, text FROM timeline WHERE incident = $1 ORDER BY id LIMIT 1000",
        )
        .bind(reference)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TimelineEntry {
                    incident: row.try_get(0)?,
                    at: to_time(row.try_get(1)?),
                    effect: row.try_get(2)?,
                    what: row.try_get(3)?,
                    text: row.try_get(4)?,
                })
            })
            .collect()
    }

    async fn effects(&self, filter: &EffectFilter) -> Result<Vec<Effect>, StoreError> {
        // An index alone says which they are; only those that are given are read.
        let mut query = QueryBuilder::<Dialect>::new(
            "SELECT body, state FROM effects WHERE id IN (SELECT id FROM effects WHERE 1 = 1",
        );
        Where(&mut query)
            .is("state", filter.state.map(EffectState::as_str))
            .is("action", filter.action.map(crate::demand::Action::as_str))
            .is("channel", filter.channel.as_deref());
        if let Some(incident) = &filter.incident {
            query
                .push(" AND key IN (SELECT effect FROM effect_incidents WHERE incident = ")
                .push_bind(incident.clone())
                .push(")");
        }
        query.push(" ORDER BY changed DESC, id DESC");
        Where(&mut query).page(filter.limit, filter.offset);
        query.push(") ORDER BY changed DESC, id DESC");
        let rows: Vec<(String, String)> = query.build_query_as().fetch_all(&self.readers).await?;
        rows.iter().map(|(body, state)| decode_effect(body, state)).collect()
    }

    async fn effect(&self, key: &str) -> Result<Option<Effect>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as("SELECT body, state FROM effects WHERE key = $1")
            .bind(key)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|(body, state)| decode_effect(&body, &state)).transpose()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let open: Vec<(String, i64)> = sqlx::query_as(
            "SELECT scenario, count(*) FROM incidents INDEXED BY incidents_groups \
             WHERE open = 1 AND baseline = 0 GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&self.readers)
        .await?;
        let baseline: i64 =
            sqlx::query_scalar("SELECT count(*) FROM incidents WHERE open = 1 AND baseline = 1")
                .fetch_one(&self.readers)
                .await?;
        let effects: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT channel, state, number FROM effect_counts WHERE number > 0 ORDER BY 1, 2")
                .fetch_all(&self.readers)
                .await?;
        Ok(Counts::of(open, baseline, effects))
    }

    async fn state(&self, source: &str) -> Result<Vec<StateRow>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT key, body FROM source_state WHERE source = $1 ORDER BY key")
                .bind(source)
                .fetch_all(&self.readers)
                .await?;
        Ok(rows.into_iter().map(|(key, body)| StateRow::new(key, Some(body))).collect())
    }

    async fn born(&self) -> Result<Timestamp, StoreError> {
        let text = self.meta("born").await?;
        text.parse().map_err(|_| StoreError::Unreadable { table: "meta", why: format!("born = {text:?}") })
    }
}
