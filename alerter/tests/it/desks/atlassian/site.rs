//! The double: Jira and its service desk on one site, with issues that keep what was written to them.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use daemon::{Clock, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{
    http::{AsyncHandler, Said, parts},
    web::Got,
};

pub(super) const EMAIL: &str = "robot@partner.example";
pub(super) const TOKEN: &str = "t0ken-5ecret";
pub(super) const CLOSE: &str = "31";
pub(super) const REOPEN: &str = "11";
/// "Seconds to minutes": less than the alerter waits before it searches.
const LAG: SignedDuration = SignedDuration::from_mins(4);

#[derive(Clone)]
pub(super) struct Issue {
    pub(super) key: String,
    pub(super) fields: Value,
    pub(super) comments: Vec<(Value, bool)>,
    pub(super) done: bool,
    /// Done as what nobody will mend.
    pub(super) declined: bool,
    created: Timestamp,
}

pub(super) struct Site {
    pub(super) issues: Mutex<Vec<Issue>>,
    pub(super) clock: Clock,
}

/// The most characters that a description or a comment may have.
const LONGEST: usize = 32_767;

/// Every text of an Atlassian document, or why it is none. That what surrounds the text counts as well is the strictest
/// reading of the limit.
fn document(node: &Value) -> Result<String, &'static str> {
    if node.to_string().chars().count() > LONGEST {
        return Err("The entered text is too long. It exceeds the allowed limit of 32,767 characters.");
    }
    if node["type"] != "doc" || node["version"] != 1 {
        return Err("INVALID_INPUT: not a document of version 1");
    }
    inside(node)
}

pub(super) fn inside(node: &Value) -> Result<String, &'static str> {
    let mut text = String::new();
    for child in node["content"].as_array().ok_or("INVALID_INPUT: no content")? {
        match child["type"].as_str() {
            Some("paragraph") => text.push_str(&format!("{}\n\n", inside(child)?)),
            Some("hardBreak") => text.push('\n'),
            Some("text") => match child["text"].as_str() {
                Some("") | None => return Err("INVALID_INPUT: an empty text"),
                Some(words) => text.push_str(words),
            },
            _ => return Err("INVALID_INPUT: an unknown node"),
        }
    }
    Ok(text)
}

fn wrong(field: &str, why: &str) -> Said {
    Said::json(400, &json!({ "errorMessages": [], "errors": { field: why } }))
}

impl AsyncHandler for Arc<Site> {
    async fn answer(&self, got: Got) -> Said {
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{EMAIL}:{TOKEN}")));
        if got.header("authorization") != Some(&expected) {
            return Said::empty(401);
        }
        let (path, query) = parts(&got);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (method, _) = got.target();
        if matches!(method, "POST" | "PUT") && got.header("content-type") != Some("application/json") {
            return Said::empty(415);
        }
        match (method, &path[..]) {
            ("POST", ["rest", "api", "3", "issue"]) => self.create(&got.json()["fields"]),
            ("GET" | "POST", ["rest", "api", "3", "search"]) => Said::empty(410),
            ("POST", ["rest", "api", "3", "search", "jql"]) => self.search(&got.json()),
            (method, ["rest", "api", "3", "issue", key, rest @ ..]) => {
                let body = (method == "POST").then(|| got.json());
                self.of_issue(key, method, rest, body.as_ref())
            }
            ("POST", ["rest", "servicedeskapi", "request"]) => self.request(&got.json()),
            ("GET", ["rest", "servicedeskapi", "request"]) => self.search_requests(&query),
            (method, ["rest", "servicedeskapi", "request", key, rest @ ..]) => {
                let body = (method == "POST").then(|| got.json());
                self.of_request(key, method, rest, body.as_ref(), &query)
            }
            _ => Said::empty(404),
        }
    }
}

impl Site {
    fn add(&self, fields: Value) -> String {
        let mut issues = self.issues.lock().unwrap();
        let key = format!("BANK-{}", issues.len() + 1);
        let created = self.clock.now();
        issues.push(Issue {
            key: key.clone(),
            fields,
            comments: Vec::new(),
            done: false,
            declined: false,
            created,
        });
        key
    }

