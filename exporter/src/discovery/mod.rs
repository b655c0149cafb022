//! Whom to watch. Each source is one file here with its settings, and one line in [`Config`] and [`Config::sources`].

mod file;

use std::collections::HashSet;

use async_trait::async_trait;
use daemon::Context;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::ledger::Id;

/// Who is watched: any number of each source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files of user ids in the shape of Prometheus `file_sd`.
    pub file: Vec<file::Config>,
}

/// What a source says.
#[derive(Debug)]
pub enum Found {
    /// The users that it names now, all of them.
    All(HashSet<Id>),
}

/// A way to find users.
#[async_trait]
pub trait Source: Send {
    /// Its name, unique and the same after a restart: what it found is kept under it.
    fn name(&self) -> String;

    /// Tells what it finds, at first as soon as it can, until the process stops.
    ///
    /// # Errors
    /// Settings that can never work, at its start.
    async fn run(self: Box<Self>, found: mpsc::Sender<(String, Found)>, context: Context);

    /// What is wrong with its settings, found out before anything starts.
    fn check(&self) -> Result<(), String>;
}

/// A name for a source of this kind with these settings.
fn name(kind: &str, settings: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{kind}-{:016x}", settings.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

impl Config {
    /// The sources that are configured.
    pub fn sources(&self) -> Vec<Box<dyn Source>> {
        let Self { file } = self;
        let files = file.iter().map(|config| Box::new(file::Files::new(config)) as Box<dyn Source>);
        files.collect()
    }

    /// What is wrong with the settings.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut names = HashSet::new();
        let sources = self.sources();
        let checked = sources.iter().filter_map(|source| source.check().err());
        let doubled = sources.iter().map(|source| source.name()).filter(|name| !names.insert(name.clone()));
        checked.chain(doubled.map(|name| format!("discovery: {name} is configured twice"))).collect()
    }
}
