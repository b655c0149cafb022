//! Zendesk Support. Not proven against the real service, only against a double that enforces what its
//! documentation says (developer.zendesk.com, "Tickets").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Api, Auth, Call, line, marked, marker, remote, turns},
    fields::{Field, Fields},
};
use crate::channels::{
    Comment, DeliveryError, Desk, News, Parts, Plugin, Receipt, SettingsError, Standing, Ticket,
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
    /// Whether a solved ticket becomes `open` when it fails again. A closed one is final at Zendesk: what is said of
    /// it then goes into a follow-up, solved at once where it is over.
    #[serde(default)]
    pub reopen: bool,
    /// The tag by which agents say that nobody will mend it: a solved ticket that has it is final for the incident.
    #[serde(default)]
    pub declined_tag: Option<String>,
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
            Auth::Basic(format!("{}/token", self.email), http::secret("token_file", &parts.path(&self.token_file))?);
        Ok(Arc::new(Zendesk {
            api: Api::new("Zendesk", &self.url, auth, self.timeout)?,
            priority: self.priority.map(|source| Field::new("priority", &source)).transpose()?,
            tags: self.tags.iter().map(|tag| Field::new("tags", tag)).collect::<Result<_, _>>()?,
            fields: Fields::new(self.fields)?,
            solve: self.solve,
            reopen: self.reopen,
            declined_tag: self.declined_tag,
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
    declined_tag: Option<String>,
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
    ticket: Stands,
}

#[derive(Deserialize)]
struct Stands {
    status: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// The most characters of a subject; Zendesk documents no limit.
const SUBJECT: usize = 255;
/// What Zendesk changes no more.
const CLOSED: &str = "closed";

fn receipt(id: &Id, detail: &str) -> Receipt {
    Receipt { remote: id.id.to_string(), detail: format!("Zendesk ticket {} {detail}", id.id) }
}

#[async_trait]
impl Desk for Zendesk {
    fn searchable(&self) -> bool {
        true
    }

    /// It takes 64 KiB; a character of these texts seldom has more than one byte.
    fn longest(&self) -> Option<usize> {
        Some(32_000)
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let marker = marker(&ticket.key);
        let tags = self.tags.iter().map(|tag| tag.of(ticket, &self.environment));
        let mut body = json!({
            "subject": line(&ticket.subject, SUBJECT),
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
        Ok(self.by_marker(&marker(key)).await?.map(|id| receipt(&id, "found")))
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
        match self.api.call(call).await {
            Err(DeliveryError::Permanent { .. }) if self.shown(id).await?.status == CLOSED => {
                self.follow_up(id, comment).await
            }
            said => said.map(|_| Receipt {
                remote: id.to_owned(),
                detail: format!("Zendesk ticket {id} commented"),
            }),
        }
    }

    async fn find_comment(&self, id: &str, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            path: &["api", "v2", "tickets", id, "comments"],
            // Few enough that long ones fit into one answer, which has each thrice.
            query: &[("sort_order", "desc"), ("per_page", "25")],
            of_ticket: true,
            ..Call::default()
        };
        let found: Comments = self.api.call(call).await?.json(self.api.who())?;
        let marker = marker(key);
        let receipt = || Receipt { remote: id.to_owned(), detail: format!("Zendesk ticket {id} had the comment") };
        Ok(found.comments.iter().any(|said| said.body.contains(&marker)).then(receipt))
    }

    async fn standing(&self, id: &str) -> Result<Option<Standing>, DeliveryError> {
        let ticket = self.shown(remote(self.api.who(), id)?).await?;
        Ok(Some(self.stands(&ticket)))
    }

    async fn turn(&self, id: &str, news: News) -> Result<(), DeliveryError> {
        let wanted = match news {
            News::Over if self.solve => "solved",
            News::Again if self.reopen => "open",
            _ => return Ok(()),
        };
        let id = remote(self.api.who(), id)?;
        let path = &["api", "v2", "tickets", id];
        let ticket = self.shown(id).await?;
        if ticket.status != CLOSED && turns(news, self.stands(&ticket)) {
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

impl Zendesk {
    fn stands(&self, ticket: &Stands) -> Standing {
        let declined = self.declined_tag.as_ref().is_some_and(|tag| ticket.tags.contains(tag));
        match ticket.status.as_str() {
            "solved" | CLOSED if declined => Standing::Declined,
            "solved" | CLOSED => Standing::Closed,
            _ => Standing::Open,
        }
    }

    async fn shown(&self, id: &str) -> Result<Stands, DeliveryError> {
        let path = &["api", "v2", "tickets", id];
        let call = Call { path, of_ticket: true, ..Call::default() };
        let shown: Shown = self.api.call(call).await?.json(self.api.who())?;
        Ok(shown.ticket)
    }

    /// The ticket with this external id: by the filter, not by the search, whose index lags by minutes.
    async fn by_marker(&self, marker: &str) -> Result<Option<Id>, DeliveryError> {
        let query = &[("external_id", marker)];
        let call = Call { path: &["api", "v2", "tickets"], query, ..Call::default() };
        let found: Found = self.api.call(call).await?.json(self.api.who())?;
        Ok(found.tickets.into_iter().min_by_key(|id| id.id))
    }

    /// A closed ticket takes no comment: Zendesk goes on with a new one that names it. Its external id is the
    /// comment's, so that one whose answer was lost is found again.
    async fn follow_up(&self, id: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let marker = marker(comment.key);
        if let Some(known) = self.by_marker(&marker).await? {
            return Ok(receipt(&known, &format!("follows up the closed ticket {id}")));
        }
        let mut ticket = json!({
            "via_followup_source_id": id.parse::<u64>().ok(),
            "comment": { "body": marked(comment), "public": false },
            "external_id": marker,
        });
        if comment.news == News::Over {
            ticket["status"] = json!("solved");
        }
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["api", "v2", "tickets"],
            headers: &[("idempotency-key", &marker)],
            body: Some(json!({ "ticket": ticket })),
            ..Call::default()
        };
        let created: Created = self.api.call(call).await?.json(self.api.who())?;
        Ok(receipt(&created.ticket, &format!("follows up the closed ticket {id}")))
    }
}
