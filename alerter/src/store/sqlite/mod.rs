//! The store in a file of this machine.

mod browse;
mod erase;
mod forget;
mod read;
mod rows;
mod suppressed;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use daemon::{Fatal, Timestamp};
use suppressed::Suppressed;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{
    SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Kind, Opened, StoreError, new_salt};

static MIGRATIONS: Migrator = {
    let mut migrations = sqlx::migrate!("src/store/sqlite/migrations");
    // What a later version added is no reason to refuse: migrations only add.
    migrations.ignore_missing = true;
    migrations
};

/// Section `store.sqlite`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The database file; its folder must exist.
    pub path: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: "alerter.db".into() }
    }
}

#[async_trait]
impl Kind for Settings {
    async fn open(&self, file: Option<&Path>, now: Timestamp) -> Result<Opened, Fatal> {
        let path = daemon::config::relative_to(file, &self.path);
        let store = Sqlite::open(&path, now).await.map_err(|error| {
            Fatal::settings(format!(
                "store.sqlite.path: {}: {error}; name a file in a folder that exists and can be written",
                path.display()
            ))
        })?;
        let data = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Opened { store: Arc::new(store), data })
    }

    fn absent(&self, file: Option<&Path>) -> Option<String> {
        let path = daemon::config::relative_to(file, &self.path);
        let why = || {
            format!(
                "store.sqlite.path: {}: no such file; name the configuration of the alerter with --config.file",
                path.display()
            )
        };
        (!path.exists()).then(why)
    }
}

/// Alert state, incidents and effects in one SQLite file. One connection writes; reads go beside it.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    suppressed: Arc<Suppressed>,
}

impl Sqlite {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be opened or made, or is from a later major version.
    pub async fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            // A page that changes often is copied back to the file seldom: the log may grow to 16 MiB.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("cache_size", "-4000")
            // What a statement of many rows would undo, were it refused, is kept in memory instead of a file.
            .pragma("temp_store", "memory");
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).min_connections(1);
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await?;
        sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('born', $1), ('salt', $2)")
            .bind(now.to_string())
            .bind(new_salt())
            .execute(&writer)
            .await?;
        let readers = pool(3).connect_with(options.read_only(true).pragma("cache_size", "-1000")).await?;
        Ok(Self { writer, readers, suppressed: Arc::default() })
    }

    /// Closes the file once all that was begun is done.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn meta(&self, key: &str) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(key);
        Ok(query.fetch_one(&self.writer).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::store::{IncidentFilter, Read, Store};

    /// A store as the version before rows with bodies got a rowid left it.
    async fn before(path: &Path) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let migrations = Cow::Owned(MIGRATIONS.migrations[..3].to_vec());
        Migrator { migrations, ..Migrator::DEFAULT }.run(&pool).await.unwrap();
        for statement in [
            "INSERT INTO meta VALUES ('born', '2026-11-01T00:00:00Z'), ('salt', 'kept')",
            "INSERT INTO effects (key, action, channel, state, marks, due, changed, body, spent) VALUES \
             ('e1', 'notify-user', 'relay', 'delivered', 1, 5, 6, 'x', 1), ('e2', 'notify-user', 'relay', \
             'delivered', 1, 5, 7, 'y', 0), ('e3', 'file-ticket', 'desk', 'planned', 0, 8, 8, 'z', 0)",
            "INSERT INTO planner VALUES ('pause', 'p', '{}')",
            "INSERT INTO source_state VALUES ('push', 'k', x'00ff')",
            "INSERT INTO incidents VALUES ('INC-1', 'c1', 'u1', 'AU1', 'mfa-required', 1, 0, 9, \
             '{\"ticket\": {\"remote\": \"T-7\"}}')",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        pool.close().await;
    }

    #[tokio::test]
    async fn what_an_earlier_version_kept_is_there_after_the_upgrade() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerter.db");
        before(&path).await;
        let store = Sqlite::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(store.salt().await.unwrap().expose(), "kept");
        let counts = store.counts().await.unwrap();
        assert_eq!(counts.open, [("mfa-required".to_owned(), 1)]);
        let numbers: Vec<_> = counts.effects.iter().map(|(_, state, number)| (state.as_str(), *number)).collect();
        assert_eq!(numbers, [("planned", 1), ("delivered", 2)]);
        let spent: Vec<(String, i64)> =
            sqlx::query_as("SELECT key, spent FROM effects ORDER BY key").fetch_all(&store.writer).await.unwrap();
        assert_eq!(spent.iter().map(|(_, spent)| *spent).collect::<Vec<_>>(), [1, 0, 0]);
        assert_eq!(store.state("push").await.unwrap()[0].body().as_deref(), Some(&[0, 0xff][..]));
        let ticket: String =
            sqlx::query_scalar("SELECT reference FROM incidents WHERE ticket = 'T-7' AND connection = 'c1'")
                .fetch_one(&store.writer)
                .await
                .unwrap();
        assert_eq!(ticket, "INC-1");
        // It is found, and what it says is not an incident.
        assert!(store.incidents(&IncidentFilter::default()).await.is_err());
    }

    #[tokio::test]
    async fn effects_are_counted_by_the_table_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("alerter.db"), Timestamp::UNIX_EPOCH).await.unwrap();
        let counted = async || {
            let kept = "SELECT channel, state, number FROM effect_counts WHERE number <> 0 ORDER BY 1, 2";
            let anew = "SELECT channel, state, count(*) FROM effects GROUP BY 1, 2 ORDER BY 1, 2";
            let mut rows: Vec<Vec<(String, String, i64)>> = Vec::new();
            for query in [kept, anew] {
                rows.push(sqlx::query_as(query).fetch_all(&store.writer).await.unwrap());
            }
            assert_eq!(rows[0], rows[1]);
            rows.remove(0).len()
        };
        let upsert = "INSERT INTO effects (key, action, channel, state, marks, due, changed, body) VALUES \
             ('e1', 'a', 'relay', 'planned', 0, 1, 1, ''), ('e2', 'a', 'desk', 'held', 0, 1, 1, ''), \
             ('e3', 'a', 'relay', 'planned', 0, 1, 1, '') ON CONFLICT (key) DO UPDATE SET channel = \
             excluded.channel, state = excluded.state WHERE excluded.marks >= effects.marks";
        for (statement, kinds) in [
            (upsert, 2),
            ("UPDATE effects SET state = 'attempting', marks = 1 WHERE key = 'e1'", 3),
            // An old word overwrites nothing, and so counts for nothing.
            (upsert, 3),
            ("UPDATE effects SET channel = 'other'", 3),
            ("DELETE FROM effects WHERE state = 'held'", 2),
            ("DELETE FROM effects", 0),
        ] {
            sqlx::query(statement).execute(&store.writer).await.unwrap();
            assert_eq!(counted().await, kinds, "{statement}");
        }
    }
}
