//! One readable file per ticket, comments appended.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::channels::{Comment, DeliveryError, Desk, Parts, Plugin, Receipt, SettingsError, Ticket, durable};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// Where the files go; `tickets` in the data folder where not set.
    pub directory: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "files".to_owned(), directory: None }
    }
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        Ok(Arc::new(Files {
            directory: self.directory.map_or_else(|| parts.data.join("tickets"), |path| parts.path(path)),
            writing: Mutex::new(()),
        }))
    }
}

struct Files {
    directory: PathBuf,
    /// A comment is read, appended and replaced: one at a time.
    writing: Mutex<()>,
}

impl Files {
    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(durable::file_name(&format!("ticket-{key}"), key, "txt"))
    }
}

fn receipt(path: &std::path::Path, detail: &str) -> Receipt {
    Receipt { remote: path.display().to_string(), detail: detail.to_owned() }
}

#[async_trait]
impl Desk for Files {
    fn searchable(&self) -> bool {
        true
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let _one = self.writing.lock().await;
        let path = self.path(&ticket.key);
        if durable::read(path.clone()).await?.is_none() {
            let text = format!(
                "{}\n\nTicket: {}\nFiled: {}\nBank: {}\nScenario: {}\nConnections: {}\n\n{}\n",
                ticket.subject,
                ticket.key,
                ticket.at,
                ticket.institution,
                ticket.scenario,
                ticket.connections.join(", "),
                ticket.body.trim_end(),
            );
            durable::write(path.clone(), text.into_bytes()).await?;
        }
        Ok(receipt(&path, "filed as a file"))
    }

    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let path = self.path(key);
        Ok(durable::read(path.clone()).await?.map(|_| receipt(&path, "found")))
    }

    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let Comment { key, text, at, .. } = comment;
        let _one = self.writing.lock().await;
        let path = PathBuf::from(remote);
        if path.parent() != Some(&*self.directory) {
            return Err(DeliveryError::Permanent {
                why: "the ticket's file is not in this desk's folder".to_owned(),
            });
        }
        let Some(mut content) = durable::read(path.clone()).await? else {
            return Err(DeliveryError::Permanent { why: "the ticket's file is gone".to_owned() });
        };
        let mark = format!("\n--- comment {key}, ");
        if !content.contains(&mark) {
            // Writing into a string cannot fail.
            let _ = write!(content, "{mark}{at}\n{}\n", text.trim_end());
            durable::write(path.clone(), content.into_bytes()).await?;
        }
        Ok(receipt(&path, "comment added to the file"))
    }
}
