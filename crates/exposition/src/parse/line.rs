//! One line at a time.

use std::borrow::Cow;

use super::{
    Entry, Reason, Sample,
    sample::{Labels, unescaped},
};
use crate::Kind;

/// What a line says; nothing if it is empty or a comment.
pub(super) fn read(line: &str, openmetrics: bool, max_labels: usize) -> Result<Option<Entry<'_>>, Reason> {
    let line = line.trim_matches([' ', '\t', '\r']);
    match line.strip_prefix('#') {
        _ if line.is_empty() => Ok(None),
        Some(comment) => metadata(comment, openmetrics),
        None => sample(line, openmetrics, max_labels).map(|sample| Some(Entry::Sample(sample))),
    }
}

/// `HELP name text`, `TYPE name kind` or `UNIT name unit` behind a `#`; else a comment.
fn metadata(comment: &str, openmetrics: bool) -> Result<Option<Entry<'_>>, Reason> {
    // Without a space it is a comment that happens to begin like that.
    let Some(rest) = comment.strip_prefix([' ', '\t']) else { return Ok(None) };
    let (word, rest) = word(rest.trim_start_matches([' ', '\t']));
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Ok(None);
    }
    let (name, rest) = if rest.starts_with('"') {
        let (name, rest) = quoted(rest).ok_or(Reason::MetricName)?;
        (unescaped(name), rest.trim_start_matches([' ', '\t']))
    } else {
        let (name, rest) = self::word(rest);
        if name_length(name, true) != name.len() {
            return Err(Reason::MetricName);
        }
        (Cow::Borrowed(name), rest)
    };
    if name.is_empty() {
        return Err(Reason::MetricName);
    }
    Ok(Some(match word {
        "HELP" => {
            Entry::Help { name, help: if openmetrics { unescaped(rest) } else { unescaped_help(rest) } }
        }
        "TYPE" => Entry::Type { name, kind: Kind::parse(rest).ok_or(Reason::Type)? },
        _ => Entry::Unit { name, unit: rest },
    }))
}

/// The text of a `# HELP` line in the text format, where quotation marks need no backslash.
fn unescaped_help(text: &str) -> Cow<'_, str> {
    if text.contains("\\\"") {
        // There `\"` stays as it is.
        return Cow::Owned(text.split("\\\"").map(unescaped).collect::<Vec<_>>().join("\\\""));
    }
    unescaped(text)
}

fn sample(line: &str, openmetrics: bool, max_labels: usize) -> Result<Sample<'_>, Reason> {
    let length = name_length(line, true);
    let (bare, rest) = line.split_at(length);
    let rest = rest.trim_start_matches([' ', '\t']);
    let (name, labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let (quoted_name, length) = labels(inside, max_labels)?;
            let name = match (bare, quoted_name) {
                ("", Some(name)) => unescaped(name),
                ("", None) | (_, Some(_)) => return Err(Reason::MetricName),
                (bare, None) => Cow::Borrowed(bare),
            };
            (name, &inside[..length], &inside[length + 1..])
        }
        None if bare.is_empty() || rest.len() == line.len() - length => {
            return Err(if bare.is_empty() { Reason::MetricName } else { Reason::Value });
        }
        None => (Cow::Borrowed(bare), "", rest),
    };
    let series = line[..line.len() - rest.len()].trim_end_matches([' ', '\t']);
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, rest) = word(rest);
    let value = number(value).ok_or(Reason::Value)?;
    let (timestamp, rest) = timestamp(rest, openmetrics)?;
    if !rest.is_empty() {
        let exemplar = rest.strip_prefix('#').filter(|_| openmetrics).ok_or(Reason::Trailing)?;
        check_exemplar(exemplar, max_labels)?;
    }
    Ok(Sample { series, name, labels: Labels(labels), value, timestamp })
}

