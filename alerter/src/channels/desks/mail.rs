//! A desk that is reached by mail, such as Basiq's support. It cannot be searched: an unknown outcome waits
//! for a person.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::api::marker;
use crate::channels::{
    Comment, DeliveryError, Desk, Parts, Plugin, Receipt, SettingsError, Ticket,
    message::{Mailbox, plain::Plain},
    smtp::{Relay, RelaySettings},
};

/// One instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// The address that tickets come from; answers go there.
    pub from: String,
    /// The desk's address.
    pub to: String,
    /// The relay.
    pub relay: RelaySettings,
    /// So many new tickets a day at most, and one digest for the rest: who reads mail of a stranger must not be
    /// flooded. `null` where the desk is your own and takes any number.
    #[serde(default = "daily")]
    pub new_tickets_a_day: Option<u32>,
}

fn daily() -> Option<u32> {
    Some(5)
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        Ok(Arc::new(ByMail {
            from: Mailbox::setting("from", &self.from)?,
            to: Mailbox::setting("to", &self.to)?,
            relay: Relay::new(self.relay, parts)?,
            daily: self.new_tickets_a_day,
        }))
    }
}

struct ByMail {
    from: Mailbox,
    to: Mailbox,
    relay: Relay,
    daily: Option<u32>,
}

#[async_trait]
impl Desk for ByMail {
    fn searchable(&self) -> bool {
        false
    }

    fn daily(&self) -> Option<u32> {
        self.daily
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let mail = Plain {
            from: &self.from,
            to: &self.to,
            subject: &format!("{} [{}]", ticket.subject, marker(&ticket.key)),
            text: &format!("{}\n\nOur reference: {}\n", ticket.body.trim_end(), ticket.key),
            key: &ticket.key,
            answers: None,
            at: ticket.at,
        };
        let sent = desk(self.relay.send(&self.from.address, || mail.mail()).await)?;
        // The ticket's own key makes the thread of its comments.
        Ok(Receipt { remote: ticket.key.clone(), detail: sent.detail })
    }

    async fn find(&self, _key: &str) -> Result<Option<Receipt>, DeliveryError> {
        Ok(None)
    }

    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let mail = Plain {
            from: &self.from,
            to: &self.to,
            subject: &format!("Re: [{}]", marker(remote)),
            text: comment.text,
            key: comment.key,
            answers: Some(remote),
            at: comment.at,
        };
        let sent = desk(self.relay.send(&self.from.address, || mail.mail()).await)?;
        Ok(Receipt { remote: remote.to_owned(), detail: sent.detail })
    }
}

/// A desk's address is never suppressed: that the relay does not know it is the channel's fault.
pub(in crate::channels) fn desk(sent: Result<Receipt, DeliveryError>) -> Result<Receipt, DeliveryError> {
    sent.map_err(|error| match error {
        DeliveryError::Recipient { code } => {
            DeliveryError::Channel { why: format!("the relay does not know the configured address ({code})") }
        }
        other => other,
    })
}
