//! Dashboards: every query can be evaluated and names metrics that exist; no panel lies on another.

use std::collections::BTreeSet;

use serde_json::Value;
use stories::settings::Places;

fn dashboards() -> Vec<(String, Value)> {
    let folder = Places::repository().join("dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.display().to_string(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    assert!(!found.is_empty());
    found
}

/// All values of the key `expr`, wherever they stand.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| queries(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn every_query_can_be_evaluated_and_names_metrics_of_the_exporter_that_exist() {
    let reference = std::fs::read_to_string(Places::repository().join("exporter/METRICS.md")).unwrap();
    for (file, dashboard) in dashboards() {
        let mut found = Vec::new();
        queries(&dashboard, &mut found);
        assert!(found.len() > 5, "{file} asks for nothing");
        for query in found {
            let concrete = query.replace("$__rate_interval", "5m").replace("$institution", ".*");
            if let Err(refused) = promql::Expr::parse(&concrete) {
                panic!("{file}: {query}: {refused}");
            }
            let words = concrete.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let names: BTreeSet<&str> = words
                .filter(|word| word.starts_with("basiq_") && !word.starts_with("basiq_alerter_"))
                .collect();
            for name in names {
                assert!(
                    reference.contains(&format!("`{name}")),
                    "{file}: {name} is no metric of the exporter"
                );
            }
        }
    }
}

#[test]
fn panels_are_described_have_ids_of_their_own_and_do_not_overlap() {
    for (file, dashboard) in dashboards() {
        let panels = dashboard["panels"].as_array().unwrap();
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{file}: {title}");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {title}: its id is another's");
            let side = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{file}: {title} is wider than the page");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} lies on another panel");
                }
            }
        }
    }
}