/// A timestamp, if one is there: milliseconds in the text format, seconds in OpenMetrics.
fn timestamp(rest: &str, openmetrics: bool) -> Result<(Option<i64>, &str), Reason> {
    if rest.is_empty() || rest.starts_with('#') {
        return Ok((None, rest));
    }
    let (text, rest) = word(rest);
    if !openmetrics {
        return text.parse().map(|ms| (Some(ms), rest)).map_err(|_| Reason::Timestamp);
    }
    let seconds = number(text).filter(|s| s.abs() < 9e15).ok_or(Reason::Timestamp)?;
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63")]
    let ms = (seconds * 1000.0).round() as i64;
    Ok((Some(ms), rest))
}

/// `{labels} value timestamp`, which nobody here uses.
fn check_exemplar(text: &str, max_labels: usize) -> Result<(), Reason> {
    let inside = text.trim_start_matches([' ', '\t']).strip_prefix('{').ok_or(Reason::Exemplar)?;
    let (name, length) = labels(inside, max_labels)?;
    let (value, rest) = word(inside[length + 1..].trim_start_matches([' ', '\t']));
    let (time, rest) = word(rest);
    let fits = name.is_none() && number(value).is_some() && (time.is_empty() || number(time).is_some());
    if fits && rest.is_empty() { Ok(()) } else { Err(Reason::Exemplar) }
}

/// Checks everything up to the closing brace, and finds it. A string without `=` is the metric's name,
/// where that is no identifier.
fn labels(text: &str, max_labels: usize) -> Result<(Option<&str>, usize), Reason> {
    let skip = |at: usize| at + text[at..].bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let bytes = text.as_bytes();
    let (mut at, mut metric) = (skip(0), None);
    let mut names: Vec<&str> = Vec::new();
    loop {
        if bytes.get(at) == Some(&b'}') {
            return Ok((metric, at));
        }
        let name = match bytes.get(at) {
            Some(b'"') => quoted(&text[at..]).ok_or(Reason::LabelName)?.0,
            _ => &text[at..at + name_length(&text[at..], false)],
        };
        let is_quoted = bytes.get(at) == Some(&b'"');
        at = skip(at + name.len() + if is_quoted { 2 } else { 0 });
        if name.is_empty() || name == "__name__" {
            return Err(Reason::LabelName);
        }
        if bytes.get(at) == Some(&b'=') {
            at = skip(at + 1);
            let (value, _) = quoted(&text[at..]).ok_or(Reason::LabelValue)?;
            at = skip(at + value.len() + 2);
            if names.contains(&name) {
                return Err(Reason::LabelTwice);
            }
            names.push(name);
            if names.len() > max_labels {
                return Err(Reason::TooManyLabels(max_labels));
            }
        } else if is_quoted && metric.is_none() {
            metric = Some(name);
        } else {
            return Err(if is_quoted { Reason::MetricName } else { Reason::LabelValue });
        }
        match bytes.get(at) {
            Some(b',') => at = skip(at + 1),
            Some(b'}') => {}
            _ => return Err(Reason::LabelEnd),
        }
    }
}

/// The inside of a string that begins at the beginning, still escaped, and what follows it.
pub(super) fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &inside.as_bytes()[at..])?;
        if inside.as_bytes()[at] == b'"' {
            return Some((&inside[..at], &inside[at + 1..]));
        }
        // Whatever is escaped is skipped; a character of several bytes has no quotation mark in it.
        at += 2;
        if at > inside.len() {
            return None;
        }
    }
}

/// The length of the identifier at the beginning.
pub(super) fn name_length(text: &str, metric: bool) -> usize {
    let fits = |(at, byte): &(usize, u8)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
        b':' => metric,
        b'0'..=b'9' => *at > 0,
        _ => false,
    };
    text.bytes().enumerate().take_while(fits).count()
}

/// The characters up to the next space, and what follows the spaces.
fn word(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches([' ', '\t']))
}

/// A number as Go's `ParseFloat` reads it, without hexadecimal, as in Prometheus.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}
