//! Function calls.

use super::{Element, Evaluated, Evaluation};
use crate::expr::EvalError;
use crate::functions::histogram::{self, Bucket};
use crate::functions::{Kind, OfRange, Ranged, math, over_time};
use crate::labels::Labels;
use crate::node::{Call, Grouping, Node};
use crate::value::Point;

impl<'w> Evaluation<'w> {
    pub(super) fn call(&self, call: &Call, at_ms: i64) -> Result<Evaluated<'w>, EvalError> {
        let argument = |index: usize| call.arguments.get(index).unwrap_or(&Node::Number(f64::NAN));
        let vector = |index: usize| self.vector(argument(index), at_ms);
        let scalar = |index: usize| self.scalar(argument(index), at_ms);
        let now = at_ms as f64 / 1000.0;
        let elements = match call.function.kind {
            Kind::Pi => return Ok(Evaluated::Scalar(std::f64::consts::PI)),
            Kind::Time => return Ok(Evaluated::Scalar(now)),
            Kind::Scalar => {
                let elements = vector(0)?;
                return Ok(Evaluated::Scalar(match elements.as_slice() {
                    [only] => only.value,
                    _ => f64::NAN,
                }));
            }
            Kind::Vector => vec![Element { labels: Labels::empty(), value: scalar(0)?, nameless: false }],
            Kind::Each(apply) => calculated(vector(0)?, apply),
            Kind::Date(apply) if call.arguments.is_empty() => {
                vec![Element { labels: Labels::empty(), value: apply(now), nameless: false }]
            }
            // What Prometheus says of the date of NaN or Inf depends on its processor: here it is none.
            Kind::Date(apply) => {
                calculated(vector(0)?, |value| if value.is_finite() { apply(value) } else { f64::NAN })
            }
            Kind::Round => {
                let to = if call.arguments.len() > 1 { scalar(1)? } else { 1.0 };
                calculated(vector(0)?, |value| math::round(value, to))
            }
            Kind::Clamp => {
                let (elements, min, max) = (vector(0)?, scalar(1)?, scalar(2)?);
                let within = |value| math::max(min, math::min(max, value));
                if max < min { Vec::new() } else { calculated(elements, within) }
            }
            Kind::ClampMax => {
                let max = scalar(1)?;
                calculated(vector(0)?, |value| math::min(max, value))
            }
            Kind::ClampMin => {
                let min = scalar(1)?;
                calculated(vector(0)?, |value| math::max(min, value))
            }
            Kind::Sort => sorted(vector(0)?, false),
            Kind::SortDesc => sorted(vector(0)?, true),
            Kind::Timestamp => self.timestamps(argument(0), at_ms)?,
            Kind::Absent => match vector(0)?.is_empty() {
                true => vec![absent(argument(0))],
                false => Vec::new(),
            },
            Kind::AbsentOverTime => match self.matrix(argument(0), at_ms)?.runs.is_empty() {
                true => vec![absent(argument(0))],
                false => Vec::new(),
            },
            Kind::OfRange(apply) => self.of_range(argument(0), at_ms, true, apply)?,
            Kind::LastOverTime => self.of_range(argument(0), at_ms, false, over_time::last as OfRange)?,
            Kind::PredictLinear => {
                let seconds = scalar(1)?;
                let predict = |range: &Ranged<'_>| over_time::predict_linear(range, at_ms, seconds);
                self.of_range(argument(0), at_ms, true, predict)?
            }
            Kind::QuantileOverTime => {
                let q = scalar(0)?;
                self.of_range(argument(1), at_ms, true, |range| over_time::quantile(range, q))?
            }
            Kind::HistogramQuantile => histogram_quantile(scalar(0)?, vector(1)?),
            Kind::LabelReplace => super::labels::replace(call, vector(0)?)?,
            Kind::LabelJoin => super::labels::join(call, vector(0)?)?,
        };
        Ok(Evaluated::Vector(self.settle(elements)?))
    }

    fn of_range(
        &self,
        node: &Node,
        at_ms: i64,
        nameless: bool,
        apply: impl Fn(&Ranged<'_>) -> Option<f64>,
    ) -> Result<Vec<Element>, EvalError> {
        let matrix = self.matrix(node, at_ms)?;
        let (start_ms, end_ms) = (matrix.start_ms, matrix.end_ms);
        let element = |run: super::Run<'_>| {
            let value = apply(&Ranged { points: &run.points, start_ms, end_ms })?;
            Some(Element { labels: run.labels, value, nameless: nameless || run.nameless })
        };
        Ok(matrix.runs.into_iter().filter_map(element).collect())
    }

    /// The times of samples: their own directly behind a selector, else the time of evaluation.
    fn timestamps(&self, node: &Node, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        let Node::Select(select) = node else {
            return Ok(calculated(self.vector(node, at_ms)?, |_| at_ms as f64 / 1000.0));
        };
        let mut elements = Vec::new();
        self.newest(select, at_ms, |labels, point: Point| {
            elements.push(Element {
                labels: labels.clone(),
                value: point.at_ms as f64 / 1000.0,
                nameless: true,
            });
        })?;
        Ok(elements)
    }
}

