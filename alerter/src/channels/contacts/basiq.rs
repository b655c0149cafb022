//! The user record at Basiq.

use async_trait::async_trait;
use basiq::{Client, Priority};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::{Contact, Contacts, DeliveryError, refresh::delivery_error};

/// Section `contacts.basiq`: nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

pub(super) struct Basiq {
    pub(super) client: Client,
}

#[async_trait]
impl Contacts for Basiq {
    async fn resolve(&self, user: &str) -> Result<Option<Contact>, DeliveryError> {
        match self.client.user(user, Priority::Effect).await {
            Ok(user) => Ok(Some(Contact {
                address: user.email,
                name: user.first_name,
                language: None,
                external_id: None,
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(delivery_error(&error)),
        }
    }
}
