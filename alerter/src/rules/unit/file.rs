//! A file of unit tests as it was read: the keys that promtool knows, and no others.

use std::{collections::BTreeMap, time::Duration};

use daemon::config::parse_duration;
use promql::{Expr, Labels, series};

use super::super::yaml::{self, Node, Value};

/// promtool's default, also for `interval`.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

type Map = BTreeMap<String, String>;
/// Lines and what is wrong there.
type Errors = Vec<(usize, String)>;

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval: Duration,
    pub(super) group_eval_order: Vec<String>,
    pub(super) fuzzy_compare: bool,
    pub(super) tests: Vec<Test>,
}

#[derive(Debug, Default)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) series: Vec<series::Description>,
    pub(super) alerts: Vec<AlertTest>,
    pub(super) expressions: Vec<ExpressionTest>,
    pub(super) external_labels: Map,
    pub(super) external_url: String,
}

#[derive(Debug, Default)]
pub(super) struct AlertTest {
    pub(super) at: Duration,
    pub(super) alert: String,
    /// Labels, without the alert's name, and annotations.
    pub(super) expected: Vec<(Map, Map)>,
}

#[derive(Debug)]
pub(super) struct ExpressionTest {
    pub(super) at: Duration,
    pub(super) expr: Expr,
    pub(super) expected: Vec<(Labels, f64)>,
}

pub(super) fn read(text: &str) -> Result<File, Errors> {
    let documents = yaml::parse(text).map_err(|error| vec![error])?;
    let Some(document) = documents.first() else {
        return Err(vec![(1, "there is nothing in it".to_owned())]);
    };
    let mut errors = Vec::new();
    let file = Reader(&mut errors).file(document);
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

struct Reader<'a>(&'a mut Errors);