fn calculated(mut elements: Vec<Element>, apply: impl Fn(f64) -> f64) -> Vec<Element> {
    for element in &mut elements {
        element.value = apply(element.value);
        element.nameless = true;
    }
    elements
}

fn sorted(mut elements: Vec<Element>, descending: bool) -> Vec<Element> {
    elements.sort_by(|a, b| match (a.value.is_nan(), b.value.is_nan()) {
        (false, false) if descending => b.value.total_cmp(&a.value),
        (false, false) => a.value.total_cmp(&b.value),
        (a, b) => a.cmp(&b),
    });
    elements
}

/// The element that stands for an empty vector: labelled by the equality matchers of a selector, where
/// each names its label alone.
fn absent(node: &Node) -> Element {
    let matchers = match node {
        Node::Select(select) | Node::Range(select, _) => &select.matchers[..],
        _ => &[],
    };
    let mut labels = Labels::empty();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != crate::METRIC_NAME) {
        if matches!(matcher.op, crate::matcher::Op::Equal) && !seen.contains(&matcher.name.as_str()) {
            labels = labels.with(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels = labels.without(&[&matcher.name]);
        }
    }
    Element { labels, value: 1.0, nameless: false }
}

/// The label of a classic histogram's bucket.
const BUCKET: &str = "le";

fn histogram_quantile(q: f64, elements: Vec<Element>) -> Vec<Element> {
    // The name counts, since two histograms of different names are two.
    let mut histograms: Vec<(Element, Vec<Bucket>)> = Vec::new();
    let grouping = Grouping { listed: false, names: [BUCKET.to_owned()].into() };
    let mut groups = super::group::Groups::new(&grouping);
    let mut of_group: Vec<Vec<usize>> = Vec::new();
    for element in elements {
        let Some(upper) = element.labels.get(BUCKET).and_then(bound) else { continue };
        let bucket = Bucket { upper, count: element.value };
        let (number, new) = groups.put(&element.labels);
        if new {
            of_group.push(Vec::new());
        }
        let Some(candidates) = of_group.get_mut(number) else { continue };
        let name = element.labels.metric_name();
        let same = |index: &&usize| {
            histograms.get(**index).is_some_and(|(histogram, _)| histogram.labels.metric_name() == name)
        };
        match candidates.iter().find(same).copied() {
            Some(index) => {
                if let Some((_, buckets)) = histograms.get_mut(index) {
                    buckets.push(bucket);
                }
            }
            None => {
                candidates.push(histograms.len());
                let labels = element.labels.without(&[BUCKET]);
                histograms.push((Element { labels, value: 0.0, nameless: true }, vec![bucket]));
            }
        }
    }
    let value = |(histogram, buckets)| Element { value: histogram::quantile(q, buckets), ..histogram };
    histograms.into_iter().map(value).collect()
}

/// The upper bound of a bucket as its label says it.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok()
}
