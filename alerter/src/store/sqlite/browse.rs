//! Searches of the page. Each walks one index alone to find its rows, and then reads only those that it gives.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Timestamp;
use sqlx::{QueryBuilder, Sqlite as Dialect};

use super::{Sqlite, read::push_open};
use crate::store::{
    Browse, Group, IncidentRow, Search, StoreError, Waiting, browse::Counted, decode_incident,
};

#[async_trait]
impl Browse for Sqlite {
    async fn search(&self, search: &Search) -> Result<Vec<IncidentRow>, StoreError> {
        let filter = &search.filter;
        let mut query = QueryBuilder::<Dialect>::new(
            "SELECT body FROM incidents WHERE id IN (SELECT id FROM incidents WHERE 1 = 1",
        );
        let narrow = filter.user.is_some() || filter.connection.is_some() || search.ticket.is_some();
        push_open(&mut query, filter.open, narrow);
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
        for (column, bound) in [("failing >= ", search.failing_from), ("failing < ", search.failing_until)] {
            if let Some(bound) = bound {
                query.push(format_args!(" AND {column}")).push_bind(bound.as_millisecond());
            }
        }
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(1000) };
        query.push(" ORDER BY changed DESC, id DESC LIMIT ").push_bind(i64::from(limit));
        query.push(" OFFSET ").push_bind(i64::from(filter.offset));
        query.push(") ORDER BY changed DESC, id DESC");
        let bodies: Vec<String> = query.build_query_scalar().fetch_all(&self.readers).await?;
        bodies.iter().map(|body| decode_incident(body).map(Arc::new)).collect()
    }

    async fn groups(&self, now: Timestamp) -> Result<Vec<Group>, StoreError> {
        let [hour, day, week] = Group::bounds(now);
        let rows: Vec<Counted> = sqlx::query_as(
            "SELECT institution, scenario, count(*), sum(baseline), \
             coalesce(sum(failing >= $1), 0), coalesce(sum(failing >= $2), 0), coalesce(sum(failing >= $3), 0) \
             FROM incidents INDEXED BY incidents_groups WHERE open = 1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        )
        .bind(hour)
        .bind(day)
        .bind(week)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(Group::of).collect())
    }

    async fn waiting(&self) -> Result<Waiting, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, sum(number) FROM effect_counts WHERE state IN ('held', 'dead') GROUP BY 1")
                .fetch_all(&self.readers)
                .await?;
        Ok(Waiting::of(&rows))
    }

    async fn kept(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        let query = sqlx::query_as("SELECT key, body FROM planner WHERE kind = $1 ORDER BY key");
        Ok(query.bind(kind.to_owned()).fetch_all(&self.readers).await?)
    }
}
