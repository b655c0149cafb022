//! Evaluation at one instant.

mod aggregate;
mod binary;
mod call;
mod group;
mod labels;
mod select;

use std::borrow::Cow;
use std::cell::Cell;

use crate::expr::{EvalError, Query};
use crate::labels::Labels;
use crate::node::Node;
use crate::value::{Point, Sample, Series, Value};
use crate::window::{ByHash, Window};

/// The most samples that one evaluation may touch: Prometheus's default of `--query.max-samples`.
const MAX_SAMPLES: u64 = 50_000_000;

/// One element of a vector on its way.
#[derive(Clone, Debug)]
struct Element {
    labels: Labels,
    value: f64,
    /// Whether the name of the metric no longer fits the value, and is to be dropped.
    nameless: bool,
}

/// One series of a range on its way.
struct Run<'w> {
    labels: Labels,
    nameless: bool,
    points: Cow<'w, [Point]>,
}

enum Evaluated<'w> {
    Scalar(f64),
    Text(String),
    Vector(Vec<Element>),
    Matrix(Vec<Run<'w>>),
}

/// One evaluation under way.
struct Evaluation<'w> {
    window: &'w Window,
    query: &'w Query,
    samples: Cell<u64>,
}

/// Evaluates an expression at the instant of the query.
pub(crate) fn evaluate(node: &Node, window: &Window, query: &Query) -> Result<Value, EvalError> {
    let evaluation = Evaluation { window, query, samples: Cell::new(0) };
    Ok(match evaluation.node(node, query.at_ms)? {
        Evaluated::Scalar(number) => Value::Scalar(number),
        Evaluated::Text(text) => Value::String(text),
        Evaluated::Vector(elements) => {
            let elements = without_stale_names(elements)?;
            Value::Vector(
                elements.into_iter().map(|Element { labels, value, .. }| Sample { labels, value }).collect(),
            )
        }
        Evaluated::Matrix(runs) => {
            let series = |run: Run<'_>| {
                let labels = if run.nameless { run.labels.without_metadata() } else { run.labels };
                Series { labels, points: run.points.into_owned() }
            };
            let matrix: Vec<Series> = runs.into_iter().map(series).collect();
            unique(matrix.iter().map(|series| &series.labels))?;
            Value::Matrix(matrix)
        }
    })
}

impl<'w> Evaluation<'w> {
    fn node(&self, node: &Node, at_ms: i64) -> Result<Evaluated<'w>, EvalError> {
        self.spend(1)?;
        Ok(match node {
            Node::Number(number) => Evaluated::Scalar(*number),
            Node::Text(text) => Evaluated::Text(text.clone()),
            Node::Select(select) => Evaluated::Vector(self.instant(select, at_ms)?),
            Node::Range(..) | Node::Subquery(_) => Evaluated::Matrix(self.matrix(node, at_ms)?.runs),
            Node::Negate(inner) => match self.node(inner, at_ms)? {
                Evaluated::Vector(mut elements) => {
                    for element in &mut elements {
                        element.value = -element.value;
                        element.nameless = true;
                    }
                    Evaluated::Vector(self.settle(elements)?)
                }
                other => Evaluated::Scalar(-other.scalar()),
            },
            Node::Binary(binary) => self.binary(binary, at_ms)?,
            Node::Aggregate(aggregate) => Evaluated::Vector(self.aggregate(aggregate, at_ms)?),
            Node::Call(call) => self.call(call, at_ms)?,
        })
    }

    fn vector(&self, node: &Node, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        Ok(self.node(node, at_ms)?.vector())
    }

    fn scalar(&self, node: &Node, at_ms: i64) -> Result<f64, EvalError> {
        Ok(self.node(node, at_ms)?.scalar())
    }

    /// Counts samples touched, and steps of subqueries.
    fn spend(&self, samples: usize) -> Result<(), EvalError> {
        let spent = self.samples.get().saturating_add(samples as u64);
        self.samples.set(spent);
        if spent > MAX_SAMPLES {
            return Err(EvalError::TooLarge(format!(
                "the evaluation touches more than {MAX_SAMPLES} samples"
            )));
        }
        Ok(())
    }

    /// Drops the names that no longer fit at once, unless that is left to the end of the evaluation.
    fn settle(&self, elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
        if self.query.delayed_name_removal { Ok(elements) } else { without_stale_names(elements) }
    }
}

impl Evaluated<'_> {
    /// The number; the types were checked when the expression was parsed.
    fn scalar(&self) -> f64 {
        match self {
            Self::Scalar(number) => *number,
            _ => f64::NAN,
        }
    }

    fn vector(self) -> Vec<Element> {
        match self {
            Self::Vector(elements) => elements,
            _ => Vec::new(),
        }
    }
}

fn without_stale_names(mut elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    let mut changed = false;
    for element in elements.iter_mut().filter(|element| element.nameless) {
        element.nameless = false;
        if element.labels.has_metadata() {
            element.labels = element.labels.without_metadata();
            changed = true;
        }
    }
    if changed {
        unique(elements.iter().map(|element| &element.labels))?;
    }
    Ok(elements)
}

/// Fails when two label sets are the same, as Prometheus does.
fn unique<'l>(sets: impl ExactSizeIterator<Item = &'l Labels>) -> Result<(), EvalError> {
    if sets.len() < 2 {
        return Ok(());
    }
    let mut seen: ByHash<u64, &Labels> = ByHash::default();
    seen.reserve(sets.len());
    for labels in sets {
        if seen.insert(labels.fingerprint(), labels).is_some_and(|other| other == labels) {
            return Err(EvalError::Failed("vector cannot contain metrics with the same labelset".to_owned()));
        }
    }
    Ok(())
}
