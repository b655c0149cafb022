//! Contact sources: how a message finds its reader, asked at send time.

pub mod file;

use std::sync::Arc;

use serde::Deserialize;

use super::{Contacts, Parts, SettingsError};

/// Section `contacts`: exactly one source.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactSource {
    /// A file that the partner keeps.
    File(file::Settings),
}

impl ContactSource {
    /// Makes the source. Opens nothing on the network.
    ///
    /// # Errors
    /// A setting cannot work.
    pub fn build(self, _parts: &Parts) -> Result<Arc<dyn Contacts>, SettingsError> {
        match self {
            Self::File(settings) => settings.build(),
        }
    }
}
