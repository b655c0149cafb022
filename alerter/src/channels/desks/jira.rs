//! Jira Cloud, REST API 3. Not proven against the real service, only against a double that enforces what
//! its documentation says (developer.atlassian.com, "Issues", "Search and reconcile").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Api, Auth, Call, line, marked, marker, remote, turns},
    fields::Fields,
};
use crate::channels::{
    Comment, DeliveryError, Desk, News, Parts, Plugin, Receipt, SettingsError, Standing, Ticket,
    http::{self, Effect},
};

/// One instance. The values of `fields` are templates over the ticket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// `https://SITE.atlassian.net`.
    pub url: String,
    /// The account's e-mail address.
    pub email: String,
    /// The file with an API token.
    pub token_file: PathBuf,
    /// The project's key.
    pub project: String,
    /// The name of the issue type.
    pub issue_type: String,
    /// Further labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Further fields by id, in the shape that Jira takes them, e.g. `priority: {name: High}`.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// The id of the transition that closes an issue once all is over; a person closes it where not set.
    /// Ids, because names are in the account's language.
    #[serde(default)]
    pub close_transition: Option<String>,
    /// The id of the transition that opens a closed issue when it fails again; left alone where not set.
    #[serde(default)]
    pub reopen_transition: Option<String>,
    /// Ids of resolutions by which people say that nobody will mend it: an issue that is done with one of these is
    /// final for the incident. Ids, because names are in the account's language.
    #[serde(default)]
    pub declined_resolutions: Vec<String>,
    /// How long Jira may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if self.project.is_empty() || !self.project.chars().all(fits) {
            return Err(SettingsError::new("`project` must be a project's key, such as BANK"));
        }
        let auth = Auth::Basic(self.email, http::secret("token_file", &parts.path(&self.token_file))?);
        Ok(Arc::new(Jira {
            api: Api::new("Jira", &self.url, auth, self.timeout)?,
            project: self.project,
            issue_type: self.issue_type,
            labels: self.labels,
            fields: Fields::new(self.fields)?,
            close_transition: self.close_transition,
            reopen_transition: self.reopen_transition,
            declined_resolutions: self.declined_resolutions,
            environment: parts.environment.clone(),
        }))
    }
}

struct Jira {
    api: Api,
    project: String,
    issue_type: String,
    labels: Vec<String>,
    fields: Fields,
    close_transition: Option<String>,
    reopen_transition: Option<String>,
    declined_resolutions: Vec<String>,
    environment: Arc<str>,
}

#[derive(Deserialize)]
struct Issue {
    key: String,
}

#[derive(Deserialize)]
struct Found {
    issues: Vec<Issue>,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Value>,
}

#[derive(Deserialize)]
struct Shown {
    fields: Fielded,
}

#[derive(Deserialize)]
struct Fielded {
    status: Status,
    #[serde(default)]
    resolution: Option<Resolution>,
}

#[derive(Deserialize)]
struct Resolution {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    status_category: Category,
}

#[derive(Deserialize)]
struct Category {
    key: String,
}

#[derive(Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
}

/// The most characters of Jira's summary.
pub(super) const SUMMARY: usize = 255;

fn receipt(issue: Issue, detail: &str) -> Receipt {
    Receipt { detail: format!("Jira issue {} {detail}", issue.key), remote: issue.key }
}

/// Plain text as an Atlassian document: a paragraph per block, a hard break per line.
pub(super) fn document(text: &str) -> Value {
    let paragraph = |block: &str| {
        let mut content = Vec::new();
        for line in block.lines() {
            if !content.is_empty() {
                content.push(json!({ "type": "hardBreak" }));
            }
            // A text node must not be empty.
            if !line.is_empty() {
                content.push(json!({ "type": "text", "text": line }));
            }
        }
        json!({ "type": "paragraph", "content": content })
    };
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty()).map(paragraph);
    json!({ "type": "doc", "version": 1, "content": blocks.collect::<Vec<_>>() })
}

