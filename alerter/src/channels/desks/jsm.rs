//! Jira Service Management Cloud. Not proven against the real service, only against a double that enforces
//! what its documentation says (developer.atlassian.com, "Request").

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    api::{Api, Auth, Call, marked, marked_line, marker, remote, turns},
    fields::Fields,
    jira::SUMMARY,
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
    /// The id of the service desk.
    pub service_desk: String,
    /// The id of the request type.
    pub request_type: String,
    /// Further fields that the request type requires, by id.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Comments are for agents only; an account that is only a customer can write public ones alone.
    #[serde(default)]
    pub internal_comments: bool,
    /// The id of the transition that closes a request once all is over; a person closes it where not set.
    #[serde(default)]
    pub close_transition: Option<String>,
    /// The id of the transition that opens a closed request when it fails again; left alone where not set.
    #[serde(default)]
    pub reopen_transition: Option<String>,
    /// Names of statuses by which people say that nobody will mend it, e.g. `Declined`, in the account's language: a
    /// request that is done with one of these is final for the incident.
    #[serde(default)]
    pub declined_statuses: Vec<String>,
    /// How long the service may take; 20 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Plugin<dyn Desk> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Desk>, SettingsError> {
        let auth = Auth::Basic(self.email, http::secret("token_file", &parts.path(&self.token_file))?);
        Ok(Arc::new(Jsm {
            api: Api::new("Jira Service Management", &self.url, auth, self.timeout)?,
            service_desk: self.service_desk,
            request_type: self.request_type,
            fields: Fields::new(self.fields)?,
            close_transition: self.close_transition,
            reopen_transition: self.reopen_transition,
            declined_statuses: self.declined_statuses,
            internal_comments: self.internal_comments,
            environment: parts.environment.clone(),
        }))
    }
}

struct Jsm {
    api: Api,
    service_desk: String,
    request_type: String,
    fields: Fields,
    close_transition: Option<String>,
    reopen_transition: Option<String>,
    declined_statuses: Vec<String>,
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

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    values: Vec<T>,
    #[serde(default = "last")]
    is_last_page: bool,
}

fn last() -> bool {
    true
}

#[derive(Deserialize)]
struct Said {
    body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    current_status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    status_category: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Transitions {
    values: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
}

/// Lists are read a page at a time, and no more pages than these.
const PAGES: usize = 20;

fn receipt(key: String, detail: &str) -> Receipt {
    Receipt { detail: format!("request {key} {detail}"), remote: key }
}

#[async_trait]
impl Desk for Jsm {
    fn searchable(&self) -> bool {
        true
    }

    /// It takes 32,767, with what marks a comment.
    fn longest(&self) -> Option<usize> {
        Some(32_000)
    }

    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let mut fields = json!({
            "summary": marked_line(&ticket.subject, &ticket.key, SUMMARY),
            "description": ticket.body,
        });
        self.fields.fill(&mut fields, ticket, &self.environment)?;
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
        let query = [
            ("searchTerm", &*marker),
            ("serviceDeskId", &self.service_desk),
            ("requestOwnership", "ALL_REQUESTS"),
            ("requestStatus", "ALL_REQUESTS"),
        ];
        // The search is for words, and half of the marker is one of every ticket: only a summary that holds the whole
        // marker is the ticket.
        let ours = |request: &Request| {
            request.request_field_values.iter().any(|field| {
                field.field_id == "summary" && field.value.as_str().is_some_and(|text| text.contains(&marker))
            })
        };
        let found = self.look(&["rest", "servicedeskapi", "request"], &query, false, ours).await?;
        Ok(found.map(|request| receipt(request.issue_key, "found")))
    }

    async fn comment(&self, id: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let call = Call {
            effect: Effect::Once,
            method: Method::POST,
            path: &["rest", "servicedeskapi", "request", id, "comment"],
            body: Some(json!({ "body": marked(comment), "public": !self.internal_comments })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(receipt(id.to_owned(), "commented"))
    }

    async fn find_comment(&self, id: &str, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        let id = remote(self.api.who(), id)?;
        let (marker, path) = (marker(key), ["rest", "servicedeskapi", "request", id, "comment"]);
        let found = self.look(&path, &[], true, |said: &Said| said.body.contains(&marker)).await?;
        Ok(found.map(|_| receipt(id.to_owned(), "had the comment")))
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
        let path = &["rest", "servicedeskapi", "request", id, "transition"];
        let offered: Transitions =
            self.api.call(Call { path, of_ticket: true, ..Call::default() }).await?.json(self.api.who())?;
        if !offered.values.iter().any(|transition| transition.id == wanted) {
            return Err(DeliveryError::Permanent {
                why: format!("request {id} has no transition {wanted} from where it stands"),
            });
        }
        let call = Call {
            method: Method::POST,
            path,
            body: Some(json!({ "id": wanted })),
            of_ticket: true,
            ..Call::default()
        };
        self.api.call(call).await?;
        Ok(())
    }
}

impl Jsm {
    /// The first of a list that is ours.
    async fn look<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        of_ticket: bool,
        ours: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, DeliveryError> {
        let mut seen = 0;
        for _ in 0..PAGES {
            let start = seen.to_string();
            let query = [query, &[("start", &*start), ("limit", "50")]].concat();
            let call = Call { path, query: &query, of_ticket, ..Call::default() };
            let page: Page<T> = self.api.call(call).await?.json(self.api.who())?;
            let last = page.is_last_page || page.values.is_empty();
            seen += page.values.len();
            let found = page.values.into_iter().find(&ours);
            if found.is_some() || last {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn stands(&self, id: &str) -> Result<Standing, DeliveryError> {
        let path = &["rest", "servicedeskapi", "request", id];
        let call = Call { path, of_ticket: true, ..Call::default() };
        let shown: Shown = self.api.call(call).await?.json(self.api.who())?;
        let Status { status_category, status } = shown.current_status;
        Ok(match status_category.eq_ignore_ascii_case("done") {
            true if self.declined_statuses.contains(&status) => Standing::Declined,
            true => Standing::Closed,
            false => Standing::Open,
        })
    }
}
