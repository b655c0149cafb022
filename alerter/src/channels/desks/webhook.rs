//! A desk behind a signed webhook. It cannot be searched: an unknown outcome waits for a person.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::channels::{
    Comment, DeliveryError, Desk, News, Parts, Plugin, Receipt, SettingsError, Ticket,
    hook::{Hook, HookSettings, receipt},
    http::Effect,
};

/// One instance.
pub type Settings = HookSettings;

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        Ok(Arc::new(ByWebhook { hook: Hook::new(self, parts)?, environment: parts.environment.clone() }))
    }
}

struct ByWebhook {
    hook: Hook,
    environment: Arc<str>,
}

/// Data of `ticket.create`.
#[derive(Serialize)]
struct Create<'a> {
    environment: &'a str,
    #[serde(flatten)]
    ticket: &'a Ticket,
}

/// Data of `ticket.comment`.
#[derive(Serialize)]
struct Said<'a> {
    environment: &'a str,
    ticket: &'a str,
    key: &'a str,
    text: &'a str,
    /// `progress`, `over` or `again`.
    news: News,
}

#[async_trait]
impl Desk for ByWebhook {
    fn searchable(&self) -> bool {
        false
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let data = Create { environment: &self.environment, ticket };
        let answer = self.hook.post(Effect::Once, "ticket.create", &ticket.key, ticket.at, data).await?;
        let mut receipt = receipt(&answer);
        if receipt.remote.is_empty() {
            receipt.remote.clone_from(&ticket.key);
        }
        Ok(receipt)
    }

    async fn find(&self, _key: &str) -> Result<Option<Receipt>, DeliveryError> {
        Ok(None)
    }

    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let Comment { key, text, at, news } = *comment;
        let data = Said { environment: &self.environment, ticket: remote, key, text, news };
        let answer = self.hook.post(Effect::Once, "ticket.comment", key, at, data).await?;
        // Whatever id the comment has over there, the ticket stays the same.
        Ok(Receipt { remote: remote.to_owned(), ..receipt(&answer) })
    }
}
