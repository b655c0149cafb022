//! Dashboards: every query can be evaluated and names metrics that exist; panels say what they show, have units
//! and empty states and do not overlap; and over what a Prometheus saw of the stories they are not empty.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use stories::{
    real::{Prometheus, skip},
    settings::Places,
};

fn dashboards() -> Vec<(String, Value)> {
    let folder = Places::repository().join("dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().display().to_string(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|(one, _): &(String, Value), (other, _)| one.cmp(other));
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["delivery", "exporter", "institutions", "overview", "retry-queue"]);
    found
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// All values of the key `expr`, wherever they stand, and the queries of variables.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            let variable = map.get("query").and_then(Value::as_str);
            found.extend(
                variable
                    .and_then(|query| query.strip_prefix("query_result("))
                    .map(|query| query.strip_suffix(')').expect("query_result(…) closes").to_owned()),
            );
            map.values().for_each(|value| queries(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// A query with Grafana's variables replaced as Grafana would.
fn concrete(query: &str) -> String {
    query.replace("$__rate_interval", "1m").replace("$__range", "30m").replace("$institution", ".*")
}

#[test]
fn every_query_can_be_evaluated_and_names_what_exists() {
    let read = |file: &str| std::fs::read_to_string(Places::repository().join(file)).unwrap();
    let reference = read("exporter/METRICS.md") + &read("alerter/METRICS.md");
    let rules = read("rules/operators.yml");
    for (file, dashboard) in dashboards() {
        let mut found = Vec::new();
        queries(&dashboard, &mut found);
        assert!(found.len() > 5, "{file} asks for nothing");
        for query in found {
            let concrete = concrete(&query);
            assert!(!concrete.contains('$'), "{file}: {query}: a variable that nobody replaces");
            if let Err(refused) = promql::Expr::parse(&concrete) {
                panic!("{file}: {query}: {refused}");
            }
            let words = concrete.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
            let names: BTreeSet<&str> = words.filter(|word| word.contains("basiq_")).collect();
            for name in names {
                let exists = match name {
                    _ if name.contains(':') => rules.contains(&format!("record: {name}\n")),
                    _ => reference.contains(&format!("`{}`", name.trim_end_matches("_bucket"))),
                };
                assert!(exists, "{file}: nothing is called {name}");
            }
        }
    }
}

#[test]
fn panels_say_what_they_show_and_do_not_overlap() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {title}: its id is another's");
            let side = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{file}: {title} is wider than the page");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} lies on another panel");
                }
            }
        }
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            let says = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{file}: {title}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(says(&defaults["unit"]), "{file}: {title} has no unit");
            assert!(says(&defaults["noValue"]), "{file}: {title} does not say what empty means");
            let steps = defaults["thresholds"]["steps"].as_array().unwrap();
            assert!(steps[0]["value"].is_null(), "{file}: {title}: thresholds begin with a base");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
            let targets = panel["targets"].as_array().unwrap();
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{file}: {title}");
                let drawn = panel["type"] == "timeseries" || panel["type"] == "state-timeline";
                assert!(!drawn || says(&target["legendFormat"]), "{file}: {title}: a line without a name");
            }
        }
    }
}

#[test]
fn dashboards_lead_to_each_other_and_take_any_data_source() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], format!("basiq-{file}"));
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file}");
        assert!(dashboard["id"].is_null(), "{file}: its id is the database's");
        let variable = &dashboard["templating"]["list"][0];
        assert_eq!((&variable["type"], &variable["query"]), (&"datasource".into(), &"prometheus".into()));
        let link = &dashboard["links"][0];
        assert_eq!((&link["type"], &link["tags"][0]), (&"dashboards".into(), &"basiq".into()), "{file}");
        assert_eq!(dashboard["tags"][0], "basiq", "{file}");
        assert!(dashboard["description"].as_str().is_some_and(|text| text.len() > 20), "{file}");
    }
}

/// Titles of panels that are empty when all is as it should be, or for want of what the stories do without.
const MAY_BE_EMPTY: [&str; 7] = [
    "exporter: Requests that did not succeed",
    "exporter: Webhooks",
    "exporter: Webhooks received",
    "institutions: Connectors",
    "institutions: Basiq's average durations",
    "delivery: Did not reach anybody",
    // Nothing of the stories lasts as long as a rule waits in real time.
    "overview: Alerts",
];

/// Asks a Prometheus that holds what another one saw of the stories:
/// `deploy/quickstart --once --with-prometheus --work DIR`, then this test with `STORIES_WORK=DIR`.
#[tokio::test]
async fn every_panel_shows_something_of_the_stories() {
    let Some(work) = std::env::var_os("STORIES_WORK") else {
        skip("STORIES_WORK does not name the work folder of a `quickstart --once --with-prometheus`");
        return;
    };
    let work = Places::repository().join(work);
    let Some(prometheus) = Prometheus::over(&work).unwrap() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let base = format!("http://{}", prometheus.address);
    let begun = std::time::Instant::now();
    while !http.get(format!("{base}/-/ready")).send().await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "Prometheus is not ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The stories ended when the exporter's page was last read.
    let asked = Ask { http, base };
    let (from, to) = asked.span().await;
    let mut wrong = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let title = format!("{file}: {}", panel["title"].as_str().unwrap());
            let mut found = Vec::new();
            queries(&panel["targets"], &mut found);
            let mut series = 0;
            for query in found {
                match asked.range(&concrete(&query), from, to).await {
                    Ok(number) => series += number,
                    Err(error) => wrong.push(format!("{title}: {query}: {error}")),
                }
            }
            if series == 0 && !MAY_BE_EMPTY.contains(&title.as_str()) {
                wrong.push(format!("{title}: nothing to see"));
            }
        }
        let mut found = Vec::new();
        queries(&dashboard["templating"], &mut found);
        queries(&dashboard["annotations"], &mut found);
        for query in found {
            match asked.range(&concrete(&query), from, to).await {
                Ok(0) => wrong.push(format!("{file}: {query}: nothing to choose from")),
                Ok(_) => {}
                Err(error) => wrong.push(format!("{file}: {query}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

struct Ask {
    http: reqwest::Client,
    base: String,
}

impl Ask {
    async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, String> {
        let answer = self.http.get(format!("{}{path}", self.base)).query(query).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].clone()),
            _ => Err(answer["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    /// How many series the query has in this time.
    async fn range(&self, query: &str, from: f64, to: f64) -> Result<usize, String> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", "5".to_owned()),
        ];
        Ok(self.get("/api/v1/query_range", &parameters).await?.as_array().map_or(0, Vec::len))
    }

    /// When the exporter was first and last scraped.
    async fn span(&self) -> (f64, f64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let query = |function: &str| format!("{function}_over_time(timestamp(basiq_up)[2h:1s])");
        let mut span = [0.0; 2];
        for (bound, function) in span.iter_mut().zip(["min", "max"]) {
            let parameters = [("query", query(function)), ("time", now.to_string())];
            let found = self.get("/api/v1/query", &parameters).await.unwrap();
            let value = found[0]["value"][1].as_str().expect("the exporter was scraped within two hours");
            *bound = value.parse().unwrap();
        }
        (span[0], span[1])
    }
}
