//! The templates of labels and annotations, as Prometheus documents them.
//!
//! Prometheus runs Go's `text/template` with functions of its own
//! (<https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>). This is a small
//! strict interpreter of it: what a rule can say about its own alert. `define`, `template` and
//! `block`, and functions that ask for more than the alert (`query`, `tmpl`), are refused when the
//! rule is loaded, as are unknown functions, variables and fields; nothing is evaluated differently.
//!
//! It reads no clock and does no I/O. As in Prometheus, an error while a template is
//! expanded becomes its text, and the alert goes out all the same.

mod functions;
mod gofmt;
mod lexer;
mod parser;
mod printf;
mod run;

use std::collections::BTreeMap;

/// A template that was understood as a whole.
#[derive(Clone, Debug)]
pub struct Template {
    body: Vec<parser::Node>,
    /// The text itself, where there is nothing in it to expand.
    plain: Option<String>,
}

/// What a template may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The labels of the sample, the metric's name among them.
    pub labels: &'a BTreeMap<String, String>,
    /// The labels that the whole installation adds.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people find what evaluates the rule.
    pub external_url: &'a str,
    /// The value of the sample.
    pub value: f64,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, or not supported, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = parser::parse(text)?;
        let plain = (!text.contains("{{")).then(|| text.to_owned());
        Ok(Self { body, plain })
    }

    /// A text that stays as it is.
    pub fn literal(text: &str) -> Self {
        Self { body: Vec::new(), plain: Some(text.to_owned()) }
    }

    /// The text, with `<error expanding template: …>` in its place if that is not possible.
    pub fn expand(&self, data: &Data<'_>) -> String {
        if let Some(text) = &self.plain {
            return text.clone();
        }
        run::run(&self.body, data).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    /// The text, if it is the same for every alert.
    pub fn plain(&self) -> Option<&str> {
        self.plain.as_deref()
    }
}

#[cfg(test)]
mod tests;
