//! Reads for the page and the tools.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Timestamp;
use sqlx::{Postgres as Dialect, QueryBuilder, Row};

use super::{Postgres, text};
use crate::{
    demand::StateRow,
    store::{
        Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Read, StoreError,
        TimelineEntry, decode_effect, decode_incident, page, to_time,
    },
};

/// Adds `AND column = value`s to a query that begins with `WHERE true`.
struct Where<'q>(&'q mut QueryBuilder<Dialect>);

impl Where<'_> {
    fn is(&mut self, column: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(format_args!(" AND {column} = ")).push_bind(text(value));
        }
        self
    }

    fn page(&mut self, limit: u32, offset: u32) {
        let (limit, offset) = page(limit, offset);
        self.0.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    }
}

#[async_trait]
impl Read for Postgres {
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<IncidentRow>, StoreError> {
        let mut query = QueryBuilder::<Dialect>::new("SELECT body FROM incidents WHERE true");
        if let Some(open) = filter.open {
            query.push(" AND open = ").push_bind(open);
        }
        Where(&mut query)
            .is("\"user\"", filter.user.as_deref())
            .is("connection", filter.connection.as_deref())
            .is("institution", filter.institution.as_deref())
            .is("scenario", filter.scenario.as_deref());
        query.push(" ORDER BY changed DESC, reference");
        Where(&mut query).page(filter.limit, filter.offset);
        let bodies: Vec<String> = query.build_query_scalar().fetch_all(&self.pool).await?;
        bodies.iter().map(|body| decode_incident(body).map(Arc::new)).collect()
    }

    async fn incident(&self, reference: &str) -> Result<Option<IncidentRow>, StoreError> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE reference = $1")
            .bind(text(reference))
            .fetch_optional(&self.pool)
            .await?;
        body.map(|body| decode_incident(&body).map(Arc::new)).transpose()
    }

    async fn timeline(&self, reference: &str) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT incident, at, effect, what, text FROM timeline WHERE incident = $1 ORDER BY id LIMIT 1000",
        )
        .bind(text(reference))
        .fetch_all(&self.pool)
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
        let mut query = QueryBuilder::<Dialect>::new("SELECT body, state FROM effects WHERE true");
        Where(&mut query)
            .is("state", filter.state.map(EffectState::as_str))
            .is("action", filter.action.map(crate::demand::Action::as_str))
            .is("channel", filter.channel.as_deref());
        if let Some(incident) = &filter.incident {
            query
                .push(" AND key IN (SELECT effect FROM effect_incidents WHERE incident = ")
                .push_bind(text(incident))
                .push(")");
        }
        query.push(" ORDER BY changed DESC, key");
        Where(&mut query).page(filter.limit, filter.offset);
        let rows: Vec<(String, String)> = query.build_query_as().fetch_all(&self.pool).await?;
        rows.iter().map(|(body, state)| decode_effect(body, state)).collect()
    }

    async fn effect(&self, key: &str) -> Result<Option<Effect>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as("SELECT body, state FROM effects WHERE key = $1")
            .bind(text(key))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(body, state)| decode_effect(&body, &state)).transpose()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let open: Vec<(String, i64)> = sqlx::query_as(
            "SELECT scenario, count(*) FROM incidents WHERE open AND NOT baseline GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&self.pool)
        .await?;
        let baseline: i64 = sqlx::query_scalar("SELECT count(*) FROM incidents WHERE open AND baseline")
            .fetch_one(&self.pool)
            .await?;
        let effects: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT channel, state, count(*) FROM effects GROUP BY 1, 2 ORDER BY 1, 2")
                .fetch_all(&self.pool)
                .await?;
        Ok(Counts::of(open, baseline, effects))
    }

    async fn state(&self, source: &str) -> Result<Vec<StateRow>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT key, body FROM source_state WHERE source = $1 ORDER BY key")
                .bind(source)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(key, body)| StateRow::new(key, Some(body))).collect())
    }

    async fn born(&self) -> Result<Timestamp, StoreError> {
        let text = self.meta("born").await?;
        text.parse().map_err(|_| StoreError::Unreadable { table: "meta", why: format!("born = {text:?}") })
    }
}