    fn create(&self, fields: &Value) -> Said {
        if fields["project"]["key"] != "BANK" {
            return wrong("project", "valid project is required");
        }
        if fields["issuetype"]["name"] != "Incident" {
            return wrong("issuetype", "Specify a valid issue type");
        }
        match fields["summary"].as_str() {
            None | Some("") => return wrong("summary", "You must specify a summary of the issue."),
            Some(text) if text.contains('\n') || text.chars().count() > 255 => {
                return wrong("summary", "The summary is invalid because it contains newline characters.");
            }
            Some(_) => {}
        }
        if let Err(why) = document(&fields["description"]) {
            return wrong("description", why);
        }
        let labels = fields["labels"].as_array().cloned().unwrap_or_default();
        if labels.iter().any(|label| label.as_str().is_none_or(|label| label.contains(' '))) {
            return wrong("labels", "The label can't contain spaces.");
        }
        let priorities = ["Highest", "High", "Medium", "Low", "Lowest"];
        if !fields["priority"]["name"].as_str().is_some_and(|name| priorities.contains(&name)) {
            return wrong("priority", "The priority selected is invalid.");
        }
        if !["Bank A", "Other"].contains(&fields["customfield_10010"]["value"].as_str().unwrap_or_default()) {
            return wrong("customfield_10010", "Bank is required.");
        }
        let key = self.add(fields.clone());
        Said::json(201, &json!({ "id": "10001", "key": key, "self": "x" }))
    }

    fn search(&self, body: &Value) -> Said {
        let jql = body["jql"].as_str().unwrap_or_default();
        let asked = jql
            .strip_prefix("project = \"BANK\" AND labels = \"")
            .and_then(|rest| rest.strip_suffix("\" ORDER BY created ASC"));
        let Some(label) = asked.filter(|label| !label.contains('"')) else {
            return Said::json(400, &json!({ "errorMessages": ["Error in the JQL Query"] }));
        };
        let now = self.clock.now();
        let issues = self.issues.lock().unwrap();
        let fits = |issue: &&Issue| {
            let labels = issue.fields["labels"].as_array().cloned().unwrap_or_default();
            labels.contains(&json!(label)) && now.duration_since(issue.created) >= LAG
        };
        let found: Vec<Value> = issues.iter().filter(fits).map(|issue| json!({ "key": issue.key })).collect();
        Said::json(200, &json!({ "issues": found, "isLast": true }))
    }

    pub(super) fn with<T>(&self, key: &str, then: impl FnOnce(&mut Issue) -> T) -> Option<T> {
        self.issues.lock().unwrap().iter_mut().find(|issue| issue.key == key).map(then)
    }

    fn of_issue(&self, key: &str, method: &str, rest: &[&str], body: Option<&Value>) -> Said {
        let said = self.with(key, |issue| match (method, rest, body) {
            ("GET", [], _) => {
                let category = if issue.done { "done" } else { "new" };
                let resolution = if issue.declined { json!({ "id": "10001" }) } else { Value::Null };
                let status = json!({ "statusCategory": { "key": category } });
                Said::json(200, &json!({ "fields": { "status": status, "resolution": resolution } }))
            }
            ("GET", ["comment"], _) => {
                let comments: Vec<Value> =
                    issue.comments.iter().rev().map(|(body, _)| json!({ "body": body })).collect();
                Said::json(200, &json!({ "comments": comments, "total": comments.len() }))
            }
            ("POST", ["comment"], Some(body)) => match document(&body["body"]) {
                Err(why) => wrong("comment", why),
                Ok(_) => {
                    issue.comments.push((body["body"].clone(), false));
                    Said::json(201, &json!({ "id": "1" }))
                }
            },
            ("GET", ["transitions"], _) => {
                let id = if issue.done { REOPEN } else { CLOSE };
                Said::json(200, &json!({ "transitions": [{ "id": id, "name": "Erledigt" }] }))
            }
            ("POST", ["transitions"], Some(body)) => turn(issue, &body["transition"]["id"]),
            _ => Said::empty(405),
        });
        said.unwrap_or_else(|| Said::empty(404))
    }

