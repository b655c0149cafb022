//! Jira Service Management Cloud. Not proven against the real service, only against a double that enforces
//! what its documentation says (developer.atlassian.com, "Request").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    api::{Api, Auth, Call, Field, marker, remote},
    jira::summary,
};
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
    /// The id of the service desk.
    pub service_desk: String,
    /// The id of the request type.
    pub request_type: String,
    /// Further fields that the request type requires, by id.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Comments are for agents only; an account that is only a customer can write public ones alone.
    #[serde(default)]
    pub internal_comments: bool,
    /// How long the service may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let auth = Auth::Basic(self.email, http::secret("token_file", &self.token_file)?);
        let field = |(name, source): (String, String)| Ok((name.clone(), Field::new(&name, &source)?));
        Ok(Arc::new(Jsm {
            api: Api::new("Jira Service Management", &self.url, auth, self.timeout)?,
            service_desk: self.service_desk,
            request_type: self.request_type,
            fields: self.fields.into_iter().map(field).collect::<Result<_, SettingsError>>()?,
            internal_comments: self.internal_comments,
            environment: parts.environment.clone(),
        }))
    }
}

struct Jsm {
    api: Api,
    service_desk: String,
    request_type: String,
    fields: Vec<(String, Field)>,
    internal_comments: bool,
    environment: Arc<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    issue_key: String,
    #[serde(default)]
    request_field_values: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    field_id: String,
    #[serde(default)]
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Found {
    values: Vec<Request>,
}

fn receipt(key: String, detail: &str) -> Receipt {
    Receipt { detail: format!("request {key} {detail}"), remote: key }
}

#[async_trait]
impl Desk for Jsm {
    fn searchable(&self) -> bool {
        true
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        // The marker first: the search matches the summary, which is cut at its end.
        let mut fields = json!({
            "summary": summary(&format!("[{}] {}", marker(&ticket.key), ticket.subject)),
            "description": ticket.body,
        });
        for (name, field) in &self.fields {
            fields[name] = json!(field.of(ticket, &self.environment)?);
        }
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "servicedeskapi", "request"],
            body: Some(json!({
                "serviceDeskId": self.service_desk,
                "requestTypeId": self.request_type,
                "requestFieldValues": fields,
            })),
            ..Call::default()
        };
        let created: Request = self.api.call(call).await?.json(self.api.who())?;
        Ok(receipt(created.issue_key, "filed"))
    }

    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let marker = marker(key);
        let call = Call {
            path: &["rest", "servicedeskapi", "request"],
            query: &[
                ("searchTerm", &marker),
                ("serviceDeskId", &self.service_desk),
                ("requestOwnership", "ALL_REQUESTS"),
                ("requestStatus", "ALL_REQUESTS"),
            ],
            ..Call::default()
        };
        let found: Found = self.api.call(call).await?.json(self.api.who())?;
        // The search is for words; only a summary that holds the whole marker is the ticket.
        let ours = |request: &Request| {
            request.request_field_values.iter().any(|field| {
                field.field_id == "summary" && field.value.as_str().is_some_and(|text| text.contains(&marker))
            })
        };
        Ok(found.values.into_iter().find(ours).map(|request| receipt(request.issue_key, "found")))
    }

    async fn comment(&self, id: &str, _key: &str, text: &str) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "servicedeskapi", "request", id, "comment"],
            body: Some(json!({ "body": text, "public": !self.internal_comments })),
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(id.to_owned(), "commented"))
    }
}
