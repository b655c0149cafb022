//! Contact sources: how a message finds its reader, asked at send time.

pub mod basiq;
pub mod file;
pub mod http;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Contacts, Parts, SettingsError};

/// Section `contacts`: exactly one source; Basiq's user record where the section is left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContactSource {
    /// Basiq's user record.
    Basiq(basiq::Settings),
    /// A file that the partner keeps.
    File(file::Settings),
    /// The partner's HTTP endpoint.
    Http(http::Settings),
}

impl Default for ContactSource {
    fn default() -> Self {
        Self::Basiq(basiq::Settings::default())
    }
}

impl ContactSource {
    /// Makes the source. Opens nothing on the network.
    ///
    /// # Errors
    /// A setting cannot work.
    pub fn build(self, client: &::basiq::Client, parts: &Parts) -> Result<Arc<dyn Contacts>, SettingsError> {
        match self {
            Self::Basiq(basiq::Settings {}) => Ok(Arc::new(basiq::Basiq { client: client.clone() })),
            Self::File(settings) => settings.build(parts),
            Self::Http(settings) => settings.build(parts),
        }
    }
}
