//! Searches of the page. Each walks one index alone to find its rows, and then reads only those that it gives.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Timestamp;
use sqlx::{QueryBuilder, Sqlite as Dialect};

use super::Sqlite;
use crate::store::{Browse, Group, IncidentRow, Search, StoreError, browse::Counted, decode_incident};

#[async_trait]
impl Browse for Sqlite {
    async fn search(&self, search: &Search) -> Result<Vec<IncidentRow>, StoreError> {
        let filter = &search.filter;
        let mut query = QueryBuilder::<Dialect>::new(
            "SELECT body FROM incidents WHERE reference IN (SELECT reference FROM incidents WHERE 1 = 1",
        );
        if let Some(open) = filter.open {
            query.push(" AND open = ").push_bind(i64::from(open));
        }
        for (column, value) in [
            ("user", &filter.user),
            ("connection", &filter.connection),
            ("institution", &filter.institution),
            ("scenario", &filter.scenario),
            ("ticket", &search.ticket),
        ] {
            if let Some(value) = value {
                query.push(format_args!(" AND {column} = ")).push_bind(value.clone());
            }
        }
        for (column, bound) in
            [("failing_since >= ", search.failing_from), ("failing_since < ", search.failing_until)]
        {
            if let Some(bound) = bound {
                query.push(format_args!(" AND {column}")).push_bind(bound.to_string());
            }
        }
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(1000) };
        query.push(" ORDER BY changed DESC, reference DESC LIMIT ").push_bind(i64::from(limit));
        query.push(" OFFSET ").push_bind(i64::from(filter.offset));
        query.push(") ORDER BY changed DESC, reference DESC");
        let bodies: Vec<String> = query.build_query_scalar().fetch_all(&self.readers).await?;
        bodies.iter().map(|body| decode_incident(body).map(Arc::new)).collect()
    }

    async fn groups(&self, now: Timestamp) -> Result<Vec<Group>, StoreError> {
        let [hour, day, week] = Group::bounds(now);
        let rows: Vec<Counted> = sqlx::query_as(
            "SELECT institution, scenario, count(*), sum(baseline), \
             sum(failing_since >= $1), sum(failing_since >= $2), sum(failing_since >= $3) \
             FROM incidents WHERE open = 1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        )
        .bind(hour)
        .bind(day)
        .bind(week)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(Group::of).collect())
    }

    async fn kept(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        let query = sqlx::query_as("SELECT key, body FROM planner WHERE kind = $1 ORDER BY key");
        Ok(query.bind(kind.to_owned()).fetch_all(&self.readers).await?)
    }
}
