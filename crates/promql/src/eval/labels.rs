//! Functions that change labels.

use super::{Element, unique};
use crate::expr::EvalError;
use crate::labels::METRIC_NAME;
use crate::node::{Call, Node};

/// The longest value that a function may make of others, in bytes: calls can be nested, and each can
/// double a value.
const MAX_VALUE: usize = 16 * 1024;

fn text(call: &Call, index: usize) -> &str {
    match call.arguments.get(index) {
        Some(Node::Text(text)) => text,
        _ => "",
    }
}

/// `label_replace(v, destination, replacement, source, pattern)`.
pub(super) fn replace(call: &Call, mut elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    let Some(pattern) = &call.pattern else { return Ok(elements) };
    let (destination, replacement, source) = (text(call, 1), text(call, 2), text(call, 3));
    for element in &mut elements {
        let Some(found) = pattern.captures(element.labels.get(source).unwrap_or("")) else { continue };
        let mut value = String::new();
        found.expand(replacement, &mut value);
        put(element, destination, &value)?;
    }
    unique(elements.iter().map(|element| &element.labels))?;
    Ok(elements)
}

/// `label_join(v, destination, separator, source…)`.
pub(super) fn join(call: &Call, mut elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    let (destination, separator) = (text(call, 1), text(call, 2));
    for element in &mut elements {
        let sources =
            (3..call.arguments.len()).map(|index| element.labels.get(text(call, index)).unwrap_or(""));
        let value = sources.collect::<Vec<_>>().join(separator);
        put(element, destination, &value)?;
    }
    unique(elements.iter().map(|element| &element.labels))?;
    Ok(elements)
}

fn put(element: &mut Element, label: &str, value: &str) -> Result<(), EvalError> {
    if value.len() > MAX_VALUE {
        return Err(EvalError::TooLarge(format!("a label value of {} bytes", value.len())));
    }
    element.labels = element.labels.with(label, value);
    if label == METRIC_NAME {
        element.nameless = false;
    }
    Ok(())
}
