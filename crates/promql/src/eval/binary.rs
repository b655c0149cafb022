//! Operators between scalars and vectors, and the matching of vectors.

use super::group::Groups;
use super::{Element, Evaluated, Evaluation};
use crate::expr::EvalError;
use crate::labels::{Labels, METRIC_NAME};
use crate::node::{Binary, Cardinality, Operator};

/// The result of an operator on two numbers: a value, and for comparisons whether they hold.
fn apply(operator: Operator, left: f64, right: f64) -> (f64, bool) {
    match operator {
        Operator::Add => (left + right, true),
        Operator::Sub => (left - right, true),
        Operator::Mul => (left * right, true),
        Operator::Div => (left / right, true),
        Operator::Mod => (left % right, true),
        Operator::Pow => (left.powf(right), true),
        Operator::Atan2 => (left.atan2(right), true),
        Operator::Equal => (left, left == right),
        Operator::NotEqual => (left, left != right),
        Operator::Less => (left, left < right),
        Operator::LessEqual => (left, left <= right),
        Operator::Greater => (left, left > right),
        Operator::GreaterEqual => (left, left >= right),
        Operator::And | Operator::Or | Operator::Unless => (left, true),
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl<'w> Evaluation<'w> {
    pub(super) fn binary(&self, binary: &Binary, at_ms: i64) -> Result<Evaluated<'w>, EvalError> {
        let left = self.node(&binary.left, at_ms)?;
        let right = self.node(&binary.right, at_ms)?;
        let elements = match (left, right) {
            (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
                let (value, holds) = apply(binary.operator, left, right);
                return Ok(Evaluated::Scalar(if binary.operator.is_comparison() {
                    truth(holds)
                } else {
                    value
                }));
            }
            (Evaluated::Vector(left), Evaluated::Scalar(right)) => {
                self.settle(with_scalar(binary, left, |value| apply(binary.operator, value, right)))?
            }
            (Evaluated::Scalar(left), Evaluated::Vector(right)) => {
                self.settle(with_scalar(binary, right, |value| apply(binary.operator, left, value)))?
            }
            (left, right) if binary.operator.is_set() => set(binary, left.vector(), right.vector()),
            (left, right) => self.settle(matched(binary, left.vector(), right.vector())?)?,
        };
        Ok(Evaluated::Vector(elements))
    }
}

fn with_scalar(
    binary: &Binary,
    mut elements: Vec<Element>,
    result: impl Fn(f64) -> (f64, bool),
) -> Vec<Element> {
    let comparison = binary.operator.is_comparison();
    elements.retain_mut(|element| {
        let (value, holds) = result(element.value);
        if comparison && !binary.boolean {
            // A comparison that filters keeps the value of the vector, on whichever side it is.
            return holds;
        }
        element.value = if comparison { truth(holds) } else { value };
        element.nameless = true;
        true
    });
    elements
}

fn set(binary: &Binary, left: Vec<Element>, right: Vec<Element>) -> Vec<Element> {
    let signatures = |elements: &[Element]| {
        let mut groups = Groups::new(&binary.matching);
        for element in elements {
            groups.put(&element.labels);
        }
        groups
    };
    match binary.operator {
        Operator::Or => {
            let present = signatures(&left);
            let more = right.into_iter().filter(|element| present.find(&element.labels).is_none());
            let mut all = left;
            let more: Vec<Element> = more.collect();
            all.extend(more);
            all
        }
        operator => {
            let present = signatures(&right);
            let wanted = operator == Operator::And;
            left.into_iter().filter(|element| present.find(&element.labels).is_some() == wanted).collect()
        }
    }
}

/// Matches two vectors, one element of the "one" side at most to each element of the other.
fn matched(binary: &Binary, left: Vec<Element>, right: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    if left.is_empty() || right.is_empty() {
        return Ok(Vec::new());
    }
    let swapped = matches!(binary.cardinality, Cardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut ones = Groups::new(&binary.matching);
    let mut first: Vec<usize> = Vec::with_capacity(one.len());
    for (index, element) in one.iter().enumerate() {
        let (number, new) = ones.put(&element.labels);
        if new {
            first.push(index);
        } else if let Some(other) = first.get(number).and_then(|index| one.get(*index)) {
            return Err(duplicate(binary, &other.labels, &element.labels, swapped));
        }
    }
    let one_to_one = matches!(binary.cardinality, Cardinality::OneToOne);
    let mut taken = vec![false; first.len()];
    let mut results = Vec::new();
    for element in many {
        let Some(number) = ones.find(&element.labels) else { continue };
        let Some(other) = first.get(number).and_then(|index| one.get(*index)) else { continue };
        if let Some(taken) = taken.get_mut(number) {
            if one_to_one && *taken {
                let why = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                return Err(EvalError::Failed(why.to_owned()));
            }
            *taken = true;
        }
        let (left, right) = if swapped { (other.value, element.value) } else { (element.value, other.value) };
        let (mut value, holds) = apply(binary.operator, left, right);
        if binary.boolean {
            value = truth(holds);
        } else if !holds {
            continue;
        }
        let labels = result_labels(binary, &element.labels, &other.labels);
        // A comparison that filters brings back a name whose drop was only delayed, as in Prometheus.
        let nameless = binary.boolean;
        results.push(Element { labels, value, nameless });
    }
    if !one_to_one {
        let why = "multiple matches for labels: grouping labels must ensure unique matches";
        super::unique(results.iter().map(|element| &element.labels))
            .map_err(|_| EvalError::Failed(why.to_owned()))?;
    }
    Ok(results)
}

fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let labels = match &binary.cardinality {
        Cardinality::OneToOne if binary.matching.listed => binary.matching.of(many),
        Cardinality::OneToOne => many.without(&binary.matching.names),
        Cardinality::ManyToOne(include) | Cardinality::OneToMany(include) => {
            include.iter().fold(without_name(binary, many), |labels, name| match one.label(name) {
                Some(label) => labels.with_label(label.clone()),
                None => labels.without(&[name]),
            })
        }
    };
    match binary.cardinality {
        Cardinality::OneToOne => without_name(binary, &labels),
        _ => labels,
    }
}

/// A calculated value is no longer what the name says; a compared one is.
fn without_name(binary: &Binary, labels: &Labels) -> Labels {
    if binary.operator.is_comparison() { labels.clone() } else { labels.without_metadata() }
}

fn duplicate(binary: &Binary, one: &Labels, other: &Labels, swapped: bool) -> EvalError {
    let side = if swapped { "left" } else { "right" };
    let group = if binary.matching.listed {
        one.only(&binary.matching.names)
    } else {
        one.without(&binary.matching.names).without(&[METRIC_NAME])
    };
    let (one, other) = if one <= other { (one, other) } else { (other, one) };
    EvalError::Failed(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
         [{one}, {other}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}
