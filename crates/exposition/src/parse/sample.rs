//! A sample as it stands on the page.

use std::borrow::Cow;

use super::line::{name_length, quoted};

/// A sample. Everything in it borrows from the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The series as it is written, `name{labels}`: what a [`super::SeriesCache`] knows it by.
    pub series: &'a str,
    /// The name of the metric.
    pub name: Cow<'a, str>,
    /// Its labels, to be decoded.
    pub(super) labels: Labels<'a>,
    /// The value.
    pub value: f64,
    /// Unix milliseconds, if the page says when.
    pub timestamp: Option<i64>,
}

impl<'a> Sample<'a> {
    /// Decodes the labels, in the order of the page; no name is there twice.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let mut rest = self.labels.0;
        std::iter::from_fn(move || {
            loop {
                let (pair, after) = next(rest)?;
                rest = after;
                // A string alone is the metric's name.
                if let (name, Some(value)) = pair {
                    return Some((unescaped(name), unescaped(value)));
                }
            }
        })
    }

    /// The value of one label, decoded.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        self.labels().find(|(label, _)| label == name).map(|(_, value)| value)
    }
}

/// The text between the braces, checked when the line was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Labels<'a>(pub(super) &'a str);

type Pair<'a> = (&'a str, Option<&'a str>);

/// The first name and value, still escaped, and what follows them.
fn next(text: &str) -> Option<(Pair<'_>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let (name, rest) = match quoted(text) {
        Some(found) => found,
        None => text.split_at(name_length(text, false)),
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    match rest.strip_prefix('=') {
        Some(rest) => {
            let (value, rest) = quoted(rest.trim_start_matches([' ', '\t']))?;
            Some(((name, Some(value)), rest))
        }
        None if name.is_empty() => None,
        None => Some(((name, None), rest)),
    }
}

/// Replaces `\\`, `\"` and `\n`; any other backslash stays, as in Prometheus.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (replacement, length) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ("\\", 2),
            Some(b'"') => ("\"", 2),
            Some(b'n') => ("\n", 2),
            _ => ("\\", 1),
        };
        out.push_str(replacement);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}
