//! Label matchers and what a selector asks of the samples kept.

use std::fmt;

use regex::Regex;

use crate::labels::Labels;
use crate::refused::Refused;

/// How a label is compared.
#[derive(Clone, Debug)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Matches(Regex),
    /// `!~`, anchored at both ends.
    NotMatches(Regex),
}

/// A condition on one label; an absent label is an empty one.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// The comparison.
    pub op: Op,
    /// What it is compared with: a text, or the regular expression as written.
    pub value: String,
}

impl Matcher {
    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), op: Op::Equal, value: value.to_owned() }
    }

    /// Whether a value, empty when the label is absent, meets the condition.
    pub fn accepts(&self, value: &str) -> bool {
        match &self.op {
            Op::Equal => value == self.value,
            Op::NotEqual => value != self.value,
            Op::Matches(regex) => regex.is_match(value),
            Op::NotMatches(regex) => !regex.is_match(value),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.value == other.value
            && std::mem::discriminant(&self.op) == std::mem::discriminant(&other.op)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Matches(_) => "=~",
            Op::NotMatches(_) => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

/// Compiles a regular expression as Prometheus reads it.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, Refused> {
    crate::go_regex::anchored(pattern).ok_or_else(|| {
        Refused::unsupported(format!(
            "the regular expression {pattern:?} is too large, or not one that Go accepts"
        ))
    })
}

/// A selector of an expression: which series it reads, and how far back.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// The range in milliseconds of a range selector, with the ranges of the subqueries around it; 0 for
    /// an instant selector.
    pub range_ms: i64,
    /// The offset in milliseconds, with those of the subqueries around it; negative looks ahead.
    pub offset_ms: i64,
    /// Whether the newest sample before the range is read too, because the selector is an instant one.
    pub instant: bool,
    /// Whether it is fixed to an absolute time by `@`, which no window that moves on can serve.
    pub pinned: bool,
}

impl Selector {
    /// The name of the metric when the selector asks for exactly one.
    pub fn metric_name(&self) -> Option<&str> {
        let names =
            |matcher: &&Matcher| matcher.name == crate::METRIC_NAME && matches!(matcher.op, Op::Equal);
        self.matchers.iter().find(names).map(|matcher| matcher.value.as_str())
    }

    /// Whether a series is selected.
    pub fn selects(&self, labels: &Labels) -> bool {
        selects(&self.matchers, labels)
    }

    /// How far back samples must be kept, in milliseconds; the newest sample older than that is kept as
    /// well, so that a look-back finds it.
    pub fn reach_ms(&self) -> i64 {
        self.range_ms.saturating_add(self.offset_ms.max(0))
    }
}

pub(crate) fn selects(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.name).unwrap_or("")))
}
