//! Writes each message as an `.eml` file, exactly as the customer would get it.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::{
    Channel, Contact, DeliveryError, Parts, Plugin, Receipt, SettingsError, UserMessage, durable,
    message::{Mailbox, Renderer},
};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// Where the files go; `messages` in the data folder where not set.
    pub directory: Option<PathBuf>,
    /// The sender's address in the files.
    pub from: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "files".to_owned(), directory: None, from: "no-reply@localhost".to_owned() }
    }
}

impl Plugin<dyn Channel> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Channel>, SettingsError> {
        Ok(Arc::new(Files {
            directory: self.directory.map_or_else(|| parts.data.join("messages"), |path| parts.path(path)),
            from: Mailbox::setting("from", &self.from)?,
            renderer: parts.renderer.clone(),
        }))
    }
}

struct Files {
    directory: PathBuf,
    from: Mailbox,
    renderer: Arc<Renderer>,
}

#[async_trait]
impl Channel for Files {
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
        let mail = self.renderer.mail(message, to, &self.from)?;
        let name = durable::file_name(&format!("{}-{}", message.template, message.user), &message.key, "eml");
        let path = self.directory.join(name);
        if durable::read(path.clone()).await?.is_none() {
            durable::write(path.clone(), mail.content.into_bytes()).await?;
        }
        Ok(Receipt { remote: path.display().to_string(), detail: "written as a file".to_owned() })
    }
    fn leaves(&self) -> bool {
        false
    }
}