    fn request(&self, body: &Value) -> Said {
        if body["serviceDeskId"] != "7" || body["requestTypeId"] != "11" {
            return Said::empty(400);
        }
        let fields = body["requestFieldValues"].as_object().cloned().unwrap_or_default();
        for name in ["summary", "description", "customfield_2"] {
            let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
            if text.is_empty() || text.chars().count() > LONGEST {
                return Said::json(
                    400,
                    &json!({ "errorMessage": format!("{name} is required, or too long.") }),
                );
            }
        }
        if fields.len() != 3 {
            return Said::json(400, &json!({ "errorMessage": "a field is not of the request type" }));
        }
        let key = self.add(Value::Object(fields));
        Said::json(201, &json!({ "issueId": "107001", "issueKey": key, "serviceDeskId": "7" }))
    }

    fn search_requests(&self, query: &[(String, String)]) -> Said {
        let asked = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let (Some(term), Some("7"), Some("ALL_REQUESTS")) =
            (asked("searchTerm"), asked("serviceDeskId"), asked("requestStatus"))
        else {
            return Said::empty(400);
        };
        let now = self.clock.now();
        let issues = self.issues.lock().unwrap();
        // A search for words: any part of the term, in any place.
        let fits = |issue: &&Issue| {
            let summary = issue.fields["summary"].as_str().unwrap_or_default();
            term.split('-').any(|word| summary.contains(word)) && now.duration_since(issue.created) >= LAG
        };
        let shown = |issue: &Issue| {
            json!({
                "issueKey": issue.key,
                "requestFieldValues": [
                    { "fieldId": "summary", "label": "Summary", "value": issue.fields["summary"] },
                ],
            })
        };
        let start = asked("start").and_then(|start| start.parse().ok()).unwrap_or(0);
        let mut rest = issues.iter().filter(fits).skip(start);
        let values: Vec<Value> = rest.by_ref().take(50).map(shown).collect();
        let last = rest.next().is_none();
        Said::json(
            200,
            &json!({ "size": values.len(), "start": start, "isLastPage": last, "values": values }),
        )
    }

    fn of_request(
        &self,
        key: &str,
        method: &str,
        rest: &[&str],
        body: Option<&Value>,
        query: &[(String, String)],
    ) -> Said {
        let number = |name: &str| {
            query.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let said = self.with(key, |issue| match (method, rest, body) {
            ("GET", [], _) => {
                let category = if issue.done { "DONE" } else { "NEW" };
                let status = if issue.declined { "Abgelehnt" } else { "Erledigt" };
                let current = json!({ "status": status, "statusCategory": category });
                Said::json(200, &json!({ "currentStatus": current }))
            }
            ("GET", ["comment"], _) => {
                // Small pages, oldest first, whatever limit was asked for.
                let start = number("start").unwrap_or(0).min(issue.comments.len());
                let page: Vec<Value> = issue.comments[start..]
                    .iter()
                    .take(50)
                    .map(|(body, _)| json!({ "body": body }))
                    .collect();
                let last = start + page.len() == issue.comments.len();
                Said::json(200, &json!({ "values": page, "isLastPage": last }))
            }
            ("POST", ["comment"], Some(body)) => match (&body["body"], &body["public"]) {
                (Value::String(text), Value::Bool(public))
                    if !text.is_empty() && text.chars().count() <= LONGEST =>
                {
                    issue.comments.push((json!(text), *public));
                    Said::json(201, &json!({ "id": "1" }))
                }
                _ => Said::empty(400),
            },
            ("GET", ["transition"], _) => {
                let id = if issue.done { REOPEN } else { CLOSE };
                Said::json(200, &json!({ "values": [{ "id": id, "name": "Erledigt" }] }))
            }
            ("POST", ["transition"], Some(body)) => turn(issue, &body["id"]),
            _ => Said::empty(405),
        });
        said.unwrap_or_else(|| Said::empty(404))
    }
}

fn turn(issue: &mut Issue, id: &Value) -> Said {
    if *id != json!(if issue.done { REOPEN } else { CLOSE }) {
        return Said::json(400, &json!({ "errorMessages": ["It isn't possible to move it that way."] }));
    }
    issue.done = !issue.done;
    Said::empty(204)
}
