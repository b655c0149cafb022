//! Basiq's OpenAPI files as the judge of what the sandbox answers.
//!
//! Every response that a test of this crate reads through [`crate::support::Basiq`] is checked, unless the test broke it on
//! purpose. What the files do not allow but Basiq's prose demands is listed in `openapi-allowed.txt`, with the page.
//! The files are no part of the repository: they are read from `../shared/basiq` beside it. Where they are absent, that is
//! said loudly and nothing is checked; with `CI=true` it is a failure.

use std::{path::Path, sync::LazyLock};

use serde_json::Value;

/// The three files; nothing where they are absent.
static FILES: LazyLock<Option<Vec<Value>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/basiq");
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).ok().map(|text| serde_json::from_str(&text).unwrap())
    };
    let files: Option<Vec<Value>> =
        ["core.json", "data.json", "webhooks.json"].into_iter().map(read).collect();
    if files.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "Basiq's OpenAPI files are not in {}",
            folder.display()
        );
        eprintln!(
            "NOT CHECKED: Basiq's OpenAPI files are not in {}: responses are not validated",
            folder.display()
        );
    }
    files
});

/// What is allowed beyond the files: the violation, and the page that demands it.
static ALLOWED: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines =
        include_str!("openapi-allowed.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            line.split_once(" | ").unwrap_or_else(|| panic!("openapi-allowed.txt: no page given: {line}"))
        })
        .collect()
});

/// The committed list: violation and page.
pub(crate) fn allowed() -> &'static [(&'static str, &'static str)] {
    &ALLOWED
}

/// Panics if a response is none that Basiq's files or prose allow.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &Value) {
    for found in violations(method, path, status, body) {
        let allowed = ALLOWED.iter().any(|(violation, _)| *violation == found);
        assert!(
            allowed,
            "not allowed by Basiq's OpenAPI files nor by openapi-allowed.txt: {found}\n{method} {path} {status}: {body}"
        );
    }
}

/// How a response violates the files, array indices left out.
pub(crate) fn violations(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
    let Some(files) = &*FILES else { return Vec::new() };
    let path = path.split('?').next().unwrap_or_default();
    let Some((file, template, operation)) = files.iter().find_map(|file| find(file, method, path)) else {
        return vec![format!("{method} {path}: no such operation")];
    };
    let at = format!("{method} {template} {status}");
    let declared = resolve(file, &operation["responses"][status.to_string()]);
    if declared.is_null() {
        return vec![format!("{at} undeclared")];
    }
    let schema = &declared["content"]["application/json"]["schema"];
    let mut found = Vec::new();
    if schema.is_null() {
        if *body != Value::String(String::new()) {
            found.push(format!("{at} body undeclared"));
        }
    } else {
        validate(file, schema, body, &mut String::from("$"), &mut |pointer, what| {
            found.push(format!("{at} {pointer} {what}"))
        });
    }
    found.sort();
    found.dedup();
    found
}

fn find<'a>(file: &'a Value, method: &str, path: &str) -> Option<(&'a Value, &'a str, &'a Value)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.trim_matches('/').split('/').collect();
        wanted.len() == parts.len()
            && wanted.iter().zip(&parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
    };
    let operations = file["paths"].as_object()?.iter().filter(|(template, _)| fits(template));
    // `/events/types` before `/events/{id}`.
    let (template, operations) = operations.min_by_key(|(template, _)| template.matches('{').count())?;
    let operation = operations.get(method.to_lowercase())?;
    Some((file, template, operation))
}

fn resolve<'a>(file: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            resolve(file, file.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null))
        }
        None => schema,
    }
}

fn validate(
    file: &Value,
    schema: &Value,
    value: &Value,
    pointer: &mut String,
    report: &mut dyn FnMut(&str, &str),
) {
    let schema = resolve(file, schema);
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if let Some(options) = schema["oneOf"].as_array() {
        let matching = options.iter().filter(|option| {
            let mut fits = true;
            validate(file, option, value, &mut pointer.clone(), &mut |_, _| fits = false);
            fits
        });
        match matching.count() {
            0 => report(pointer, "fits none of oneOf"),
            1 => {}
            _ => report(pointer, "fits several of oneOf"),
        }
    }
    let kind_fits = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("the validator does not know the type {other}"),
    };
    if !kind_fits {
        return report(pointer, "type");
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        report(pointer, &format!("enum {value}"));
    }
    if let Some(text) = value.as_str() {
        validate_text(schema, text, pointer, report);
    }
    let length = pointer.len();
    if let Some(fields) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(required) {
                report(pointer, &format!("lacks {required}"));
            }
        }
        for (name, field) in fields {
            let of_field = &schema["properties"][name];
            if !of_field.is_null() {
                pointer.push('.');
                pointer.push_str(name);
                validate(file, of_field, field, pointer, report);
                pointer.truncate(length);
            }
        }
    }
    for item in value.as_array().into_iter().flatten() {
        pointer.push_str("[]");
        validate(file, &schema["items"], item, pointer, report);
        pointer.truncate(length);
    }
}

fn validate_text(schema: &Value, text: &str, pointer: &str, report: &mut dyn FnMut(&str, &str)) {
    let fits = match schema["format"].as_str() {
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        Some("email") => text.contains('@'),
        Some("uuid") => {
            text.len() == 36
                && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
                && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
        }
        None => true,
        Some(other) => panic!("the validator does not know the format {other}"),
    };
    if !fits {
        report(pointer, "format");
    }
    match schema["pattern"].as_str() {
        None => {}
        Some("^[A-Z]{2}[0-9]{5}$") => {
            let bytes = text.as_bytes();
            let letters = bytes.iter().take(2).all(u8::is_ascii_uppercase);
            let fits = bytes.len() == 7 && letters && bytes[2..].iter().all(u8::is_ascii_digit);
            if !fits {
                report(pointer, "pattern");
            }
        }
        Some(other) => panic!("the validator does not know the pattern {other}"),
    }
}

#[test]
fn the_validator_finds_what_is_wrong() {
    if FILES.is_none() {
        return;
    }
    let job = serde_json::json!({"type": "list", "size": "1", "links": {"self": ""}, "data": [{"id": "a", "created": 5, "updated": "", "institution": {"id": "", "type": ""}, "steps": [{"status": "odd", "result": {}}]}]});
    assert_eq!(
        violations("GET", "/users/u/jobs?filter=x", 200, &job),
        [
            "GET /users/{userId}/jobs 200 $.data[].created type",
            "GET /users/{userId}/jobs 200 $.data[].institution lacks links",
            "GET /users/{userId}/jobs 200 $.data[].steps[].status enum \"odd\"",
            "GET /users/{userId}/jobs 200 $.size type",
        ]
    );
    assert_eq!(violations("GET", "/users/u/jobs", 429, &job), ["GET /users/{userId}/jobs 429 undeclared"]);
    assert_eq!(violations("GET", "/nowhere", 200, &job), ["GET /nowhere: no such operation"]);
    assert_eq!(
        violations("GET", "/events/types", 200, &serde_json::json!({"count": "x"})),
        ["GET /events/types 200 $.count type"]
    );
}
