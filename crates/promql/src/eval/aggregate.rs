//! Aggregation over the elements of a vector.

use super::group::Groups;
use super::{Element, Evaluated, Evaluation};
use crate::expr::EvalError;
use crate::functions::math::{Mean, Sum, quantile};
use crate::labels::Label;
use crate::node::{Aggregate, Aggregation, Grouping};

impl Evaluation<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        let parameter = match &aggregate.parameter {
            Some(parameter) => Some(self.node(parameter, at_ms)?),
            None => None,
        };
        let number = parameter.as_ref().map_or(f64::NAN, Evaluated::scalar);
        if matches!(aggregate.aggregation, Aggregation::Topk | Aggregation::Bottomk) {
            check_count(number)?;
        }
        let elements = self.vector(&aggregate.inner, at_ms)?;
        let grouping = &aggregate.grouping;
        Ok(match (aggregate.aggregation, parameter) {
            (Aggregation::Topk | Aggregation::Bottomk, _) => {
                extremes(elements, grouping, number, aggregate.aggregation == Aggregation::Topk)
            }
            (Aggregation::Quantile, _) => quantiles(elements, grouping, number),
            (Aggregation::CountValues, Some(Evaluated::Text(label))) => {
                count_values(elements, grouping, &label)
            }
            (simple, _) => fold(elements, grouping, simple),
        })
    }
}

fn check_count(number: f64) -> Result<(), EvalError> {
    let failed = |why: String| Err(EvalError::Failed(why));
    if number.is_nan() {
        return failed("Parameter value is NaN".to_owned());
    }
    if number >= i64::MAX as f64 {
        return failed(format!("Scalar value {number} overflows int64"));
    }
    if number <= i64::MIN as f64 {
        return failed(format!("Scalar value {number} underflows int64"));
    }
    Ok(())
}

/// What is known of a group so far.
enum Folded {
    Count(f64),
    Extreme(f64),
    Sum(Sum),
    Mean(Mean),
    Deviation { count: f64, mean: f64, squares: f64 },
}

impl Folded {
    fn first(aggregation: Aggregation, value: f64) -> Self {
        match aggregation {
            Aggregation::Sum => Self::Sum(Sum::of(value)),
            Aggregation::Avg => Self::Mean(Mean::of(value)),
            Aggregation::Count | Aggregation::Group => Self::Count(1.0),
            Aggregation::Stddev | Aggregation::Stdvar => {
                let squares = if value.is_finite() { 0.0 } else { f64::NAN };
                Self::Deviation { count: 1.0, mean: value, squares }
            }
            _ => Self::Extreme(value),
        }
    }

    fn add(&mut self, aggregation: Aggregation, value: f64) {
        match self {
            Self::Count(count) if aggregation == Aggregation::Count => *count += 1.0,
            Self::Count(_) => {}
            Self::Extreme(extreme) => {
                let beyond =
                    if aggregation == Aggregation::Max { value > *extreme } else { value < *extreme };
                if beyond || extreme.is_nan() {
                    *extreme = value;
                }
            }
            Self::Sum(sum) => *sum = sum.plus(value),
            Self::Mean(mean) => mean.add(value),
            Self::Deviation { count, mean, squares } => {
                *count += 1.0;
                let delta = value - *mean;
                *mean += delta / *count;
                *squares += delta * (value - *mean);
            }
        }
    }

    fn value(&self, aggregation: Aggregation) -> f64 {
        match self {
            Self::Count(value) | Self::Extreme(value) => *value,
            Self::Sum(sum) => sum.value(),
            Self::Mean(mean) => mean.value(),
            Self::Deviation { count, squares, .. } if aggregation == Aggregation::Stdvar => squares / count,
            Self::Deviation { count, squares, .. } => (squares / count).sqrt(),
        }
    }
}

fn fold(elements: Vec<Element>, grouping: &Grouping, aggregation: Aggregation) -> Vec<Element> {
    let mut groups = Groups::new(grouping);
    let mut folded: Vec<(Folded, Element)> = Vec::new();
    for element in elements {
        let (number, new) = groups.put(&element.labels);
        if new {
            let labels = grouping.of(&element.labels);
            folded.push((Folded::first(aggregation, element.value), Element { labels, ..element }));
        } else if let Some((state, group)) = folded.get_mut(number) {
            state.add(aggregation, element.value);
            group.nameless |= element.nameless;
        }
    }
    folded.into_iter().map(|(state, group)| Element { value: state.value(aggregation), ..group }).collect()
}

/// The elements in their groups, in the order in which the groups first come.
fn grouped(elements: Vec<Element>, grouping: &Grouping) -> Vec<Vec<Element>> {
    let mut groups = Groups::new(grouping);
    let mut members: Vec<Vec<Element>> = Vec::new();
    for element in elements {
        let (number, new) = groups.put(&element.labels);
        match members.get_mut(number) {
            Some(group) if !new => group.push(element),
            _ => members.push(vec![element]),
        }
    }
    members
}

fn extremes(elements: Vec<Element>, grouping: &Grouping, count: f64, top: bool) -> Vec<Element> {
    if count < 1.0 {
        return Vec::new();
    }
    let mut chosen = Vec::new();
    for mut group in grouped(elements, grouping) {
        group.sort_by(|a, b| match (a.value.is_nan(), b.value.is_nan()) {
            (false, false) if top => b.value.total_cmp(&a.value),
            (false, false) => a.value.total_cmp(&b.value),
            (a, b) => a.cmp(&b),
        });
        group.truncate(count as usize);
        chosen.append(&mut group);
    }
    chosen
}

fn quantiles(elements: Vec<Element>, grouping: &Grouping, q: f64) -> Vec<Element> {
    let of_group = |group: Vec<Element>| {
        let mut values: Vec<f64> = group.iter().map(|element| element.value).collect();
        let nameless = group.iter().any(|element| element.nameless);
        let labels = grouping.of(&group.first()?.labels);
        Some(Element { labels, value: quantile(q, &mut values), nameless })
    };
    grouped(elements, grouping).into_iter().filter_map(of_group).collect()
}

/// Counts equal values: each with its value as a label, which replaces one of that name. Grouping comes
/// after, so that `without` can take that label away again.
fn count_values(mut elements: Vec<Element>, grouping: &Grouping, label: &str) -> Vec<Element> {
    for element in &mut elements {
        element.labels = element.labels.with_label(Label::new(label, &number(element.value)));
    }
    if !grouping.listed {
        return fold(elements, grouping, Aggregation::Count);
    }
    let names = grouping.names.iter().cloned().chain([label.to_owned()]).collect();
    fold(elements, &Grouping { listed: true, names }, Aggregation::Count)
}

/// A number as Go's format `f` writes it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
