//! The store in a file of this machine.

mod browse;
mod erase;
mod forget;
mod read;
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
            .pragma("cache_size", "-4000");
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
