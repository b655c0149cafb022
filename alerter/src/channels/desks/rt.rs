//! Request Tracker 5 over REST2 (core since 5.0).

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Api, Auth, Call, marked_line, marker, remote, turns},
    fields::{Field, Fields},
};
use crate::channels::{
    Comment, DeliveryError, Desk, News, Parts, Plugin, Receipt, SettingsError, Standing, Ticket,
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
    pub custom_fields: BTreeMap<String, Value>,
    /// The status that a ticket gets once all is over, e.g. `resolved`; a person closes it where not set.
    #[serde(default)]
    pub close_as: Option<String>,
    /// The status that a resolved ticket gets when it fails again, e.g. `open`; left alone where not set.
    #[serde(default)]
    pub reopen_as: Option<String>,
    /// How long RT may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let token = http::secret("token_file", &parts.path(&self.token_file))?;
        Ok(Arc::new(Rt {
            api: Api::new("RT", &self.url, Auth::Token("token", token), self.timeout)?,
            queue: Field::new("queue", &self.queue)?,
            requestor: self.requestor,
            priority: self.priority.map(|source| Field::new("priority", &source)).transpose()?,
            custom_fields: Fields::new(self.custom_fields)?,
            close_as: self.close_as,
            reopen_as: self.reopen_as,
            environment: parts.environment.clone(),
        }))
    }
}

struct Rt {
    api: Api,
    queue: Field,
    requestor: Option<String>,
    priority: Option<Field>,
    custom_fields: Fields,
    close_as: Option<String>,
    reopen_as: Option<String>,
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

#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "Status")]
    status: String,
}

#[derive(Deserialize)]
struct Attachments {
    items: Vec<Attachment>,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "Subject", default)]
    subject: Option<String>,
}

/// The most characters of RT's subject.
const SUBJECT: usize = 200;
/// What RT's default lifecycle calls a ticket that is over and may be opened again.
const RESOLVED: &str = "resolved";
/// What it calls one that somebody declined: final.
const DECLINED: [&str; 2] = ["rejected", "deleted"];

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
            "Subject": marked_line(&ticket.subject, &ticket.key, SUBJECT),
            "ContentType": "text/plain",
            "Content": ticket.body,
        });
        if let Some(requestor) = &self.requestor {
            body["Requestor"] = json!(requestor);
        }
        if let Some(priority) = &self.priority {
            body["Priority"] = json!(priority.of(ticket, &self.environment)?);
        }
        let mut fields = json!({});
        self.custom_fields.fill(&mut fields, ticket, &self.environment)?;
        body["CustomFields"] = fields;
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

    async fn comment(&self, id: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["REST", "2.0", "ticket", id, "comment"],
            body: Some(json!({
                "ContentType": "text/plain",
                "Content": comment.text,
                // What it is found by.
                "Subject": marker(comment.key),
            })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(id.to_owned(), "commented"))
    }

    async fn find_comment(&self, id: &str, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            path: &["REST", "2.0", "ticket", id, "attachments"],
            query: &[("fields", "Subject"), ("orderby", "id"), ("order", "DESC"), ("per_page", "100")],
            of_ticket: true,
            ..Call::default()
        };
        let found: Attachments = self.api.call(call).await?.json(self.api.who())?;
        let marker = marker(key);
        let ours = |it: &Attachment| it.subject.as_ref().is_some_and(|subject| *subject == marker);
        Ok(found.items.iter().any(ours).then(|| receipt(id.to_owned(), "had the comment")))
    }

    async fn standing(&self, id: &str) -> Result<Option<Standing>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        Ok(Some(self.stands(&self.status(id).await?)))
    }

    async fn turn(&self, id: &str, news: News) -> Result<(), DeliveryError> {
        let wanted = match news {
            News::Progress => None,
            News::Over => self.close_as.as_deref(),
            News::Again => self.reopen_as.as_deref(),
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let id = remote(self.api.who(), id)?;
        let status = self.status(id).await?;
        if !turns(news, self.stands(&status)) || status == wanted {
            return Ok(());
        }
        let call = Call {
            method: Method::PUT,
            path: &["REST", "2.0", "ticket", id],
            body: Some(json!({ "Status": wanted })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        // RT answers 200 to a status that the queue's lifecycle does not have.
        if self.status(id).await? == wanted {
            return Ok(());
        }
        Err(DeliveryError::Permanent { why: format!("RT did not give ticket {id} the configured status") })
    }
}

impl Rt {
    fn stands(&self, status: &str) -> Standing {
        match status {
            _ if DECLINED.contains(&status) => Standing::Declined,
            _ if status == RESOLVED || self.close_as.as_deref() == Some(status) => Standing::Closed,
            _ => Standing::Open,
        }
    }

    async fn status(&self, id: &str) -> Result<String, DeliveryError> {
        let call =
            Call { path: &["REST", "2.0", "ticket", id], of_ticket: true, ..Call::default() };
        let shown: Shown = self.api.call(call).await?.json(self.api.who())?;
        Ok(shown.status)
    }
}
