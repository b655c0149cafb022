//! Results compared with what a script expects.

use std::collections::BTreeMap;

use super::Verdict;
use super::read::{Evaluation, Expected, Message, Span};
use crate::expr::EvalError;
use crate::labels::Labels;
use crate::value::Value;

/// How far a result may be off, as a share of the sum of the two: Prometheus's own tolerance.
const TOLERANCE: f64 = 1e-6;

fn near(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

pub(super) fn failure(expected: &Expected, error: &EvalError) -> Verdict {
    let text = error.to_string();
    let Expected::Failure(message) = expected else { return Verdict::Failed(format!("fails: {text}")) };
    let met = match message {
        Message::Any => true,
        Message::Exactly(wanted) => text == *wanted,
        Message::Matching(pattern) => regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&text)),
    };
    if met { Verdict::Passed } else { Verdict::Failed(format!("fails with {text:?}, expected {message:?}")) }
}

type ByTime = BTreeMap<i64, f64>;

pub(super) fn results(evaluation: &Evaluation, results: &[Value]) -> Verdict {
    let differs = match &evaluation.expected {
        Expected::Failure(_) => Some(format!("succeeds, but is expected to fail: {results:?}")),
        Expected::Histograms => None,
        Expected::Scalar(wanted) => match results {
            [Value::Scalar(got)] if near(*got, *wanted) => None,
            got => Some(format!("expected {wanted}, got {got:?}")),
        },
        Expected::Text(wanted) => match results {
            [Value::String(got)] if got == wanted => None,
            got => Some(format!("expected {wanted:?}, got {got:?}")),
        },
        Expected::Matrix { series, span } => {
            let wanted = by_time(series, *span);
            let mut got: BTreeMap<Labels, ByTime> = BTreeMap::new();
            if let [Value::Matrix(found)] = results {
                for series in found {
                    let points = series.points.iter().map(|point| (point.at_ms, point.value)).collect();
                    got.insert(series.labels.clone(), points);
                }
            }
            compare(&wanted, &got)
        }
        Expected::Series { series, ordered } => {
            let wanted = by_time(series, evaluation.span);
            let mut got: BTreeMap<Labels, ByTime> = BTreeMap::new();
            let mut order = Vec::new();
            for (at_ms, value) in evaluation.span.instants().zip(results) {
                match value {
                    Value::Scalar(number) => {
                        got.entry(Labels::empty()).or_default().insert(at_ms, *number);
                    }
                    Value::Vector(elements) => {
                        for element in elements {
                            got.entry(element.labels.clone()).or_default().insert(at_ms, element.value);
                            order.push(&element.labels);
                        }
                    }
                    other => return Verdict::Failed(format!("unexpected {other:?}")),
                }
            }
            let wanted_order: Vec<&Labels> = series.iter().map(|(labels, _)| labels).collect();
            match compare(&wanted, &got) {
                None if *ordered && order != wanted_order => {
                    Some(format!("expected the order {wanted_order:?}, got {order:?}"))
                }
                compared => compared,
            }
        }
    };
    differs.map_or(Verdict::Passed, Verdict::Failed)
}

fn by_time(series: &[(Labels, Vec<Option<f64>>)], span: Span) -> BTreeMap<Labels, ByTime> {
    let points = |values: &[Option<f64>]| -> ByTime {
        span.instants().zip(values).filter_map(|(at_ms, value)| value.map(|value| (at_ms, value))).collect()
    };
    let wanted = series.iter().map(|(labels, values)| (labels.clone(), points(values)));
    wanted.filter(|(_, points)| !points.is_empty()).collect()
}

fn compare(wanted: &BTreeMap<Labels, ByTime>, got: &BTreeMap<Labels, ByTime>) -> Option<String> {
    let same = |a: &ByTime, b: &ByTime| {
        a.len() == b.len()
            && a.iter().zip(b).all(|((at, value), (other_at, other))| at == other_at && near(*value, *other))
    };
    for (labels, points) in wanted {
        match got.get(labels) {
            Some(found) if same(points, found) => {}
            found => return Some(format!("of {labels} expected {points:?}, got {found:?}")),
        }
    }
    got.iter()
        .find(|(labels, _)| !wanted.contains_key(labels))
        .map(|(labels, points)| format!("unexpected {labels}: {points:?}"))
}
