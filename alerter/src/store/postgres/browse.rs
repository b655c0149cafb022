//! Searches of the page.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Timestamp;
use sqlx::{Postgres as Dialect, QueryBuilder};

use super::{Postgres, text};
use crate::store::{
    Browse, Group, IncidentRow, Search, StoreError, Waiting, browse::Counted, decode_incident, page,
};

#[async_trait]
impl Browse for Postgres {
    async fn search(&self, search: &Search) -> Result<Vec<IncidentRow>, StoreError> {
        let filter = &search.filter;
        let mut query = QueryBuilder::<Dialect>::new("SELECT body FROM incidents WHERE true");
        if let Some(open) = filter.open {
            query.push(" AND open = ").push_bind(open);
        }
        for (column, value) in [
            ("\"user\"", &filter.user),
            ("connection", &filter.connection),
            ("institution", &filter.institution),
            ("scenario", &filter.scenario),
            ("ticket", &search.ticket),
        ] {
            if let Some(value) = value {
                query.push(format_args!(" AND {column} = ")).push_bind(text(value));
            }
        }
        for (column, bound) in [("failing >= ", search.failing_from), ("failing < ", search.failing_until)] {
            if let Some(bound) = bound {
                query.push(format_args!(" AND {column}")).push_bind(bound.as_millisecond());
            }
        }
        let (limit, offset) = page(filter.limit, filter.offset);
        query.push(" ORDER BY changed DESC, reference DESC LIMIT ").push_bind(limit);
        query.push(" OFFSET ").push_bind(offset);
        let bodies: Vec<String> = query.build_query_scalar().fetch_all(&self.pool).await?;
        bodies.iter().map(|body| decode_incident(body).map(Arc::new)).collect()
    }

    async fn groups(&self, now: Timestamp) -> Result<Vec<Group>, StoreError> {
        let [hour, day, week] = Group::bounds(now);
        let rows: Vec<Counted> = sqlx::query_as(
            "SELECT institution, scenario, count(*), count(*) FILTER (WHERE baseline), \
             count(*) FILTER (WHERE failing >= $1), count(*) FILTER (WHERE failing >= $2), \
             count(*) FILTER (WHERE failing >= $3) \
             FROM incidents WHERE open GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        )
        .bind(hour)
        .bind(day)
        .bind(week)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Group::of).collect())
    }

    async fn waiting(&self) -> Result<Waiting, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, count(*) FROM effects WHERE state IN ('held', 'dead') GROUP BY 1")
                .fetch_all(&self.pool)
                .await?;
        Ok(Waiting::of(&rows))
    }

    async fn kept(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        let query = sqlx::query_as("SELECT key, body FROM planner WHERE kind = $1 ORDER BY key");
        Ok(query.bind(text(kind)).fetch_all(&self.pool).await?)
    }
}
