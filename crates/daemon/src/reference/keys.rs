//! The keys of a configuration file, section by section, from a JSON Schema without references.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::cell;

/// A section that is still to be written: path, meaning, schema.
type Section<'a> = (String, String, &'a Map<String, Value>);

/// Writes the root's keys and every section below it, parents first.
pub(super) fn sections(out: &mut String, root: &Value) {
    let Some(root) = root.as_object() else { return };
    let mut waiting: Vec<Section<'_>> = vec![(String::new(), String::new(), root)];
    while let Some((path, meaning, schema)) = waiting.pop() {
        let mut below = section(out, &path, &meaning, schema);
        below.reverse();
        waiting.append(&mut below);
    }
}

fn section<'a>(
    out: &mut String,
    path: &str,
    meaning: &str,
    schema: &'a Map<String, Value>,
) -> Vec<Section<'a>> {
    if !path.is_empty() {
        let _ = write!(out, "\n### `{path}`\n\n{}\n", cell(meaning));
    }
    let mut below = Vec::new();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return below };
    let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    let mut rows = String::new();
    for (key, value) in properties {
        let Some(value) = value.as_object() else { continue };
        let meaning = text(value, "description");
        let inner = without_null(value);
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (of, suffix) = match inner.get("items").and_then(Value::as_object) {
            Some(items) => (without_null(items), "[]"),
            None => (inner, ""),
        };
        if of.get("properties").is_some_and(Value::is_object) {
            below.push((format!("{full}{suffix}"), meaning.to_owned(), of));
        }
        for (name, alternative) in alternatives(of) {
            let about = text(alternative, "description");
            below.push((format!("{full}{suffix}.{name}"), about.to_owned(), alternative));
        }
        let default = match value.get("default") {
            None if required.contains(&key.as_str()) => "required".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if !text.is_empty() => format!("`{text}`"),
            Some(Value::Array(list)) if list.is_empty() => String::new(),
            Some(Value::Object(map)) if map.is_empty() => String::new(),
            Some(other) => format!("`{other}`"),
        };
        let _ = writeln!(rows, "| `{key}` | {} | {default} | {} |", kind(inner), cell(meaning));
    }
    if rows.is_empty() {
        out.push_str("\nNothing to set.\n");
    } else {
        let _ = write!(out, "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}");
    }
    below
}

/// The type of a value, in words.
fn kind(schema: &Map<String, Value>) -> String {
    let words: Vec<String> = list(schema, "enum")
        .filter_map(Value::as_str)
        .chain(list(schema, "oneOf").filter_map(|one| one.get("const")?.as_str()))
        .chain(list(schema, "oneOf").flat_map(|one| {
            one.as_object().into_iter().flat_map(|one| list(one, "enum")).filter_map(Value::as_str)
        }))
        .map(|word| format!("`{word}`"))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    if alternatives(schema).next().is_some() {
        return "one section".to_owned();
    }
    if text(schema, "format") == "duration" {
        return "duration".to_owned();
    }
    let of = |name: &str| schema.get(name).and_then(Value::as_object).map(without_null).map(kind);
    match type_of(schema) {
        "array" => format!("list of {}", plural(&of("items").unwrap_or_default())),
        "object" if schema.contains_key("properties") => "section".to_owned(),
        "object" => match of("additionalProperties") {
            Some(values) => format!("mapping to {}", plural(&values)),
            None => "section".to_owned(),
        },
        known => known.to_owned(),
    }
}

fn plural(word: &str) -> String {
    if word.starts_with('`') { word.to_owned() } else { format!("{word}s") }
}

fn type_of(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

/// The sections of which exactly one is given: variants of an enumeration that hold settings.
fn alternatives(schema: &Map<String, Value>) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
    list(schema, "oneOf").filter_map(|one| {
        let (name, inner) = one.get("properties")?.as_object()?.iter().next()?;
        Some((name.as_str(), inner.as_object()?))
    })
}

/// What an optional value is if it is there.
fn without_null(schema: &Map<String, Value>) -> &Map<String, Value> {
    let mut some = list(schema, "anyOf").filter_map(Value::as_object);
    some.find(|one| type_of(one) != "null").unwrap_or(schema)
}

fn list<'a>(schema: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(schema: &'a Map<String, Value>, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}
