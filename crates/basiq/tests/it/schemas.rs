//! Any valid instance of the schemas decodes: instances are generated from Basiq's OpenAPI files.

use std::sync::{Arc, Mutex};

use proptest::{
    prelude::*,
    strategy::Union,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::{
    documents::{Call, OPERATIONS, documents, ids_in, responses},
    server::{Reply, Server, token},
};

/// How deep objects within objects are generated; deeper ones are empty.
const DEPTH: u32 = 7;

/// How many cases an operation gets: 32, or an eighth of `PROPTEST_CASES`.
fn cases() -> u32 {
    Config::default().cases.div_ceil(8)
}

fn instances(schema: &Value, depth: u32) -> BoxedStrategy<Value> {
    let strategy = bare_instances(schema, depth);
    match schema["nullable"].as_bool() {
        Some(true) => prop_oneof![4 => strategy, 1 => Just(Value::Null)].boxed(),
        _ => strategy,
    }
}

fn bare_instances(schema: &Value, depth: u32) -> BoxedStrategy<Value> {
    if let Some(variants) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return Union::new(variants.iter().map(|variant| instances(variant, depth))).boxed();
    }
    if let Some(values) = schema["enum"].as_array() {
        return proptest::sample::select(values.clone()).boxed();
    }
    let array = schema.get("items").is_some();
    match schema["type"].as_str() {
        Some("string") => texts(schema),
        Some("integer") => any::<i64>().prop_map(|number| json!(number)).boxed(),
        Some("number") => any::<i32>().prop_map(|number| json!(f64::from(number) / 8.0)).boxed(),
        Some("boolean") => any::<bool>().prop_map(|value| json!(value)).boxed(),
        Some("array") | None if array && depth > 0 => {
            proptest::collection::vec(instances(&schema["items"], depth - 1), 0..3)
                .prop_map(Value::from)
                .boxed()
        }
        Some("array") => Just(json!([])).boxed(),
        None if schema.get("properties").is_none() => anything(),
        _ => objects(schema, depth),
    }
}

fn objects(schema: &Value, depth: u32) -> BoxedStrategy<Value> {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut properties: Vec<BoxedStrategy<Option<(String, Value)>>> = Vec::new();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if depth == 0 && !required.contains(&name.as_str()) {
            continue;
        }
        let name = name.clone();
        // A page that leads on is another test; what it leads to must be this server.
        let value = if name == "next" {
            Just(json!("?page=2")).boxed()
        } else {
            instances(schema, depth.saturating_sub(1))
        };
        let pair = value.prop_map({
            let name = name.clone();
            move |value| (name.clone(), value)
        });
        properties.push(match required.contains(&name.as_str()) {
            true => pair.prop_map(Some).boxed(),
            false => proptest::option::of(pair).boxed(),
        });
    }
    // The schemas forbid no further properties.
    let further = proptest::option::weighted(0.2, ("x-[a-z]{1,8}", anything()));
    (properties, further)
        .prop_map(|(properties, further)| {
            Value::Object(properties.into_iter().flatten().chain(further).collect::<Map<_, _>>())
        })
        .boxed()
}

fn texts(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(pattern) = schema["pattern"].as_str() {
        let inner = pattern.trim_start_matches('^').trim_end_matches('$');
        return proptest::string::string_regex(inner).unwrap().prop_map(Value::from).boxed();
    }
    match schema["format"].as_str() {
        Some("date-time") => (0i64..4_000_000_000)
            .prop_map(|seconds| json!(daemon::Timestamp::from_second(seconds).unwrap().to_string()))
            .boxed(),
        _ => prop_oneof![8 => ".{0,20}", 1 => "[a-z]{1000,3000}", 1 => "20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:00:00Z"]
            .prop_map(Value::from)
            .boxed(),
    }
}

fn anything() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!([{"a": [1, "b", null]}, 2])),
        Just(json!({"a": {"b": []}})),
    ]
    .boxed()
}

#[test]
fn any_valid_instance_decodes() {
    let Some(documents) = documents() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let body = Arc::new(Mutex::new(String::new()));
    let next = Arc::clone(&body);
    let server = runtime.block_on(Server::start(move |asked, _| match asked.path.as_str() {
        "/token" => token(),
        path if path.contains("page=2") => crate::server::json(200, r#"{"type":"list","data":[]}"#),
        _ => crate::server::json(200, &*next.lock().unwrap()),
    }));
    let client = server.client();
    let mut operations = 0;
    for operation in OPERATIONS {
        // A token and an answer without a body have tests of their own.
        if matches!(operation.call, Call::Token | Call::Unsubscribe) {
            continue;
        }
        let responses = responses(&documents[operation.file], &operation);
        let (_, media) = responses.into_iter().find(|(status, _)| *status < 300).unwrap();
        let mut runner =
            TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
        let result = runner.run(&instances(&media["schema"], DEPTH), |instance| {
            *body.lock().unwrap() = instance.to_string();
            let ids = runtime.block_on(operation.call.ask(&client));
            prop_assert_eq!(ids, Ok(ids_in(&instance, operation.call)));
            Ok(())
        });
        result.unwrap_or_else(|failure| panic!("{operation:?}: {failure}"));
        operations += 1;
    }
    assert_eq!(operations, 12);
}

#[test]
fn any_bytes_give_a_value_or_an_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let body = Arc::new(Mutex::new((0, Vec::new())));
    let next = Arc::clone(&body);
    let server = runtime.block_on(Server::start(move |asked, _| {
        let (status, body) = next.lock().unwrap().clone();
        match asked.path.as_str() {
            "/token" => token(),
            _ if status == 1 => Reply::Raw(body),
            _ => Reply::Of(status, String::new(), body),
        }
    }));
    let client = server.forgetful_client();
    let near_json = r#"\{"(data|id|steps|links|error)":(\[|\{|"|null|[0-9]{1,30}|-|1e999)\PC{0,60}"#;
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        near_json.prop_map(String::into_bytes),
        (1usize..100_000).prop_map(|depth| [b"{\"data\":".to_vec(), vec![b'['; depth]].concat()),
    ];
    // 1: the bytes are the whole of the connection, status line and all.
    let statuses = proptest::sample::select(vec![1u16, 200, 202, 400, 401, 403, 404, 429, 500]);
    let mut runner =
        TestRunner::new(Config { cases: cases() * 8, failure_persistence: None, ..Config::default() });
    let case = (statuses, bytes, 1..OPERATIONS.len());
    let result = runner.run(&case, |(status, bytes, operation)| {
        *body.lock().unwrap() = (status, bytes.clone());
        let call = OPERATIONS[operation].call;
        let result = runtime.block_on(async {
            tokio::time::timeout(std::time::Duration::from_secs(20), call.ask(&client)).await
        });
        let result = result.map_err(|_| TestCaseError::fail("stuck"))?;
        if let Err(error) = &result {
            prop_assert!(error.to_string().len() < 500, "{}", error);
        }
        if status > 202 {
            prop_assert!(result.is_err());
        }
        Ok(())
    });
    result.unwrap();
}
