//! Basiq's OpenAPI files, read where they stand beside the repository, and what of them the client uses.

use std::{collections::BTreeMap, path::Path};

use basiq::{Client, ConnectorFilter, Error, EventFilter, NewSubscription, Priority};
use serde_json::Value;

const P: Priority = Priority::Routine;

/// The documents by file name, or `None` where they are absent: loud, and a failure in CI.
pub(crate) fn documents() -> Option<BTreeMap<&'static str, Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/basiq");
    if !folder.is_dir() {
        let text = "Basiq's OpenAPI files are absent (../shared/basiq beside the repository): NOT TESTED";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        eprintln!("\n*** {text} ***\n");
        return None;
    }
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    Some(["core.json", "data.json", "webhooks.json"].into_iter().map(|name| (name, read(name))).collect())
}

/// An operation that the client uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) file: &'static str,
    pub(crate) path: &'static str,
    pub(crate) verb: &'static str,
    pub(crate) call: Call,
}

/// What the client does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Token,
    User,
    Jobs,
    Job,
    Connections,
    Refresh,
    Connectors,
    Events,
    Event,
    Subscriptions,
    Subscribe,
    Update,
    Unsubscribe,
    Messages,
}

pub(crate) const OPERATIONS: [Operation; 14] = {
    const fn of(file: &'static str, verb: &'static str, path: &'static str, call: Call) -> Operation {
        Operation { file, path, verb, call }
    }
    [
        of("core.json", "post", "/token", Call::Token),
        of("core.json", "get", "/users/{userId}", Call::User),
        of("core.json", "get", "/users/{userId}/jobs", Call::Jobs),
        of("core.json", "get", "/jobs/{jobId}", Call::Job),
        of("data.json", "get", "/users/{userId}/connections", Call::Connections),
        of("data.json", "post", "/users/{userId}/connections/{connectionId}/refresh", Call::Refresh),
        of("data.json", "get", "/connectors", Call::Connectors),
        of("core.json", "get", "/events", Call::Events),
        of("core.json", "get", "/events/{id}", Call::Event),
        of("webhooks.json", "get", "/notifications/webhooks", Call::Subscriptions),
        of("webhooks.json", "post", "/notifications/webhooks", Call::Subscribe),
        of("webhooks.json", "post", "/notifications/webhooks/{webhookId}", Call::Update),
        of("webhooks.json", "delete", "/notifications/webhooks/{webhookId}", Call::Unsubscribe),
        of("webhooks.json", "get", "/notifications/webhooks/{webhookId}/messages", Call::Messages),
    ]
};

impl Call {
    /// Asks, and returns the ids that were decoded.
    pub(crate) async fn ask(self, client: &Client) -> Result<Vec<String>, Error> {
        let new = NewSubscription::default();
        let one = |id: String| vec![id];
        Ok(match self {
            Self::Token => client.check_key().await.map(|()| Vec::new())?,
            Self::User => one(client.user("u1", P).await?.id),
            Self::Jobs => client.jobs("u1", None, P).await?.into_iter().map(|job| job.id).collect(),
            Self::Job => one(client.job("j1", P).await?.id),
            Self::Connections => {
                client.connections("u1", None, P).await?.into_iter().map(|connection| connection.id).collect()
            }
            Self::Refresh => one(client.refresh("u1", "c1", P).await?.job().id.clone()),
            Self::Connectors => {
                let all = client.connectors(&ConnectorFilter::default(), P).await?;
                all.into_iter().map(|connector| connector.id).collect()
            }
            Self::Events => {
                client.events(&EventFilter::default(), P).await?.into_iter().map(|event| event.id).collect()
            }
            Self::Event => one(client.event("e1", P).await?.id),
            Self::Subscriptions => client.subscriptions(P).await?.into_iter().map(|hook| hook.id).collect(),
            Self::Subscribe => one(client.subscribe(&new, P).await?.id),
            Self::Update => one(client.update_subscription("w1", &new, P).await?.id),
            Self::Unsubscribe => client.unsubscribe("w1", P).await.map(|()| Vec::new())?,
            Self::Messages => client.messages("w1", P).await?.into_iter().map(|message| message.id).collect(),
        })
    }
}

/// The ids that a body has where the client looks for them.
pub(crate) fn ids_in(body: &Value, call: Call) -> Vec<String> {
    let id = |value: &Value| value["id"].as_str().unwrap_or_default().chars().take(1024).collect::<String>();
    match (call, &body["data"]) {
        (Call::Token | Call::Unsubscribe, _) => vec![],
        (Call::Jobs | Call::Connections | Call::Connectors | Call::Events, data)
        | (Call::Subscriptions | Call::Messages, data) => match data {
            Value::Array(entries) => entries.iter().map(id).collect(),
            Value::Null => vec![],
            one => vec![id(one)],
        },
        // Where the schema lets the id be absent, the one that was asked for stands.
        (Call::Job, _) if id(body).is_empty() => vec!["j1".into()],
        (Call::Event, _) if id(body).is_empty() => vec!["e1".into()],
        _ => vec![id(body)],
    }
}

/// A node with its references replaced by what they refer to.
pub(crate) fn resolved(document: &Value, node: &Value) -> Value {
    match node {
        Value::Object(map) => match map.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let target = document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference}"));
                resolved(document, target)
            }
            None => map.iter().map(|(key, value)| (key.clone(), resolved(document, value))).collect(),
        },
        Value::Array(values) => values.iter().map(|value| resolved(document, value)).collect(),
        other => other.clone(),
    }
}

/// The responses of an operation: status and JSON media type (schema, examples).
pub(crate) fn responses(document: &Value, operation: &Operation) -> Vec<(u16, Value)> {
    let node = &document["paths"][operation.path][operation.verb]["responses"];
    let node = resolved(document, node);
    let responses = node.as_object().unwrap_or_else(|| panic!("no {operation:?} in the documents"));
    responses
        .iter()
        .map(|(status, response)| (status.parse().unwrap(), response["content"]["application/json"].clone()))
        .collect()
}
