//! The partner's own message platform: it gets the template and its variables, and knows the address itself.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::channels::{
    Channel, Contact, DeliveryError, Parts, Plugin, Receipt, SettingsError, UserMessage,
    hook::{Hook, HookSettings, receipt},
    http::Effect,
};

/// One instance.
pub type Settings = HookSettings;

impl Plugin<dyn Channel> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Channel>, SettingsError> {
        Ok(Arc::new(ByWebhook { hook: Hook::new(self, parts)?, environment: parts.environment.clone() }))
    }
}

struct ByWebhook {
    hook: Hook,
    environment: Arc<str>,
}

/// Data of `message.send`.
#[derive(Serialize)]
struct Send<'a> {
    environment: &'a str,
    /// The partner's id of the user, where the contact source has one.
    external_id: Option<&'a str>,
    language: Option<&'a str>,
    user_id: &'a str,
    template: &'a str,
    /// The message that this one answers: a closing message answers its opening.
    in_reply_to: Option<&'a str>,
    message_id: &'a str,
    reference: &'a str,
    connections: Vec<Connection<'a>>,
}

#[derive(Serialize)]
struct Connection<'a> {
    connection_id: &'a str,
    institution_id: &'a str,
    institution_name: &'a str,
    scenario: &'a str,
    since: daemon::Timestamp,
}

#[async_trait]
impl Channel for ByWebhook {
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
        let connections = message.connections.iter().map(|connection| Connection {
            connection_id: &connection.connection,
            institution_id: &connection.institution,
            institution_name: &connection.institution_name,
            scenario: &connection.scenario,
            since: connection.since,
        });
        let data = Send {
            environment: &self.environment,
            external_id: to.external_id.as_deref(),
            language: to.language.as_deref(),
            user_id: &message.user,
            template: &message.template,
            in_reply_to: message.in_reply_to.as_deref(),
            message_id: &message.message_id,
            reference: &message.reference,
            connections: connections.collect(),
        };
        let answer = self.hook.post(Effect::Once, "message.send", &message.key, message.at, data).await?;
        Ok(receipt(&answer))
    }

    fn needs_address(&self) -> bool {
        false
    }
}
