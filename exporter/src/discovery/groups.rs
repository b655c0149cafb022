//! Lists of users in the shape of Prometheus's file and HTTP discovery: `[{targets: [user ids], labels: {…}}]`.

use std::{collections::BTreeMap, fmt, io::Read};

use serde::{Deserialize, Deserializer, de::Visitor};

use crate::ledger::{Id, IdSet};

/// The largest list that is read: half a million users take 20 MB.
pub(super) const MAX_BYTES: usize = 256 * 1024 * 1024;

const SHAPE: &str = "expected a list of {targets: [user ids]}, as in Prometheus file_sd and http_sd";

/// One group. Labels are for the partner's other tools (`external_id`, say); they are not kept.
#[derive(Deserialize)]
struct Group {
    targets: Vec<Target>,
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<String, serde::de::IgnoredAny>,
}

/// A user's id, packed as it is read; `None` if it cannot be one.
struct Target(Option<Id>);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's id")
            }

            fn visit_str<E>(self, text: &str) -> Result<Target, E> {
                Ok(Target(Id::parse(text)))
            }
        }
        deserializer.deserialize_string(Text)
    }
}

/// The ids of a list in JSON.
pub(super) fn read_json(text: impl Read) -> Result<IdSet, String> {
    let groups: Vec<Group> = serde_json::from_reader(text)
        .map_err(|error| format!("line {}, column {}: {SHAPE}", error.line(), error.column()))?;
    ids(groups)
}

/// The ids of a list in YAML.
pub(super) fn parse_yaml(text: &str) -> Result<IdSet, String> {
    if text.trim().is_empty() {
        return Ok(IdSet::default());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let groups: Vec<Group> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
            Some(at) => format!("line {}, column {}: {SHAPE}", at.line(), at.column()),
            None => SHAPE.to_owned(),
        })?;
    ids(groups)
}

fn ids(groups: Vec<Group>) -> Result<IdSet, String> {
    let targets = groups.into_iter().flat_map(|group| group.targets).enumerate();
    let ids: Result<Vec<Id>, String> = targets
        .map(|(nth, Target(id))| id.ok_or_else(|| format!("target {}: not an id of Basiq", nth + 1)))
        .collect();
    ids.map(IdSet::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_in_the_shape_of_file_sd() {
        let expected: IdSet = ["a", "b"].into_iter().filter_map(Id::parse).collect();
        for text in [
            r#"[{"targets": ["a", "b"], "labels": {"external_id": "7"}}]"#,
            "[{targets: [a, b], labels: {external_id: x}}]",
            "- targets: [a]\n  labels: {external_id: x}\n- targets:\n  - b\n  - a\n",
        ] {
            assert_eq!(parse_yaml(text).unwrap(), expected, "{text}");
        }
        let json = r#"[{"targets": ["b"]}, {"labels": {"a": 1}, "targets": ["a", "b"]}]"#;
        assert_eq!(read_json(json.as_bytes()).unwrap(), expected);
        assert!(parse_yaml("").unwrap().is_empty());
        for text in ["[1]", "targets: [a]\n", r#"[{"targets": ["a b"]}]"#, "{"] {
            let error = parse_yaml(text).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let wrong = read_json(br#"[{"targets": ["a", "a b"]}]"#.as_slice()).unwrap_err();
        assert_eq!(wrong, "target 2: not an id of Basiq");
        assert!(read_json(b"".as_slice()).is_err() && read_json(b"[]".as_slice()).unwrap().is_empty());
    }
}
