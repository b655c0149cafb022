//! Request Tracker 5 over REST2 (core since 5.0).

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, Auth, Call, Field, marker, remote};
use crate::channels::{
    DeliveryError, Desk, Parts, Plugin, Receipt, SettingsError, Ticket,
    http::{self, Effect},
};

/// One instance. `queue`, `priority` and the values of `custom_fields` are templates over the ticket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// RT's address, without `/REST/2.0`.
    pub url: String,
    /// The file with an authentication token.
    pub token_file: PathBuf,
    /// The queue.
    pub queue: String,
    /// Who asks, an address; nobody where not set.
    #[serde(default)]
    pub requestor: Option<String>,
    /// A number.
    #[serde(default)]
    pub priority: Option<String>,
    /// Custom fields of the queue. RT drops unknown ones without a word.
    #[serde(default)]
    pub custom_fields: BTreeMap<String, String>,
    /// How long RT may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let token = http::secret("token_file", &self.token_file)?;
        let field = |(name, source): (String, String)| Ok((name.clone(), Field::new(&name, &source)?));
        Ok(Arc::new(Rt {
            api: Api::new("RT", &self.url, Auth::Token("token", token), self.timeout)?,
            queue: Field::new("queue", &self.queue)?,
            requestor: self.requestor,
            priority: self.priority.map(|source| Field::new("priority", &source)).transpose()?,
            custom_fields: self.custom_fields.into_iter().map(field).collect::<Result<_, SettingsError>>()?,
            environment: parts.environment.clone(),
        }))
    }
}

struct Rt {
    api: Api,
    queue: Field,
    requestor: Option<String>,
    priority: Option<Field>,
    custom_fields: Vec<(String, Field)>,
    environment: Arc<str>,
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

#[derive(Deserialize)]
struct Found {
    items: Vec<Created>,
}

fn receipt(id: String, detail: &str) -> Receipt {
    Receipt { detail: format!("RT ticket {id} {detail}"), remote: id }
}

#[async_trait]
impl Desk for Rt {
    fn searchable(&self) -> bool {
        true
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let mut body = json!({
            "Queue": self.queue.of(ticket, &self.environment)?,
            "Subject": format!("{} [{}]", ticket.subject, marker(&ticket.key)),
            "ContentType": "text/plain",
            "Content": ticket.body,
        });
        if let Some(requestor) = &self.requestor {
            body["Requestor"] = json!(requestor);
        }
        if let Some(priority) = &self.priority {
            body["Priority"] = json!(priority.of(ticket, &self.environment)?);
        }
        for (name, field) in &self.custom_fields {
            body["CustomFields"][name] = json!(field.of(ticket, &self.environment)?);
        }
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["REST", "2.0", "ticket"],
            body: Some(body),
            ..Call::default()
        };
        let created: Created = self.api.call(call).await?.json(self.api.who())?;
        Ok(receipt(created.id, "filed"))
    }

    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        // The marker is of letters, digits and dashes: nothing in it ends the quoted string. A queue
        // is no condition, because a person may have moved the ticket.
        let query = format!("Subject LIKE '{}'", marker(key));
        let call = Call {
            path: &["REST", "2.0", "tickets"],
            query: &[("query", &query), ("orderby", "id"), ("per_page", "1")],
            ..Call::default()
        };
        let found: Found = self.api.call(call).await?.json(self.api.who())?;
        Ok(found.items.into_iter().next().map(|created| receipt(created.id, "found")))
    }

    async fn comment(&self, id: &str, _key: &str, text: &str) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["REST", "2.0", "ticket", id, "comment"],
            body: Some(json!({ "ContentType": "text/plain", "Content": text })),
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(id.to_owned(), "commented"))
    }
}
