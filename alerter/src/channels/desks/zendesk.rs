//! Zendesk Support. Not proven against the real service, only against a double that enforces what its
//! documentation says (developer.zendesk.com, "Tickets").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Api, Auth, Call, marked, marker, remote},
    fields::{Field, Fields},
};
use crate::channels::{
    Comment, DeliveryError, Desk, News, Parts, Plugin, Receipt, SettingsError, Ticket,
    http::{self, Effect},
};

/// One instance. `priority` and `tags` are templates over the ticket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// `https://SUBDOMAIN.zendesk.com`.
    pub url: String,
    /// The agent's e-mail address.
    pub email: String,
    /// The file with an API token.
    pub token_file: PathBuf,
    /// `low`, `normal`, `high` or `urgent`.
    #[serde(default)]
    pub priority: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Further fields of the ticket, in the shape that Zendesk takes them, e.g. `group_id: 360001`,
    /// `custom_fields: [{id: 360002, value: "{{ institution }}"}]`, `requester: {email: …, name: …}`.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// Whether a ticket becomes `solved` once all is over; a person does that where not set.
    #[serde(default)]
    pub solve: bool,
    /// Whether a solved ticket becomes `open` when it fails again. A closed one stays so: Zendesk changes
    /// it no more.
    #[serde(default)]
    pub reopen: bool,
    /// How long Zendesk may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let auth =
            Auth::Basic(format!("{}/token", self.email), http::secret("token_file", &self.token_file)?);
        Ok(Arc::new(Zendesk {
            api: Api::new("Zendesk", &self.url, auth, self.timeout)?,
            priority: self.priority.map(|source| Field::new("priority", &source)).transpose()?,
            tags: self.tags.iter().map(|tag| Field::new("tags", tag)).collect::<Result<_, _>>()?,
            fields: Fields::new(self.fields)?,
            solve: self.solve,
            reopen: self.reopen,
            environment: parts.environment.clone(),
        }))
    }
}

struct Zendesk {
    api: Api,
    priority: Option<Field>,
    tags: Vec<Field>,
    fields: Fields,
    solve: bool,
    reopen: bool,
    environment: Arc<str>,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct Created {
    ticket: Id,
}

#[derive(Deserialize)]
struct Found {
    tickets: Vec<Id>,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    body: String,
}

#[derive(Deserialize)]
struct Shown {
    ticket: Standing,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
}

fn receipt(id: &Id, detail: &str) -> Receipt {
    Receipt { remote: id.id.to_string(), detail: format!("Zendesk ticket {} {detail}", id.id) }
}

#[async_trait]
impl Desk for Zendesk {
    fn searchable(&self) -> bool {
        true
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let marker = marker(&ticket.key);
        let tags = self.tags.iter().map(|tag| tag.of(ticket, &self.environment));
        let mut body = json!({
            "subject": ticket.subject,
            "comment": { "body": ticket.body, "public": false },
            "external_id": marker,
            "tags": tags.collect::<Result<Vec<_>, _>>()?,
        });
        if let Some(priority) = &self.priority {
            body["priority"] = json!(priority.of(ticket, &self.environment)?);
        }
        self.fields.fill(&mut body, ticket, &self.environment)?;
        let call = Call {
            // The Idempotency-Key lives for hours, an outage may last longer: what is lost is searched for.
            effect: Effect::Once,
            method: Method::POST,
            path: &["api", "v2", "tickets"],
            headers: &[("idempotency-key", &marker)],
            body: Some(json!({ "ticket": body })),
            ..Call::default()
        };
        let created: Created = self.api.call(call).await?.json(self.api.who())?;
        Ok(receipt(&created.ticket, "filed"))
    }

    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        // The filter by external id, not the search, whose index lags by minutes.
        let marker = marker(key);
        let call =
            Call { path: &["api", "v2", "tickets"], query: &[("external_id", &marker)], ..Call::default() };
        let found: Found = self.api.call(call).await?.json(self.api.who())?;
        Ok(found.tickets.iter().min_by_key(|id| id.id).map(|id| receipt(id, "found")))
    }

    async fn comment(&self, id: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::PUT,
            path: &["api", "v2", "tickets", id],
            body: Some(json!({ "ticket": { "comment": { "body": marked(comment), "public": false } } })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(Receipt { remote: id.to_owned(), detail: format!("Zendesk ticket {id} commented") })
    }

    async fn find_comment(&self, id: &str, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            path: &["api", "v2", "tickets", id, "comments"],
            query: &[("sort_order", "desc"), ("per_page", "100")],
            of_ticket: true,
            ..Call::default()
        };
        let found: Comments = self.api.call(call).await?.json(self.api.who())?;
        let marker = marker(key);
        let receipt = || Receipt { remote: id.to_owned(), detail: format!("Zendesk ticket {id} had the comment") };
        Ok(found.comments.iter().any(|said| said.body.contains(&marker)).then(receipt))
    }

    async fn turn(&self, id: &str, news: News) -> Result<(), DeliveryError> {
        let wanted = match news {
            News::Over if self.solve => "solved",
            News::Again if self.reopen => "open",
            _ => return Ok(()),
        };
        let id = remote(self.api.who(), id)?;
        let path = &["api", "v2", "tickets", id];
        let shown: Shown =
            self.api.call(Call { path, of_ticket: true, ..Call::default() }).await?.json(self.api.who())?;
        let status = shown.ticket.status.as_str();
        let change = match news {
            News::Over => !matches!(status, "solved" | "closed"),
            _ => status == "solved",
        };
        if change {
            let call = Call {
                method: Method::PUT,
                path,
                body: Some(json!({ "ticket": { "status": wanted } })),
                of_ticket: true,
                ..Call::default()
            };
            self.api.call(call).await?;
        }
        Ok(())
    }
}
