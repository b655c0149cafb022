//! The same tests on each store, and what only several replicas on one store can show.

mod replicas;
pub(crate) mod suite;
mod unanswered;

use std::sync::Arc;

use basiq_alerter::store::{Postgres, Sqlite, Store};
use daemon::{Secret, Timestamp};

use crate::support::postgres;

/// Where a store is, so that it can be opened again.
pub(crate) enum Place {
    /// A folder with a SQLite file.
    File(tempfile::TempDir),
    /// The address of a Postgres database.
    Database(Secret),
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    /// `None`, said loudly, where there is no Postgres.
    pub(crate) async fn database() -> Option<Self> {
        Some(Self::Database(postgres::shared()?.database().await))
    }

    pub(crate) async fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        match self {
            Self::File(folder) => {
                Arc::new(Sqlite::open(&folder.path().join("alerter.db"), now).await.unwrap())
            }
            Self::Database(url) => Arc::new(Postgres::open(url, 8, now).await.unwrap()),
        }
    }
}

/// Runs each test on each store.
macro_rules! on_both_stores {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::store::Place::file()).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let Some(place) = crate::store::Place::database().await else { return };
                    super::$test(place).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_stores;
