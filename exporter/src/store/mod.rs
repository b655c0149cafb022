//! Keeps the ledger in SQLite: users in pages of some hundred connections, so that a million connections load in
//! seconds; counters and names a row each. One transaction for each batch; what is shown was stored before.

mod batch;

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use sqlx::{
    Connection, Row, SqliteConnection,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous},
};

pub use batch::{Batch, Notes, PAGE};

use crate::ledger::{Forgotten, Ledger, Ms, Settings, Stored, Tombstone};

/// The fact that holds the key of the hashes of forgotten users.
const KEY: &str = "key";

/// The open file.
#[derive(Debug)]
pub struct Store {
    connection: SqliteConnection,
    path: PathBuf,
}

/// Why the ledger's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0}: in use by another process; stop that one, or give this one another file with store.path")]
    InUse(PathBuf),
    /// It is damaged; it can be moved away and rebuilt.
    #[error("{path}: damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer version wrote it.
    #[error("{0}: written by a newer version; start that version, or move the file away to begin anew")]
    Newer(PathBuf),
    /// It cannot be read or written.
    #[error("{path}: {reason}; check that the folder exists, is writable and has room")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl Store {
    /// Opens the file, or makes it, and loads the ledger; an empty one is born at `now`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open(path: &Path, settings: Settings, now: Ms) -> Result<(Self, Ledger, Notes), StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive)
            // Survives the death of the process. A power cut may cost the last seconds, which are then observed anew.
            .synchronous(SqliteSynchronous::Normal)
            // What is forgotten is overwritten, not merely unlinked.
            .pragma("secure_delete", "ON")
            .busy_timeout(std::time::Duration::from_secs(2));
        let connection =
            SqliteConnection::connect_with(&options).await.map_err(|error| explain(path, error))?;
        let mut store = Self { connection, path: path.to_owned() };
        // Not `run`, which makes this future one that cannot be spawned.
        let migrations = sqlx::migrate!("src/store/migrations");
        migrations.run_direct(None, &mut store.connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                StoreError::Newer(path.to_owned())
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(path, error),
            other => StoreError::Damaged { path: path.to_owned(), reason: other.to_string() },
        })?;
        let (ledger, notes) = store.load(settings, now).await?;
        Ok((store, ledger, notes))
    }

    async fn load(&mut self, settings: Settings, now: Ms) -> Result<(Ledger, Notes), StoreError> {
        let path = self.path.clone();
        let failed = |error| explain(&path, error);
        let damaged =
            |what: &str| StoreError::Damaged { path: path.clone(), reason: format!("{what} unreadable") };
        let mut stored = Stored::default();
        let (mut notes, mut key) = (Notes::default(), None);
        let connection = &mut self.connection;
        for row in
            sqlx::query("SELECT name, body FROM facts").fetch_all(&mut *connection).await.map_err(failed)?
        {
            let (name, body): (String, Vec<u8>) = (row.get(0), row.get(1));
            match name.as_str() {
                "born" => stored.born = Some(batch::decode(&body).ok_or_else(|| damaged("birth"))?),
                "rest" => stored.rest = Some(batch::decode(&body).ok_or_else(|| damaged("outages"))?),
                batch::NOTES => notes = batch::decode(&body).ok_or_else(|| damaged("notes"))?,
                KEY => key = Some(<[u8; 32]>::try_from(body).map_err(|_| damaged("the key"))?),
                _ => {}
            }
        }
        let key = match key {
            Some(key) => key,
            None => self.make_key().await?,
        };
        let connection = &mut self.connection;
        let hashes =
            sqlx::query("SELECT hash FROM forgotten").fetch_all(&mut *connection).await.map_err(failed)?;
        let hashes: Option<Vec<Tombstone>> =
            hashes.iter().map(|row| row.get::<Vec<u8>, _>(0).try_into().ok()).collect();
        stored.forgotten = Forgotten::restore(key, hashes.ok_or_else(|| damaged("a forgotten user"))?);
        let names = sqlx::query("SELECT list, name FROM names ORDER BY list, place");
        for row in names.fetch_all(&mut *connection).await.map_err(failed)? {
            stored.names.entry(row.get(0)).or_default().push(row.get(1));
        }
        for row in sqlx::query("SELECT label, body FROM counters")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?
        {
            let (label, body): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
            let cell = batch::decode(&label).zip(batch::decode(&body)).ok_or_else(|| damaged("a counter"))?;
            stored.counters.push(cell);
        }
        for row in sqlx::query("SELECT label, body FROM durations")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?
        {
            let (label, body): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
            let cell =
                batch::decode(&label).zip(batch::decode(&body)).ok_or_else(|| damaged("a histogram"))?;
            stored.durations.push(cell);
        }
        let mut ledger = Ledger::restore(settings, stored, now);
        let mut pages = sqlx::query("SELECT page, body FROM pages ORDER BY page").fetch(&mut *connection);
        while let Some(row) = pages.try_next().await.map_err(failed)? {
            let (page, body): (i64, Vec<u8>) = (row.get(0), row.get(1));
            let users = batch::decode_page(&body).ok_or_else(|| damaged("a page of users"))?;
            let first = u32::try_from(page).map_err(|_| damaged("a page number"))? * PAGE;
            for (nth, user) in users.into_iter().enumerate() {
                ledger.restore_user(first + nth as u32, user, now);
            }
        }
        drop(pages);
        Ok((ledger, notes))
    }

    /// The key of the hashes of forgotten users, made with the file.
    async fn make_key(&mut self) -> Result<[u8; 32], StoreError> {
        let key: [u8; 32] = rand::random();
        sqlx::query("INSERT INTO facts (name, body) VALUES (?, ?)")
            .bind(KEY)
            .bind(key.to_vec())
            .execute(&mut self.connection)
            .await
            .map_err(|error| explain(&self.path, error))?;
        Ok(key)
    }

    /// Stores everything in the batch, or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |error| explain(&path, error);
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        for (name, body) in &batch.facts {
            sqlx::query("INSERT OR REPLACE INTO facts (name, body) VALUES (?, ?)")
                .bind(*name)
                .bind(body)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        for (list, place, name) in &batch.names {
            sqlx::query("INSERT OR REPLACE INTO names (list, place, name) VALUES (?, ?, ?)")
                .bind(*list)
                .bind(i64::from(*place))
                .bind(name)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        let upserts = [
            ("INSERT OR REPLACE INTO counters (label, body) ", &batch.counters),
            ("INSERT OR REPLACE INTO durations (label, body) ", &batch.durations),
        ];
        for (statement, rows) in upserts {
            for rows in rows.chunks(100) {
                let mut query = sqlx::QueryBuilder::new(statement);
                query.push_values(rows, |mut values, (label, body)| {
                    values.push_bind(label).push_bind(body);
                });
                query.build().execute(&mut *transaction).await.map_err(failed)?;
            }
        }
        for hash in &batch.forgotten {
            sqlx::query("INSERT OR IGNORE INTO forgotten (hash) VALUES (?)")
                .bind(hash.to_vec())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        for rows in batch.pages.chunks(100) {
            let mut query = sqlx::QueryBuilder::new("INSERT OR REPLACE INTO pages (page, body) ");
            query.push_values(rows, |mut values, (page, body)| {
                values.push_bind(i64::from(*page)).push_bind(body);
            });
            query.build().execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Makes each commit fail, as a full disk would, or no longer.
    #[cfg(test)]
    pub(crate) async fn refuse_writes(&mut self, refuse: bool) {
        let pragma = if refuse { "PRAGMA query_only = ON" } else { "PRAGMA query_only = OFF" };
        sqlx::query(pragma).execute(&mut self.connection).await.unwrap();
    }

    /// Closes the file, folding the log into it.
    pub async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the ledger's file was not closed cleanly; nothing is lost");
        }
    }
}

/// Moves a damaged file (and its log) aside, so that a new one can be made in its place.
///
/// # Errors
/// The file cannot be renamed.
pub fn move_aside(path: &Path, now: Ms) -> std::io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(&format!(".damaged-{now}"));
    std::fs::rename(path, &aside)?;
    for log in ["-wal", "-shm"] {
        match std::fs::remove_file(with(log)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn explain(path: &Path, error: sqlx::Error) -> StoreError {
    let path = path.to_owned();
    // https://www.sqlite.org/rescode.html: 5 BUSY, 11 CORRUPT, 26 NOTADB; extended codes in the higher bits.
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => StoreError::InUse(path),
        Some(11 | 26) => StoreError::Damaged { path, reason: error.to_string() },
        _ if matches!(error, sqlx::Error::ColumnDecode { .. }) => {
            StoreError::Damaged { path, reason: error.to_string() }
        }
        _ => StoreError::Io { path, reason: error.to_string() },
    }
}
