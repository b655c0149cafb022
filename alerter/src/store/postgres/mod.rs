//! The store in a Postgres that several alerters share.

mod browse;
mod erase;
mod forget;
mod read;
mod replicas;
mod unanswered;
mod write;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use daemon::{Fatal, Secret, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{
    PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Kind, Opened, StoreError, new_salt};
use unanswered::Unanswered;

static MIGRATIONS: Migrator = {
    let mut migrations = sqlx::migrate!("src/store/postgres/migrations");
    // What a later version added is no reason to refuse: migrations only add.
    migrations.ignore_missing = true;
    migrations
};

/// How long a connection may take to come free or to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// A statement that takes longer is given up: its connection may be dead.
const STATEMENT_MS: &str = "30000";

/// Section `store.postgres`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file that holds the address, `postgres://user:password@host:5432/database?sslmode=verify-full`: of Postgres
    /// itself, or of a pooler that keeps sessions (PgBouncer with `pool_mode = session` and
    /// `ignore_startup_parameters = extra_float_digits,options`).
    pub url_file: PathBuf,
    /// Connections at once; 8 where not set.
    pub connections: Option<u32>,
}

#[async_trait]
impl Kind for Settings {
    async fn open(&self, file: Option<&Path>, now: Timestamp) -> Result<Opened, Fatal> {
        let path = daemon::config::relative_to(file, &self.url_file);
        let url = daemon::config::secret_from("store.postgres.url_file", &path)?;
        let store = Postgres::open(&url, self.connections.unwrap_or(8), now)
            .await
            .map_err(|error| Fatal::settings(format!("store.postgres: {error}")))?;
        let data = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Opened { store: Arc::new(store), data })
    }
}

/// Alert state, incidents and effects in one Postgres database. One value is one replica.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    /// The name of this process among its replicas.
    replica: String,
    /// Under which it leads; 0 if it never did.
    epoch: AtomicI64,
    unanswered: Unanswered,
}

impl Postgres {
    /// Connects, and brings the tables up to date.
    ///
    /// # Errors
    /// The database cannot be reached, or its tables not be brought up to date.
    pub async fn open(url: &Secret, connections: u32, now: Timestamp) -> Result<Self, StoreError> {
        // The parser's own words would show the password.
        let options = PgConnectOptions::from_str(url.expose().trim()).map_err(|_| StoreError::Address)?;
        let options = options
            .application_name("basiq-alerter")
            .options([("statement_timeout", STATEMENT_MS), ("synchronous_commit", "on")]);
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(2))
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        MIGRATIONS.run(&pool).await?;
        sqlx::query("INSERT INTO meta (key, value) VALUES ('born', $1), ('salt', $2) ON CONFLICT DO NOTHING")
            .bind(now.to_string())
            .bind(new_salt())
            .execute(&pool)
            .await?;
        Ok(Self {
            pool,
            replica: new_salt()[..16].to_owned(),
            epoch: AtomicI64::new(0),
            unanswered: Unanswered::default(),
        })
    }

    /// Closes all connections once what was begun is done.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn meta(&self, key: &str) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(key);
        Ok(query.fetch_one(&self.pool).await?)
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::SeqCst)
    }
}

/// Text as Postgres keeps it: it has no character 0, which an alert's label may hold.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
