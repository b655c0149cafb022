//! Reading both text formats, in full and within bounds.
//!
//! Nothing is copied: entries borrow from the page, and labels are decoded when asked for, which with a
//! [`SeriesCache`] is once in the life of a series. No message repeats what the page says, only where.

mod cache;
mod line;
mod sample;
mod stream;

pub use cache::SeriesCache;
pub use sample::Sample;
pub use stream::Stream;

use std::borrow::Cow;

use crate::{Format, Kind};

/// Bounds of a page that is read. The defaults take 100,000 connections ten times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the page.
    pub bytes: usize,
    /// Bytes of a line.
    pub line: usize,
    /// Labels of a series.
    pub labels: usize,
    /// Samples of the page.
    pub samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 768 << 20, line: 64 << 10, labels: 64, samples: 3_000_000 }
    }
}

/// Why a page cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// See [`Limits::bytes`].
    #[error("the page is larger than {0} bytes")]
    TooLarge(usize),
    /// See [`Limits::line`].
    #[error("longer than {0} bytes")]
    LineTooLong(usize),
    /// See [`Limits::labels`].
    #[error("more than {0} labels")]
    TooManyLabels(usize),
    /// See [`Limits::samples`].
    #[error("the page has more than {0} samples")]
    TooManySamples(usize),
    /// A byte sequence that is no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// The page was cut off: no line feed at its end, or in OpenMetrics no `# EOF`.
    #[error("the page ends too early")]
    CutOff,
    /// Something follows `# EOF`.
    #[error("text after # EOF")]
    AfterEof,
    /// Not the name of a metric.
    #[error("expected a metric name")]
    MetricName,
    /// Not the name of a label, or a reserved one.
    #[error("expected a label name")]
    LabelName,
    /// Two labels of one name.
    #[error("a label name is there twice")]
    LabelTwice,
    /// Not `="…"`, or the string does not end.
    #[error("expected a label value in quotation marks")]
    LabelValue,
    /// Neither a comma nor the closing brace.
    #[error("expected a comma or a closing brace after a label")]
    LabelEnd,
    /// Not a number.
    #[error("expected a value")]
    Value,
    /// Not a time.
    #[error("expected a timestamp")]
    Timestamp,
    /// Not an exemplar.
    #[error("expected an exemplar")]
    Exemplar,
    /// Something after the sample.
    #[error("unexpected text at the end of the line")]
    Trailing,
    /// A word after `# TYPE name` that is no type.
    #[error("unknown metric type")]
    Type,
}

/// What a line says. Comments and empty lines say nothing and are passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP name text`
    Help {
        /// The family.
        name: Cow<'a, str>,
        /// What it means.
        help: Cow<'a, str>,
    },
    /// `# TYPE name kind`
    Type {
        /// The family; in OpenMetrics without `_total`.
        name: Cow<'a, str>,
        /// Its type.
        kind: Kind,
    },
    /// `# UNIT name unit` (OpenMetrics)
    Unit {
        /// The family.
        name: Cow<'a, str>,
        /// Its unit.
        unit: &'a str,
    },
    /// `name{labels} value timestamp`
    Sample(Sample<'a>),
}

/// Reads a page from its beginning; an iterator that ends at the end or after the first error.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    rest: &'a str,
    format: Format,
    limits: Limits,
    line: usize,
    samples: usize,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Reading,
    Refused(ParseError),
    AtEof,
    Done,
}

impl<'a> Parser<'a> {
    /// A parser of a whole page, in the format that its `Content-Type` names
    /// ([`Format::of_content_type`]).
    pub fn new(page: &'a [u8], format: Format, limits: &Limits) -> Self {
        let (rest, state) = if page.len() > limits.bytes {
            ("", State::Refused(ParseError { line: 1, reason: Reason::TooLarge(limits.bytes) }))
        } else {
            match std::str::from_utf8(page) {
                Ok(text) => (text, State::Reading),
                Err(error) => {
                    let line = 1 + memchr::memchr_iter(b'\n', &page[..error.valid_up_to()]).count();
                    ("", State::Refused(ParseError { line, reason: Reason::NotUtf8 }))
                }
            }
        };
        Self { rest, format, limits: *limits, line: 0, samples: 0, state }
    }

    /// The next sample; everything else is passed over.
    ///
    /// # Errors
    /// As the iterator.
    pub fn next_sample(&mut self) -> Result<Option<Sample<'a>>, ParseError> {
        for entry in self.by_ref() {
            if let Entry::Sample(sample) = entry? {
                return Ok(Some(sample));
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>, Reason> {
        let openmetrics = matches!(self.format, Format::OpenMetrics(_));
        while !self.rest.is_empty() {
            self.line += 1;
            let end = memchr::memchr(b'\n', self.rest.as_bytes());
            let (line, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                // OpenMetrics wants no line feed after its last line.
                None if openmetrics && self.rest == "# EOF" => (self.rest, ""),
                // A number that was cut off is another number.
                None => return Err(Reason::CutOff),
            };
            if line.len() > self.limits.line {
                return Err(Reason::LineTooLong(self.limits.line));
            }
            self.rest = rest;
            if openmetrics && line == "# EOF" {
                self.state = State::AtEof;
                return if rest.is_empty() { Ok(None) } else { Err(Reason::AfterEof) };
            }
            let Some(entry) = line::read(line, openmetrics, self.limits.labels)? else { continue };
            if matches!(entry, Entry::Sample(_)) {
                self.samples += 1;
                if self.samples > self.limits.samples {
                    return Err(Reason::TooManySamples(self.limits.samples));
                }
            }
            return Ok(Some(entry));
        }
        if openmetrics && self.state != State::AtEof {
            self.line += 1;
            return Err(Reason::CutOff);
        }
        Ok(None)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        if let State::Refused(error) = std::mem::replace(&mut self.state, State::Reading) {
            self.state = State::Done;
            return Some(Err(error));
        }
        match self.step() {
            Ok(Some(entry)) => Some(Ok(entry)),
            Ok(None) => {
                self.state = State::Done;
                None
            }
            Err(reason) => {
                self.state = State::Done;
                Some(Err(ParseError { line: self.line, reason }))
            }
        }
    }
}

/// All samples of a page; see [`Parser`] for reading them one by one.
///
/// # Errors
/// The first line that cannot be read, or the bound that was exceeded.
pub fn parse<'a>(page: &'a [u8], format: Format, limits: &Limits) -> Result<Vec<Sample<'a>>, ParseError> {
    let mut parser = Parser::new(page, format, limits);
    let mut samples = Vec::new();
    while let Some(sample) = parser.next_sample()? {
        samples.push(sample);
    }
    Ok(samples)
}
