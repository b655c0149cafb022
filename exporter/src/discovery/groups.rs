//! Lists of users in the shape of Prometheus's file and HTTP discovery: `[{targets: [user ids], labels: {…}}]`.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use crate::ledger::Id;

/// The largest list that is read: half a million users take 20 MB.
pub(super) const MAX_BYTES: usize = 256 * 1024 * 1024;

const SHAPE: &str = "expected a list of {targets: [user ids]}, as in Prometheus file_sd and http_sd";

/// One group. Labels are for the partner's other tools (`external_id`, say); they are not kept.
#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<String, serde::de::IgnoredAny>,
}

/// The ids of a list in JSON.
pub(super) fn parse_json(text: &[u8]) -> Result<HashSet<Id>, String> {
    let groups: Vec<Group> = serde_json::from_slice(text)
        .map_err(|error| format!("line {}, column {}: {SHAPE}", error.line(), error.column()))?;
    ids(&groups)
}

/// The ids of a list in JSON or YAML.
pub(super) fn parse(text: &str) -> Result<HashSet<Id>, String> {
    // Almost all of YAML's flow style is JSON, which is read much faster; what is not is left to YAML.
    if text.trim_start().starts_with('[')
        && let Ok(groups) = serde_json::from_str::<Vec<Group>>(text)
    {
        return ids(&groups);
    }
    if text.trim().is_empty() {
        return Ok(HashSet::new());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let groups: Vec<Group> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
            Some(at) => format!("line {}, column {}: {SHAPE}", at.line(), at.column()),
            None => SHAPE.to_owned(),
        })?;
    ids(&groups)
}

fn ids(groups: &[Group]) -> Result<HashSet<Id>, String> {
    let mut ids = HashSet::new();
    for (nth, target) in groups.iter().flat_map(|group| &group.targets).enumerate() {
        ids.insert(Id::parse(target).ok_or_else(|| format!("target {}: not an id of Basiq", nth + 1))?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_in_the_shape_of_file_sd() {
        let expected: HashSet<_> = ["a", "b"].map(|id| Id::parse(id).unwrap()).into();
        for text in [
            r#"[{"targets": ["a", "b"], "labels": {"external_id": "7"}}]"#,
            "[{targets: [a, b], labels: {external_id: x}}]",
            "- targets: [a]\n  labels: {external_id: x}\n- targets:\n  - b\n  - a\n",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert!(parse("").unwrap().is_empty());
        for text in ["[1]", "targets: [a]\n", r#"[{"targets": ["a b"]}]"#, "{"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(parse_json(b"").is_err() && parse_json(b"[]").unwrap().is_empty());
    }
}
