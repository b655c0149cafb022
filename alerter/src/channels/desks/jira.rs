//! Jira Cloud, REST API 3. Not proven against the real service, only against a double that enforces what
//! its documentation says (developer.atlassian.com, "Issues", "Search and reconcile").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, Auth, Call, Field, marker, remote};
use crate::channels::{
    DeliveryError, Desk, Parts, Plugin, Receipt, SettingsError, Ticket,
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
    /// Further text fields by id, e.g. `customfield_10010`.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
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
        let auth = Auth::Basic(self.email, http::secret("token_file", &self.token_file)?);
        let field = |(name, source): (String, String)| Ok((name.clone(), Field::new(&name, &source)?));
        Ok(Arc::new(Jira {
            api: Api::new("Jira", &self.url, auth, self.timeout)?,
            project: self.project,
            issue_type: self.issue_type,
            labels: self.labels,
            fields: self.fields.into_iter().map(field).collect::<Result<_, SettingsError>>()?,
            environment: parts.environment.clone(),
        }))
    }
}

struct Jira {
    api: Api,
    project: String,
    issue_type: String,
    labels: Vec<String>,
    fields: Vec<(String, Field)>,
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

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let mut labels = self.labels.clone();
        labels.push(marker(&ticket.key));
        let mut fields = json!({
            "project": { "key": self.project },
            "issuetype": { "name": self.issue_type },
            "summary": summary(&ticket.subject),
            "description": document(&ticket.body),
            "labels": labels,
        });
        for (name, field) in &self.fields {
            fields[name] = json!(field.of(ticket, &self.environment)?);
        }
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

    async fn comment(&self, id: &str, _key: &str, text: &str) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "api", "3", "issue", id, "comment"],
            body: Some(json!({ "body": document(text) })),
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(Issue { key: id.to_owned() }, "commented"))
    }
}

/// Jira's summary is one line of at most 255 characters.
pub(super) fn summary(subject: &str) -> String {
    subject.replace(['\r', '\n'], " ").chars().take(255).collect()
}
