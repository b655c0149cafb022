//! From YAML to rules: the keys that Prometheus knows, and no others.

use std::{collections::HashSet, sync::Arc, time::Duration};

use daemon::config::parse_duration;
use promql::{Expr, Type};
use sha2::{Digest, Sha256};

use super::{
    Alerting, Ask, Externals, Group, Kind, NOTHING, Rule, RuleError, Texts,
    template::Template,
    yaml::{self, Node, Value},
};
use crate::plan::hex;

/// Reads the groups of a file; what is wrong is added to `errors`, and what is odd is returned beside them.
pub(super) fn groups(
    file: &str,
    text: &str,
    templates: Option<&[&str]>,
    errors: &mut Vec<RuleError>,
) -> (Vec<Group>, Vec<String>) {
    let mut reader = Reader { file, templates, group: None, rule: None, errors, warnings: Vec::new() };
    let documents = match yaml::parse(text) {
        Ok(documents) => documents,
        Err((line, message)) => {
            reader.fail(line, format!("this is not YAML: {message}"));
            return (Vec::new(), Vec::new());
        }
    };
    let mut groups = Vec::new();
    for (n, document) in documents.iter().enumerate() {
        if n > 0 {
            reader.fail(
                document.line,
                "a rule file is one YAML document; Prometheus would ignore this one".to_owned(),
            );
            break;
        }
        groups = reader.file(document);
    }
    (groups, reader.warnings)
}

