//! Every error of a file at once.
//!
//! serde stops at the first. So the entry that is wrong is blanked out, lines kept, and the rest decoded
//! again, until nothing new is wrong. What only follows from the blanking is not reported: a key that
//! is now missing, or an entry around a blanked one that is now empty.

use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::Error;

/// More would not be read.
const MAX_ERRORS: usize = 10;

/// One error, where it has a place in the file.
pub(super) struct Found {
    pub(super) place: Option<(u64, u64)>,
    pub(super) message: String,
}

/// Decodes `text`, or finds what is wrong with it, in the order of the file.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Found>> {
    let error = match read::<T>(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if read::<IgnoredAny>(text).is_err() {
        // No YAML: nothing of the rest can be relied on.
        return Err(vec![found(&error)]);
    }
    let mut lines: Vec<&str> = text.lines().collect();
    // Lines around what was blanked: what is wrong with them now need not have been.
    let mut touched = BTreeSet::new();
    let mut errors = vec![found(&error)];
    while let Some((line, _)) = errors.last().and_then(|error| error.place) {
        let Some(at) = usize::try_from(line).ok().and_then(|line| line.checked_sub(1)) else { break };
        if at >= lines.len() || errors.len() == MAX_ERRORS {
            break;
        }
        blank(&mut lines, at, &mut touched);
        let rest = lines.join("\n");
        if super::is_blank(&rest) || read::<IgnoredAny>(&rest).is_err() {
            break;
        }
        let Err(error) = read::<T>(&rest) else { break };
        let next = found(&error);
        let follows = matches!(error, Error::SerdeMissingField { .. })
            || next.place.is_none_or(|(line, _)| touched.contains(&line));
        if follows {
            break;
        }
        errors.push(next);
    }
    errors.sort_by_key(|error| error.place);
    Err(errors)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let text = if super::is_blank(text) { "{}" } else { text };
    // Snippets print neighbouring lines, and so secrets.
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
}

fn found(error: &Error) -> Found {
    let place = error.location().map(|at| (at.line(), at.column()));
    let rendered = error.without_snippet().to_string();
    // The place stands in front of the message already.
    let message = rendered.split(" at line ").next().unwrap_or(&rendered);
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    Found { place, message: lines.collect::<Vec<_>>().join(" ") }
}

/// Empties line `at` and what is indented below it, and notes the entries that it was in.
fn blank(lines: &mut [&str], at: usize, touched: &mut BTreeSet<u64>) {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut depth = indent(lines[at]);
    for line in &mut lines[at + 1..] {
        if !line.trim().is_empty() && indent(line) <= depth {
            break;
        }
        *line = "";
    }
    touched.insert(at as u64 + 1);
    for (above, line) in lines[..at].iter().enumerate().rev() {
        // A list may stand at the depth of its key.
        let is_list = lines[at].trim_start().starts_with('-') && !line.trim_start().starts_with('-');
        let around = indent(line) < depth || (is_list && indent(line) == depth);
        if !line.trim().is_empty() && around {
            depth = indent(line);
            touched.insert(above as u64 + 1);
        }
    }
    lines[at] = "";
}
