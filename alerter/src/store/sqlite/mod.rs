//! The store in a file of this machine.

mod browse;
mod read;
mod write;

use std::{path::Path, time::Duration};

use daemon::Timestamp;
use rand::RngExt;
use sqlx::{
    SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{StoreError, model::Effect};
use crate::incidents::Incident;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/sqlite/migrations");

/// Alert state, incidents and effects in one SQLite file. One connection writes; reads go beside it.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
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
            .pragma("cache_size", "-4000");
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).min_connections(1);
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await?;
        let salt: String = {
            let mut random = rand::rng();
            (0..32).map(|_| format!("{:02x}", random.random::<u8>())).collect()
        };
        sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('born', $1), ('salt', $2)")
            .bind(now.to_string())
            .bind(salt)
            .execute(&writer)
            .await?;
        let readers = pool(3).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
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

fn decode_incident(body: &str) -> Result<Incident, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Unreadable { table: "incidents", why: error.to_string() })
}

fn decode_effect(body: &str, state: &str) -> Result<Effect, StoreError> {
    let unreadable = |why| StoreError::Unreadable { table: "effects", why };
    let mut effect: Effect = serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))?;
    effect.state = super::EffectState::parse(state).ok_or_else(|| unreadable(format!("state {state:?}")))?;
    Ok(effect)
}

/// Timestamps are kept as milliseconds since 1970, as clocks here count.
fn to_time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