struct Reader<'a> {
    file: &'a str,
    templates: Option<&'a [&'a str]>,
    group: Option<String>,
    rule: Option<String>,
    errors: &'a mut Vec<RuleError>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn fail(&mut self, line: usize, message: String) {
        let (group, rule) = (self.group.clone(), self.rule.clone());
        self.errors.push(RuleError { file: self.file.to_owned(), line, group, rule, message });
    }

    fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(String, usize, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.fail(node.line, format!("{what} must be a mapping, not {}", node.kind()));
                &[]
            }
        }
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.fail(node.line, format!("{what} must be a list, not {}", node.kind()));
                &[]
            }
        }
    }

    /// The text of a scalar; nothing is the empty text, as for Prometheus.
    fn text(&mut self, node: &Node, what: &str) -> String {
        match &node.value {
            Value::Scalar(text) => text.clone(),
            Value::Null => String::new(),
            _ => {
                self.fail(node.line, format!("{what} must be a text, not {}", node.kind()));
                String::new()
            }
        }
    }

    fn duration(&mut self, node: &Node, what: &str) -> Duration {
        let text = self.text(node, what);
        parse_duration(&text).unwrap_or_else(|error| {
            self.fail(node.line, format!("{what}: {error}"));
            Duration::ZERO
        })
    }

    fn unknown(&mut self, key: &str, line: usize, what: &str, known: &[&str]) {
        self.fail(line, format!("unknown key {key:?} in {what}; there are {}", known.join(", ")));
    }

    fn file(&mut self, document: &Node) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (key, line, node) in self.map(document, "a rule file") {
            if key != "groups" {
                self.unknown(key, *line, "a rule file", &["groups"]);
                continue;
            }
            for item in self.list(node, "groups") {
                if let Some(group) = self.group(item) {
                    if groups.iter().any(|known| known.name == group.name) {
                        self.group = None;
                        self.fail(
                            item.line,
                            format!("the group name {:?} is used twice in this file", group.name),
                        );
                    }
                    groups.push(group);
                }
            }
        }
        groups
    }

    fn group(&mut self, node: &Node) -> Option<Group> {
        const KEYS: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
        self.group = None;
        let entries = self.map(node, "a group");
        let name = get(entries, "name").map(|node| self.text(node, "name")).unwrap_or_default();
        if name.is_empty() {
            self.fail(node.line, "a group needs a name".to_owned());
        }
        self.group = Some(name.clone());
        let mut group = Group {
            name,
            file: self.file.into(),
            interval: None,
            limit: 0,
            query_offset: Duration::ZERO,
            rules: Vec::new(),
        };
        let labels = get(entries, "labels").map(|node| self.texts(node, "labels")).unwrap_or_default();
        let mut seen = HashSet::new();
        for (key, line, node) in entries {
            match &**key {
                "name" | "labels" => {}
                "interval" => group.interval = Some(self.duration(node, "interval")).filter(|d| !d.is_zero()),
                "query_offset" => group.query_offset = self.duration(node, "query_offset"),
                "limit" => match self.text(node, "limit").parse() {
                    Ok(limit) => group.limit = limit,
                    Err(_) => self.fail(node.line, "limit must be a number, 0 or more".to_owned()),
                },
                "rules" => {
                    for item in self.list(node, "rules") {
                        self.rule = None;
                        let Some(mut rule) = self.rule(item, &group.name, &labels) else { continue };
                        // The same rule twice in a group has two states, as in Prometheus.
                        while !seen.insert(rule.identity.clone()) {
                            rule.identity = format!("{}+", rule.identity).into();
                        }
                        group.rules.push(rule);
                    }
                    self.rule = None;
                }
                key => self.unknown(key, *line, "a group", &KEYS),
            }
        }
        Some(group)
    }

    /// A mapping of names to texts, with lines.
    fn texts(&mut self, node: &Node, what: &str) -> Vec<(String, usize, String)> {
        self.map(node, what)
            .iter()
            .map(|(key, line, node)| (key.clone(), *line, self.text(node, key)))
            .collect()
    }

    fn rule(&mut self, node: &Node, group: &str, group_labels: &[(String, usize, String)]) -> Option<Rule> {
        const KEYS: [&str; 7] =
            ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
        let before = self.errors.len();
        let entries = self.map(node, "a rule");
        let record = get(entries, "record").map(|node| self.text(node, "record")).unwrap_or_default();
        let alert = get(entries, "alert").map(|node| self.text(node, "alert")).unwrap_or_default();
        self.rule = Some(if record.is_empty() { alert.clone() } else { record.clone() });
        match (record.is_empty(), alert.is_empty()) {
            (true, true) => self.fail(node.line, "a rule needs `record` or `alert`".to_owned()),
            (false, false) => self.fail(node.line, "a rule has `record` or `alert`, not both".to_owned()),
            _ => {}
        }
        for (key, line, _) in entries {
            if !KEYS.contains(&&**key) {
                self.unknown(key, *line, "a rule", &KEYS);
            }
        }
        let expr = self.expr(node.line, get(entries, "expr"));
        let mut labels = get(entries, "labels").map(|node| self.texts(node, "labels")).unwrap_or_default();
        for label in group_labels {
            if !labels.iter().any(|(name, ..)| *name == label.0) {
                labels.push(label.clone());
            }
        }
        for (name, line, _) in &labels {
            if name.is_empty() || name == "__name__" {
                self.fail(*line, format!("{name:?} cannot be a label"));
            }
        }
        let annotations =
            get(entries, "annotations").map(|node| self.texts(node, "annotations")).unwrap_or_default();
        for (name, line, _) in &annotations {
            if name.is_empty() {
                self.fail(*line, "an annotation needs a name".to_owned());
            }
        }
        let hold = get(entries, "for").map(|node| self.duration(node, "for"));
        let keep = get(entries, "keep_firing_for").map(|node| self.duration(node, "keep_firing_for"));

        let mut hash = Sha256::new();
        for part in [group, &record, &alert, expr.as_ref().map(Expr::text).unwrap_or_default()] {
            hash.update(part.as_bytes());
            hash.update([0xff]);
        }
        hash.update(hold.unwrap_or_default().as_millis().to_be_bytes());
        hash.update(keep.unwrap_or_default().as_millis().to_be_bytes());
        let mut sorted: Vec<_> = labels.iter().map(|(name, _, text)| (name, text)).collect();
        sorted.sort();
        for (name, text) in sorted {
            hash.update(name.as_bytes());
            hash.update([0xff]);
            hash.update(text.as_bytes());
            hash.update([0xff]);
        }
        let identity = hex(&hash.finalize()[..8]);

        let kind = if alert.is_empty() {
            if record.contains(['{', '}']) {
                self.fail(
                    node.line,
                    "the name of a series has no braces; they belong into `expr`".to_owned(),
                );
            }
            for key in ["for", "keep_firing_for", "annotations"] {
                if get(entries, key).is_some_and(|node| node.value != Value::Null) {
                    self.fail(node.line, format!("a recording rule cannot have `{key}`"));
                }
            }
            Kind::Recording(record)
        } else {
            let ask = self.ask(node.line, &labels, &annotations);
            Kind::Alerting(Box::new(Alerting {
                name: alert.as_str().into(),
                hold: hold.unwrap_or_default(),
                keep_firing: keep.unwrap_or_default(),
                annotations: Arc::new(Texts {
                    templates: self.templates(&annotations, "annotation"),
                    externals: Externals::default(),
                }),
                ask,
            }))
        };
        let labels = match kind {
            // Prometheus expands no templates in the labels of a recording rule.
            Kind::Recording(_) => {
                labels.iter().map(|(name, _, text)| (name.clone(), Template::literal(text))).collect()
            }
            Kind::Alerting(_) => self.templates(&labels, "label"),
        };
        let expr = expr.filter(|_| self.errors.len() == before)?;
        Some(Rule { line: node.line, identity: Arc::from(identity), expr, labels, kind })
    }

    fn expr(&mut self, line: usize, node: Option<&Node>) -> Option<Expr> {
        let text = node.map(|node| self.text(node, "expr")).unwrap_or_default();
        let line = node.map_or(line, |node| node.line);
        if text.trim().is_empty() {
            self.fail(line, "a rule needs `expr`".to_owned());
            return None;
        }
        match Expr::parse(&text) {
            Ok(expr) if expr.selectors().iter().any(|selector| selector.pinned) => {
                self.fail(
                    line,
                    "expr: not supported: `@` with a fixed time, which no window that moves on can hold"
                        .to_owned(),
                );
                None
            }
            Ok(expr) if matches!(expr.value_type(), Type::Scalar | Type::Vector) => Some(expr),
            Ok(_) => {
                self.fail(line, "the expression of a rule must be an instant vector or a scalar".to_owned());
                None
            }
            Err(refused) => {
                self.fail(line, format!("expr: {refused}"));
                None
            }
        }
    }

    fn templates(&mut self, texts: &[(String, usize, String)], what: &str) -> Vec<(String, Template)> {
        let mut templates = Vec::with_capacity(texts.len());
        for (name, line, text) in texts {
            match Template::parse(text) {
                Ok(template) => templates.push((name.clone(), template)),
                Err(error) => self.fail(*line, format!("the template of {what} {name:?}: {error}")),
            }
        }
        templates
    }

    fn ask(
        &mut self,
        line: usize,
        labels: &[(String, usize, String)],
        annotations: &[(String, usize, String)],
    ) -> Option<Ask> {
        let templates = self.templates?;
        let find =
            |list: &'_ [(String, usize, String)], key: &str| list.iter().position(|(name, ..)| name == key);
        for (name, line, text) in labels
            .iter()
            .filter(|(name, ..)| name == "action")
            .chain(annotations.iter().filter(|(name, ..)| Ask::steers(name)))
        {
            if text.contains("{{") {
                self.fail(*line, format!("{name} cannot be a template: it is read when the rule is loaded"));
                return None;
            }
        }
        let action = find(labels, "action").map(|at| labels[at].2.as_str());
        if action.is_none() {
            let rule = self.rule.clone().unwrap_or_default();
            self.warnings.push(format!(
                "{}:{line}: rule {rule:?} has no label `action`, so it asks for nothing (`action: {NOTHING}` says that this is meant)",
                self.file
            ));
        }
        let annotation = |key: &str| find(annotations, key).map(|at| annotations[at].2.as_str());
        Ask::read(action, annotation, templates).unwrap_or_else(|errors| {
            for (name, message) in errors {
                let place = find(annotations, name).map(|at| annotations[at].1);
                let place = place.or_else(|| find(labels, name).map(|at| labels[at].1));
                self.fail(place.unwrap_or(line), format!("{name}: {message}"));
            }
            None
        })
    }
}

fn get<'n>(entries: &'n [(String, usize, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(known, ..)| known == key).map(|(.., node)| node)
}