impl Reader<'_> {
    fn fail(&mut self, line: usize, message: impl Into<String>) {
        self.0.push((line, message.into()));
    }

    fn map<'n>(&mut self, node: &'n Node) -> &'n [(String, usize, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.fail(node.line, format!("a mapping is expected, not {}", node.kind()));
                &[]
            }
        }
    }

    fn list<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.fail(node.line, format!("a list is expected, not {}", node.kind()));
                &[]
            }
        }
    }

    fn text(&mut self, node: &Node) -> String {
        match &node.value {
            Value::Scalar(text) => text.clone(),
            Value::Null => String::new(),
            _ => {
                self.fail(node.line, format!("a text is expected, not {}", node.kind()));
                String::new()
            }
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<String> {
        self.list(node).iter().map(|node| self.text(node)).collect()
    }

    fn pairs(&mut self, node: &Node) -> Map {
        self.map(node).iter().map(|(key, _, node)| (key.clone(), self.text(node))).collect()
    }

    fn duration(&mut self, node: &Node) -> Duration {
        let text = self.text(node);
        // A time of evaluation may be written as a bare 0 or as nothing.
        if text.is_empty() {
            return Duration::ZERO;
        }
        parse_duration(&text).unwrap_or_else(|error| {
            self.fail(node.line, error.to_string());
            Duration::ZERO
        })
    }

    fn unknown(&mut self, key: &str, line: usize) {
        self.fail(line, format!("unknown key {key:?}"));
    }

    fn file(&mut self, node: &Node) -> File {
        let mut file = File { evaluation_interval: EVALUATION_INTERVAL, ..File::default() };
        for (key, line, node) in self.map(node) {
            match &**key {
                "rule_files" => file.rule_files = self.texts(node),
                "evaluation_interval" => file.evaluation_interval = self.duration(node),
                "group_eval_order" => file.group_eval_order = self.texts(node),
                "fuzzy_compare" => file.fuzzy_compare = self.text(node) == "true",
                "tests" => {}
                key => self.unknown(key, *line),
            }
        }
        if file.evaluation_interval.is_zero() {
            file.evaluation_interval = EVALUATION_INTERVAL;
        }
        let tests = self.map(node).iter().find(|(key, ..)| key == "tests");
        if let Some((.., tests)) = tests {
            file.tests =
                self.list(tests).iter().map(|node| self.test(node, file.evaluation_interval)).collect();
        }
        file
    }

    fn test(&mut self, node: &Node, interval: Duration) -> Test {
        let mut test = Test { interval, ..Test::default() };
        for (key, line, node) in self.map(node) {
            match &**key {
                "name" => test.name = self.text(node),
                "interval" => {
                    test.interval = Some(self.duration(node)).filter(|d| !d.is_zero()).unwrap_or(interval)
                }
                "external_url" => test.external_url = self.text(node),
                "external_labels" => test.external_labels = self.pairs(node),
                "input_series" => {
                    for item in self.list(node) {
                        let entries = self.map(item);
                        let mut get = |key: &str| {
                            let found = entries.iter().find(|(known, ..)| known == key);
                            found.map(|(.., node)| self.text(node)).unwrap_or_default()
                        };
                        let line = format!("{} {}", get("series"), get("values"));
                        for (key, line, _) in
                            entries.iter().filter(|(key, ..)| key != "series" && key != "values")
                        {
                            self.unknown(key, *line);
                        }
                        match series::parse(&line) {
                            Ok(description) => test.series.push(description),
                            Err(error) => self.fail(item.line, error.to_string()),
                        }
                    }
                }
                "alert_rule_test" => {
                    test.alerts = self.list(node).iter().map(|node| self.alert(node)).collect()
                }
                "promql_expr_test" => {
                    test.expressions =
                        self.list(node).iter().filter_map(|node| self.expression(node)).collect();
                }
                key => self.unknown(key, *line),
            }
        }
        test
    }

    fn alert(&mut self, node: &Node) -> AlertTest {
        let mut test = AlertTest::default();
        for (key, line, node) in self.map(node) {
            match &**key {
                "eval_time" => test.at = self.duration(node),
                "alertname" => test.alert = self.text(node),
                "exp_alerts" => {
                    for item in self.list(node) {
                        let mut expected = (Map::new(), Map::new());
                        for (key, line, node) in self.map(item) {
                            match &**key {
                                "exp_labels" => expected.0 = self.pairs(node),
                                "exp_annotations" => expected.1 = self.pairs(node),
                                key => self.unknown(key, *line),
                            }
                        }
                        test.expected.push(expected);
                    }
                }
                key => self.unknown(key, *line),
            }
        }
        if test.alert.is_empty() {
            self.fail(node.line, "an alert_rule_test needs alertname");
        }
        test
    }

    fn expression(&mut self, node: &Node) -> Option<ExpressionTest> {
        let (mut at, mut expr, mut expected) = (Duration::ZERO, None, Vec::new());
        for (key, line, node) in self.map(node) {
            match &**key {
                "eval_time" => at = self.duration(node),
                "expr" => match Expr::parse(&self.text(node)) {
                    Ok(parsed) => expr = Some(parsed),
                    Err(refused) => self.fail(*line, format!("expr: {refused}")),
                },
                "exp_samples" => {
                    for item in self.list(node) {
                        expected.extend(self.sample(item));
                    }
                }
                key => self.unknown(key, *line),
            }
        }
        Some(ExpressionTest { at, expr: expr?, expected })
    }

    fn sample(&mut self, node: &Node) -> Option<(Labels, f64)> {
        let (mut labels, mut value) = (Labels::empty(), 0.0);
        for (key, line, node) in self.map(node) {
            match &**key {
                "labels" => {
                    let text = self.text(node);
                    match series::parse_metric(&text) {
                        Ok((parsed, rest)) if rest.trim().is_empty() => labels = parsed,
                        Ok(_) => self.fail(*line, "unexpected text after the labels"),
                        Err(error) => self.fail(*line, error.to_string()),
                    }
                }
                "value" => match number(&self.text(node)) {
                    Some(parsed) => value = parsed,
                    None => self.fail(*line, "value must be a number"),
                },
                "histogram" => self.fail(*line, "native histograms are not supported"),
                key => self.unknown(key, *line),
            }
        }
        Some((labels, value))
    }
}

/// A number as YAML writes it.
fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match &*lower {
        "" => Some(0.0),
        ".nan" => Some(f64::NAN),
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        _ => {
            let plain = lower.replace('_', "");
            match plain.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok().map(|value| value as f64),
                None => plain.parse().ok(),
            }
        }
    }
}
