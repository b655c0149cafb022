//! Notices by mail. The end is an answer to the beginning, in one thread.

use std::{fmt::Write, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::{
    DeliveryError, Notice, Operators, Parts, Plugin, Receipt, SettingsError,
    desks::mail::desk,
    message::{Mailbox, plain::Plain},
    smtp::{Relay, RelaySettings},
};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// The address that notices come from.
    pub from: String,
    /// The operators' address.
    pub to: String,
    /// The relay.
    pub relay: RelaySettings,
}

impl Plugin<dyn Operators> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Operators>, SettingsError> {
        Ok(Arc::new(ByMail {
            from: Mailbox::setting("from", &self.from)?,
            to: Mailbox::setting("to", &self.to)?,
            relay: Relay::new(self.relay, parts)?,
            environment: parts.environment.clone(),
        }))
    }
}

struct ByMail {
    from: Mailbox,
    to: Mailbox,
    relay: Relay,
    environment: Arc<str>,
}

#[async_trait]
impl Operators for ByMail {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let (word, key, answers, at) = match notice.ended {
            None if notice.labels.get("severity").is_some_and(|severity| severity == "info") => {
                ("INFO", notice.key.clone(), None, notice.since)
            }
            None => ("FIRING", notice.key.clone(), None, notice.since),
            Some(ended) => ("ENDED", format!("{}/ended", notice.key), Some(notice.key.as_str()), ended),
        };
        let mut text = format!("{}\n\nSince: {}\n", notice.description.trim_end(), notice.since);
        if let Some(ended) = notice.ended {
            // Writing into a string cannot fail, here and below.
            let _ = writeln!(text, "Ended: {ended}");
        }
        for (name, value) in &notice.labels {
            let _ = writeln!(text, "{name}: {value}");
        }
        let subject = format!("[{word}] {} ({})", notice.summary, self.environment);
        let (from, to) = (&self.from, &self.to);
        let mail = Plain { from, to, subject: &subject, text: &text, key: &key, answers, at };
        desk(self.relay.send(&self.from.address, || mail.mail()).await)
    }
}
