//! Whom to watch, and what Basiq says has happened. Each source is one file here with its settings, and one line in
//! [`sources!`].

mod events;
mod file;
mod groups;
mod http_sd;
mod news;
mod report;
mod webhooks;

use std::{collections::HashSet, path::PathBuf};

use async_trait::async_trait;
use axum::Router;
use basiq::Client;
use schemars::JsonSchema;
use serde::Deserialize;

pub use report::{Found, Item, News, Reporter, What};

/// Makes the configuration section and the list of sources from one line each.
macro_rules! sources {
    ($($(#[$doc:meta])* $key:ident: $config:ty => $source:path,)+) => {
        /// Who is watched: any number of each source.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $($(#[$doc])* pub $key: Vec<$config>,)+
        }

        impl Config {
            /// The sources that are configured.
            pub fn sources(&self) -> Vec<Box<dyn Source>> {
                let mut all: Vec<Box<dyn Source>> = Vec::new();
                $(all.extend(self.$key.iter().map(|config| Box::new(<$source>::new(config)) as Box<dyn Source>));)+
                all
            }

            /// Has `place` say where each file that a source names lies.
            pub(crate) fn place(&mut self, place: &dyn Fn(&mut PathBuf)) {
                $(self.$key.iter_mut().for_each(|config| config.place(place));)+
            }
        }
    };
}

sources! {
    /// Files of user ids in the shape of Prometheus `file_sd`.
    file: file::Config => file::Files,
    /// Endpoints that list user ids in the shape of Prometheus `http_sd`.
    http: http_sd::Config => http_sd::Endpoint,
    /// Basiq's list of events.
    events: events::Config => events::Events,
    /// Basiq's webhooks, on the public listener.
    webhooks: webhooks::Config => webhooks::Webhooks,
}

/// The settings of a source.
trait Settings {
    /// Has `place` say where each file that is named here lies: paths are relative to the configuration file.
    fn place(&mut self, place: &dyn Fn(&mut PathBuf)) {
        let _ = place;
    }
}

/// A way to find users.
#[async_trait]
pub trait Source: Send + Sync {
    /// Its name, unique and the same after a restart: what it found is kept under it.
    fn name(&self) -> String;

    /// What is wrong with its settings, found out before anything starts.
    ///
    /// # Errors
    /// In one line, with the key and what to do.
    fn check(&self) -> Result<(), String>;

    /// Has Basiq send to it what it listens for; where that is so already, `replace` does it anew. Whether there is
    /// anything to subscribe to.
    ///
    /// # Errors
    /// In one line, with the key and what to do.
    async fn subscribe(&self, client: &Client, replace: bool) -> Result<bool, String> {
        let _ = (client, replace);
        Ok(false)
    }

    /// What it serves on the public listener, if anything.
    fn public(&self, reporter: &Reporter) -> Option<Router> {
        let _ = reporter;
        None
    }

    /// Tells what it finds, at first as soon as it can, until the process stops.
    async fn run(self: Box<Self>, reporter: Reporter);
}

/// A name for a source of this kind with these settings.
fn name(kind: &str, settings: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{kind}-{:016x}", settings.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

impl Config {
    /// What is wrong with the settings.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut names = HashSet::new();
        let sources = self.sources();
        let checked = sources.iter().filter_map(|source| source.check().err());
        let doubled = sources.iter().map(|source| source.name()).filter(|name| !names.insert(name.clone()));
        checked.chain(doubled.map(|name| format!("discovery: {name} is configured twice"))).collect()
    }
}
