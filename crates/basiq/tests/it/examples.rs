//! Every example in Basiq's OpenAPI files, served to the client as it stands.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::{
    documents::{Call, OPERATIONS, documents, ids_in, responses},
    server::{Reply, Server, token},
};

/// The examples of a response: those named, and the one that the schema's own examples make up.
fn examples(media: &Value) -> Vec<(String, Value)> {
    let mut all: Vec<_> = media["examples"].as_object().into_iter().flatten().collect();
    all.sort_by_key(|(name, _)| name.as_str());
    let mut all: Vec<_> =
        all.into_iter().map(|(name, example)| (name.clone(), example["value"].clone())).collect();
    if let Some(example) = media.get("example") {
        all.push(("example".into(), example.clone()));
    }
    if media.get("schema").is_some() {
        all.push(("schema".into(), from_schema(&media["schema"])));
    }
    all
}

/// What a schema's examples make up, as a mock makes it.
fn from_schema(schema: &Value) -> Value {
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(first) = schema["oneOf"].get(0) {
        return from_schema(first);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("array") => json!([from_schema(&schema["items"])]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some("string") => json!("string"),
        _ if schema.get("items").is_some() => json!([from_schema(&schema["items"])]),
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                properties
                    .filter(|(name, _)| *name != "next")
                    .map(|(name, schema)| (name.clone(), from_schema(schema)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

#[tokio::test]
async fn every_example_decodes_or_is_the_error_that_it_says() {
    let Some(documents) = documents() else { return };
    let reply = Arc::new(Mutex::new(Reply::Drop));
    let next = Arc::clone(&reply);
    let of_token = Arc::new(Mutex::new(None));
    let next_token = Arc::clone(&of_token);
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        "/token" => next_token.lock().unwrap().clone().unwrap_or_else(token),
        _ => next.lock().unwrap().clone(),
    })
    .await;
    let client = server.forgetful_client();
    let (mut answers, mut errors) = (0, 0);
    for operation in OPERATIONS {
        for (status, media) in responses(&documents[operation.file], &operation) {
            for (name, body) in examples(&media) {
                let text = Reply::Of(status, String::new(), body.to_string().into_bytes());
                match operation.call {
                    Call::Token => *of_token.lock().unwrap() = Some(text),
                    _ => *reply.lock().unwrap() = text,
                }
                let client = if operation.call == Call::Token { &server.forgetful_client() } else { &client };
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                let result = operation.call.ask(client).await;
                *of_token.lock().unwrap() = None;
                let what = format!("{} {} {status} {name}", operation.verb, operation.path);
                if status < 300 {
                    assert_eq!(result.as_ref(), Ok(&ids_in(&body, operation.call)), "{what}: {body}");
                    answers += 1;
                    continue;
                }
                let error = result.expect_err(&what);
                let expected = match (status, operation.call) {
                    (400 | 404, Call::Token) => "key_refused",
                    (500.., call) if is_write(call) => "outcome_unknown",
                    (400 | 409, _) => "refused",
                    (401, _) => "unauthorized",
                    (403, _) => "forbidden",
                    (404, _) => "not_found",
                    (429, _) => "throttled",
                    _ => "unavailable",
                };
                assert_eq!(error.kind.as_str(), expected, "{what}: {error}");
                assert_eq!(error.correlation_id.as_deref(), body["correlationId"].as_str(), "{what}");
                errors += 1;
            }
        }
    }
    // All were found: the documents hold that many today.
    assert!(answers >= 30 && errors >= 80, "{answers} answers, {errors} errors");
}

fn is_write(call: Call) -> bool {
    matches!(call, Call::Refresh | Call::Subscribe | Call::Update | Call::Unsubscribe)
}

#[tokio::test]
async fn the_examples_of_jobs_mean_what_their_names_say() {
    use basiq::{Method, Scenario, job, scenario};
    let Some(documents) = documents() else { return };
    let operation = OPERATIONS.iter().find(|operation| operation.call == Call::Job).unwrap();
    let responses = responses(&documents[operation.file], operation);
    let (_, media) = responses.iter().find(|(status, _)| *status == 200).unwrap();
    let mut seen = 0;
    for (name, body) in examples(media).into_iter().filter(|(name, _)| name != "schema") {
        let text = body.to_string();
        let server = Server::with_token(move |_| crate::server::json(200, &text)).await;
        let found = server.client().job("j1", basiq::Priority::Routine).await.unwrap();
        let outcome = job::outcome(&found);
        match name.rsplit('-').next().unwrap() {
            "progress" => assert_eq!(outcome, job::Outcome::Running, "{name}"),
            "success" => assert_eq!(outcome, job::Outcome::Succeeded, "{name}"),
            _ => assert!(matches!(outcome, job::Outcome::Failed(_)), "{name}"),
        }
        let kind = match name.as_str() {
            name if name.starts_with("Report") => job::Kind::Report,
            // Only its code tells it from a connection's.
            "statement-failed" => job::Kind::Statement,
            _ => job::Kind::Connection,
        };
        assert_eq!(job::kind(&found), kind, "{name}");
        assert!(found.created.is_some() && found.updated.is_some(), "{name}");
        let named = text_of(&body["links"]["source"]).contains("/connections/");
        assert_eq!(job::connection_id(&found).is_some(), named, "{name}");
        if let job::Outcome::Failed(step) = outcome {
            let classified = scenario::classify(&step.title, step.code(), step.detail(), Method::Other);
            let expected = match name.as_str() {
                "data-failed" => Scenario::ReauthorisationRequired,
                "Mygov-failed" => Scenario::InvalidCredentials,
                _ => Scenario::Unknown,
            };
            assert_eq!(classified, expected, "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 12);
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_code_of_the_schemas_is_known() {
    let Some(documents) = documents() else { return };
    let operation = OPERATIONS.iter().find(|operation| operation.call == Call::Jobs).unwrap();
    let responses = responses(&documents[operation.file], operation);
    let (_, media) = responses.iter().find(|(status, _)| *status == 200).unwrap();
    let result = &media["schema"]["properties"]["data"]["items"]["properties"]["steps"]["items"]["properties"]
        ["result"];
    let codes = result["properties"]["code"]["enum"].as_array().unwrap();
    assert!(codes.len() > 20);
    for code in codes {
        assert!(basiq::scenario::is_known_code(text_of(code)), "{code}");
    }
}
