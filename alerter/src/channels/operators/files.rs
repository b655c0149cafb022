//! One file per notice, rewritten when it changes.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::{DeliveryError, Notice, Operators, Parts, Plugin, Receipt, SettingsError, durable};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// Where the files go; `notices` in the data folder where not set.
    pub directory: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "files".to_owned(), directory: None }
    }
}

impl Plugin<dyn Operators> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Operators>, SettingsError> {
        Ok(Arc::new(Files { directory: self.directory.map_or_else(|| parts.data.join("notices"), |path| parts.path(path)) }))
    }
}

struct Files {
    directory: PathBuf,
}

#[async_trait]
impl Operators for Files {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let readable = notice.labels.get("alertname").map_or("notice", String::as_str);
        let path = self.directory.join(durable::file_name(readable, &notice.key, "txt"));
        let mut text = format!("{}\n\n{}\n\nSince: {}\n", notice.summary, notice.description.trim_end(), notice.since);
        if let Some(ended) = notice.ended {
            // Writing into a string cannot fail, here and below.
            let _ = writeln!(text, "Ended: {ended}");
        }
        for (name, value) in &notice.labels {
            let _ = writeln!(text, "{name}: {value}");
        }
        if durable::read(path.clone()).await?.as_deref() != Some(&text) {
            durable::write(path.clone(), text.into_bytes()).await?;
        }
        Ok(Receipt { remote: path.display().to_string(), detail: "written as a file".to_owned() })
    }
}