#[async_trait]
impl Desk for Jira {
    fn searchable(&self) -> bool {
        true
    }

    /// Half of the 32,767 that Jira takes: whether what surrounds the text in a document counts is not documented.
    fn longest(&self) -> Option<usize> {
        Some(16_000)
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let mut labels = self.labels.clone();
        labels.push(marker(&ticket.key));
        let mut fields = json!({
            "project": { "key": self.project },
            "issuetype": { "name": self.issue_type },
            "summary": line(&ticket.subject, SUMMARY),
            "description": document(&ticket.body),
            "labels": labels,
        });
        self.fields.fill(&mut fields, ticket, &self.environment)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "api", "3", "issue"],
            body: Some(json!({ "fields": fields })),
            ..Call::default()
        };
        let created: Issue = self.api.call(call).await?.json(self.api.who())?;
        Ok(receipt(created, "filed"))
    }

    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let jql =
            format!("project = \"{}\" AND labels = \"{}\" ORDER BY created ASC", self.project, marker(key));
        let call = Call {
            method: Method::POST,
            path: &["rest", "api", "3", "search", "jql"],
            body: Some(json!({ "jql": jql, "fields": ["summary"], "maxResults": 1 })),
            ..Call::default()
        };
        let found: Found = self.api.call(call).await?.json(self.api.who())?;
        Ok(found.issues.into_iter().next().map(|issue| receipt(issue, "found")))
    }

    async fn comment(&self, id: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "api", "3", "issue", id, "comment"],
            body: Some(json!({ "body": document(&marked(comment)) })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(Issue { key: id.to_owned() }, "commented"))
    }

    async fn find_comment(&self, id: &str, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            path: &["rest", "api", "3", "issue", id, "comment"],
            query: &[("orderBy", "-created"), ("maxResults", "100")],
            of_ticket: true,
            ..Call::default()
        };
        let found: Comments = self.api.call(call).await?.json(self.api.who())?;
        let marker = marker(key);
        let ours = |comment: &Value| comment["body"].to_string().contains(&marker);
        let receipt = || receipt(Issue { key: id.to_owned() }, "had the comment");
        Ok(found.comments.iter().any(ours).then(receipt))
    }

    async fn standing(&self, id: &str) -> Result<Option<Standing>, DeliveryError> {
        self.stands(remote(self.api.who(), id)?).await.map(Some)
    }

    async fn turn(&self, id: &str, news: News) -> Result<(), DeliveryError> {
        let wanted = match news {
            News::Progress => None,
            News::Over => self.close_transition.as_deref(),
            News::Again => self.reopen_transition.as_deref(),
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let id = remote(self.api.who(), id)?;
        if !turns(news, self.stands(id).await?) {
            return Ok(());
        }
        let path: &[&str] = &["rest", "api", "3", "issue", id, "transitions"];
        let call = Call { path, of_ticket: true, ..Call::default() };
        let offered: Transitions = self.api.call(call).await?.json(self.api.who())?;
        if !offered.transitions.iter().any(|transition| transition.id == wanted) {
            return Err(DeliveryError::Permanent {
                why: format!("Jira offers no transition {wanted} for issue {id} from where it stands"),
            });
        }
        let call = Call {
            method: Method::POST,
            path,
            body: Some(json!({ "transition": { "id": wanted } })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(())
    }
}

impl Jira {
    async fn stands(&self, id: &str) -> Result<Standing, DeliveryError> {
        let call = Call {
            path: &["rest", "api", "3", "issue", id],
            query: &[("fields", "status,resolution")],
            of_ticket: true,
            ..Call::default()
        };
        let shown: Shown = self.api.call(call).await?.json(self.api.who())?;
        let declined = |resolution: &Resolution| self.declined_resolutions.contains(&resolution.id);
        Ok(match shown.fields.status.status_category.key == "done" {
            true if shown.fields.resolution.as_ref().is_some_and(declined) => Standing::Declined,
            true => Standing::Closed,
            false => Standing::Open,
        })
    }
}
