//! Alert state, incidents, effects and tickets, kept durably.
//!
//! A store is one file or folder that implements [`Kind`] for its settings, and [`Read`] and [`Store`]; and one
//! line in the list below, from which its section of the configuration follows.

mod browse;
mod codec;
mod model;
mod replicas;
mod retention;

use std::{path::Path, path::PathBuf, sync::Arc};

use async_trait::async_trait;
pub use browse::{Browse, Group, Search, Waiting};
use codec::{
    HOUR_MS, LOOK_BACK_MS, after_death, decode_command, decode_effect, decode_incident, json, new_salt, page,
    to_time,
};
use daemon::{Fatal, Secret, Timestamp};
pub use model::{
    Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Payload, Phase, Suppression,
    TicketRow, TimelineEntry,
};
pub use postgres::Postgres;
pub use replicas::{BEAT, LEASE, Replicas, Standing};
pub(crate) use retention::spent;
use serde::Deserialize;
pub use sqlite::Sqlite;

use crate::{
    demand::StateRow,
    plan::{Changes, Command, Saved},
};

macro_rules! stores {
    ($( $(#[$doc:meta])* $store:ident ),+ ; default $default:ident) => {
        $( mod $store; )+

        /// Which store is used: at most one section.
        #[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct StoreConfig {
            $( $(#[$doc])* pub $store: Option<$store::Settings>, )+
        }

        impl StoreConfig {
            /// The store that the configuration names, or the usual one.
            ///
            /// # Errors
            /// It names several.
            pub fn chosen(&self) -> Result<Arc<dyn Kind>, Fatal> {
                let mut chosen: Vec<Arc<dyn Kind>> = Vec::new();
                $( chosen.extend(self.$store.clone().map(|settings| Arc::new(settings) as Arc<dyn Kind>)); )+
                match (chosen.pop(), chosen.is_empty()) {
                    (None, _) => Ok(Arc::new($default::Settings::default())),
                    (Some(only), true) => Ok(only),
                    (Some(_), false) => {
                        let names = [$( stringify!($store) ),+].join(", ");
                        Err(Fatal::settings(format!("store: name one of {names}, not several")))
                    }
                }
            }
        }
    };
}

stores! {
    /// A file of this machine.
    sqlite,
    /// A Postgres that several alerters share.
    postgres;
    default sqlite
}

/// The settings of a store, which know how to open it.
#[async_trait]
pub trait Kind: Send + Sync {
    /// Opens the store and brings its tables up to date. Paths are relative to the configuration `file`.
    ///
    /// # Errors
    /// It cannot be opened; names the setting.
    async fn open(&self, file: Option<&Path>, now: Timestamp) -> Result<Opened, Fatal>;

    /// Why there is nothing to open, where that can be known without making it.
    fn absent(&self, _file: Option<&Path>) -> Option<String> {
        None
    }
}

/// An open store.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The folder beside it, for what has no folder of its own.
    pub data: PathBuf,
}

/// What went wrong with the store. None of it holds anything of a user.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the store: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the store's tables: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("the store holds a row of {table} that this version cannot read: {why}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The decoder's words.
        why: String,
    },
    /// The address is not one of a database.
    #[error("the address is not of the form postgres://user:password@host:port/database")]
    Address,
    /// Another replica has taken the lead; nothing that this process plans counts any more.
    #[error("another replica plans now; this process ends, and delivers beside it when it is started again")]
    Deposed,
}

/// What the page and the tools read. Reads see what was last committed, and wait for no writer.
#[async_trait]
pub trait Read: Send + Sync {
    /// Incidents, newest change first.
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<IncidentRow>, StoreError>;
    /// One incident by its reference.
    async fn incident(&self, reference: &str) -> Result<Option<IncidentRow>, StoreError>;
    /// The story of one incident, oldest first, at most 1,000 lines.
    async fn timeline(&self, reference: &str) -> Result<Vec<TimelineEntry>, StoreError>;
    /// Effects, newest change first.
    async fn effects(&self, filter: &EffectFilter) -> Result<Vec<Effect>, StoreError>;
    /// One effect by its key.
    async fn effect(&self, key: &str) -> Result<Option<Effect>, StoreError>;
    /// Counts for an overview.
    async fn counts(&self) -> Result<Counts, StoreError>;
    /// The state rows of one source, as last committed.
    async fn state(&self, source: &str) -> Result<Vec<StateRow>, StoreError>;
    /// When the store was born.
    async fn born(&self) -> Result<Timestamp, StoreError>;
}

/// What is committed as one.
#[derive(Debug, Default)]
pub struct Batch {
    /// What a step of the planner decided.
    pub changes: Changes,
    /// State rows by source.
    pub state: Vec<(Arc<str>, Vec<StateRow>)>,
    /// Commands that the step has obeyed.
    pub obeyed: Vec<i64>,
    /// What replicas reported and the step has taken in.
    pub heard: Vec<i64>,
    /// The time of the step.
    pub at: Timestamp,
    /// By which a store whose answers can be lost knows a batch that it has committed already. `None` if it is
    /// committed only once.
    pub id: Option<i64>,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.state.is_empty() && self.obeyed.is_empty() && self.heard.is_empty()
    }
}

/// What the daemon needs of a store. Everything it says is done is durable.
#[async_trait]
pub trait Store: Browse {
    /// What the planner starts from. Effects that a dead process was attempting are given as
    /// [`EffectState::Unknown`].
    async fn load(&self, now: Timestamp) -> Result<Saved, StoreError>;
    /// Commits a batch: all of it or nothing. After an error it may be committed again: where only the answer was
    /// lost, the second time changes nothing.
    async fn commit(&self, batch: &Batch) -> Result<(), StoreError>;
    /// Marks effects as being attempted, and gives back the keys of those that still may be: not those
    /// that were cancelled or ended meanwhile.
    async fn attempting(&self, keys: &[String]) -> Result<Vec<String>, StoreError>;
    /// Keeps a command until it is obeyed.
    async fn ask(&self, command: &Command, now: Timestamp) -> Result<(), StoreError>;
    /// Commands to obey, oldest first.
    async fn asked(&self) -> Result<Vec<(i64, Command)>, StoreError>;
    /// The code for which this person is suppressed, if it is.
    async fn suppressed(&self, person: &str) -> Result<Option<String>, StoreError>;
    /// When the oldest effect that still waits became due, by channel.
    async fn oldest_pending(&self) -> Result<Vec<(String, Timestamp)>, StoreError>;
    /// A secret of this store for hashing addresses, made when the store was born.
    async fn salt(&self) -> Result<Secret, StoreError>;
    /// Which desk knows which ticket by which id.
    async fn tickets(&self) -> Result<Vec<TicketRow>, StoreError>;
    /// Persons that a relay says do not exist.
    async fn suppressions(&self) -> Result<Vec<Suppression>, StoreError>;
    /// Takes in what another store exported. Tickets that are known stay as they are.
    async fn import(&self, tickets: &[TicketRow], suppressions: &[Suppression]) -> Result<(), StoreError>;
    /// Takes another store's salt over, as long as nothing here was hashed with an own one. Whether it is this
    /// store's now.
    async fn adopt_salt(&self, salt: &Secret) -> Result<bool, StoreError>;
    /// Erases the variables of effects that ended 30 days ago, and the rows of what ended 400 days ago; never
    /// those of an open incident. Gives the number of rows that changed.
    async fn tidy(&self, now: Timestamp) -> Result<u64, StoreError>;
    /// What replicas need of it, if several alerters can share it.
    fn replicas(&self) -> Option<&dyn Replicas> {
        None
    }
}
