//! The series notation of promtool's unit tests: `metric{label="value"} 1+2x5 _ stale`.
//!
//! Facts from Prometheus's documentation of unit tests: `a+bxn` is `a, a+b, …, a+n*b` (n+1 samples),
//! `a-bxn` counts down, `axn` repeats a (n+1 samples), `_` is a missing sample and `_xn` n of them,
//! `stale` ends the series.

use crate::labels::{Labels, METRIC_NAME};

/// The most samples that one series may describe.
const MAX_SAMPLES: usize = 1_000_000;

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Nothing was scraped.
    Missing,
    /// A value.
    Value(f64),
    /// The staleness marker.
    Stale,
    /// A native histogram (`{{…}}`), whose contents are not read.
    Histogram,
}

/// A series: its labels and its samples, one a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The labels.
    pub labels: Labels,
    /// The samples.
    pub steps: Vec<Step>,
}

/// A notation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// The metric or its labels.
    #[error("bad metric {0:?}: {1}")]
    Metric(String, &'static str),
    /// A sample.
    #[error("bad sample {0:?}: write numbers like 1, 1+2x5, 3x4, _, _x3 or stale, separated by blanks")]
    Sample(String),
    /// More samples than a series may have.
    #[error("more than {MAX_SAMPLES} samples")]
    TooMany,
}

/// Reads a whole line: a metric and its samples.
pub fn parse(line: &str) -> Result<Description, SeriesError> {
    let (labels, rest) = parse_metric(line)?;
    Ok(Description { labels, steps: parse_values(rest)? })
}

/// Reads a metric with its labels at the start of a text; the rest of the text is returned too.
///
/// The name may stand before the braces, or among the labels in quotes.
pub fn parse_metric(text: &str) -> Result<(Labels, &str), SeriesError> {
    let mut reader = Reader { text, rest: text.trim_start() };
    let mut pairs: Vec<(String, String)> = Vec::new();
    let name = reader.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(reader.error("a name does not begin with a digit"));
    }
    let named = !name.is_empty();
    if named {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    // Two braces are the first sample, a native histogram.
    if !reader.rest.trim_start().starts_with("{{") && reader.take('{') {
        while !reader.take('}') {
            let (label, quoted) = match reader.quoted()? {
                Some(label) => (label, true),
                None => (reader.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned(), false),
            };
            if label.is_empty() {
                return Err(reader.error("a label is expected"));
            }
            if reader.take('=') {
                let Some(value) = reader.quoted()? else {
                    return Err(reader.error("a quoted value is expected"));
                };
                pairs.push((label, value));
            } else if quoted && !named {
                pairs.push((METRIC_NAME.to_owned(), label));
            } else {
                return Err(reader.error("= is expected after a label"));
            }
            if !reader.take(',') && !reader.rest.starts_with('}') {
                return Err(reader.error(", or } is expected"));
            }
        }
    } else if !named {
        return Err(reader.error("a metric name or { is expected"));
    }
    Ok((Labels::new(pairs), reader.rest))
}

/// Reads samples separated by blanks.
pub fn parse_values(text: &str) -> Result<Vec<Step>, SeriesError> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = if rest.starts_with("{{") { histogram_end(rest) } else { rest.find(char::is_whitespace) };
        let (item, after) = rest.split_at(end.unwrap_or(rest.len()));
        parse_item(item, &mut steps)?;
        rest = after.trim_start();
    }
    Ok(steps)
}

/// Where a histogram ends, with the repetition glued to it: `{{…}}+{{…}}x3`.
fn histogram_end(text: &str) -> Option<usize> {
    let close = text.find("}}")? + 2;
    let tail = text.get(close..)?;
    match tail.strip_prefix(['+', '-']) {
        Some(next) if next.starts_with("{{") => {
            let skipped = text.len() - next.len();
            Some(skipped + histogram_end(next).unwrap_or(next.len()))
        }
        _ => tail.find(char::is_whitespace).map(|end| close + end),
    }
}

fn parse_item(item: &str, steps: &mut Vec<Step>) -> Result<(), SeriesError> {
    let bad = || SeriesError::Sample(item.to_owned());
    let mut push = |step: Step, times: usize| {
        if steps.len().saturating_add(times) > MAX_SAMPLES {
            return Err(SeriesError::TooMany);
        }
        steps.extend(std::iter::repeat_n(step, times));
        Ok(())
    };
    if item.starts_with("{{") {
        let Some((_, tail)) = item.rsplit_once("}}") else { return Err(bad()) };
        let times = match tail.strip_prefix('x') {
            Some(times) => times.parse::<usize>().map_err(|_| bad())?.saturating_add(1),
            None if tail.is_empty() => 1,
            None => return Err(bad()),
        };
        return push(Step::Histogram, times);
    }
    if item == "stale" {
        return push(Step::Stale, 1);
    }
    if let Some(tail) = item.strip_prefix('_') {
        let times = match tail.strip_prefix('x') {
            Some(times) => times.parse().map_err(|_| bad())?,
            None if tail.is_empty() => 1,
            None => return Err(bad()),
        };
        return push(Step::Missing, times);
    }
    let (first, tail) = number(item).ok_or_else(bad)?;
    if tail.is_empty() {
        return push(Step::Value(first), 1);
    }
    if let Some(times) = tail.strip_prefix('x') {
        let times = times.parse::<usize>().map_err(|_| bad())?;
        return push(Step::Value(first), times.saturating_add(1));
    }
    let (step, tail) = match tail.split_at_checked(1) {
        Some(("+", tail)) => number(tail).ok_or_else(bad)?,
        Some(("-", tail)) => number(tail).map(|(step, tail)| (-step, tail)).ok_or_else(bad)?,
        _ => return Err(bad()),
    };
    let times: usize = tail.strip_prefix('x').and_then(|times| times.parse().ok()).ok_or_else(bad)?;
    if times >= MAX_SAMPLES {
        return Err(SeriesError::TooMany);
    }
    let mut value = first;
    for _ in 0..=times {
        push(Step::Value(value), 1)?;
        value += step;
    }
    Ok(())
}

/// The longest number at the start of a text (`-1.5e3`, `Inf`, `NaN`, `0x1f` is not one), and the rest.
fn number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let word = unsigned.get(..3).unwrap_or("");
    if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
        let (head, tail) = text.split_at(sign + 3);
        return Some((head.parse().ok()?, tail));
    }
    let bytes = unsigned.as_bytes();
    let digits = |from: usize| from + bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = if matches!(bytes.get(end + 1), Some(b'+' | b'-')) { end + 2 } else { end + 1 };
        if digits(signed) > signed {
            end = digits(signed);
        }
    }
    let (head, tail) = text.split_at(sign + end);
    Some((head.parse().ok()?, tail))
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn word(&mut self, part: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()));
        self.rest = rest;
        word
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest.trim_start());
        rest.is_some()
    }

    fn quoted(&mut self) -> Result<Option<String>, SeriesError> {
        let rest = self.rest.trim_start();
        if !rest.starts_with(['"', '\'', '`']) {
            return Ok(None);
        }
        match crate::quoted::unquote_prefix(rest) {
            Some((text, length)) => {
                self.rest = rest.get(length..).unwrap_or("");
                Ok(Some(text))
            }
            None => Err(self.error("a string does not end, or holds a bad escape")),
        }
    }

    fn error(&self, why: &'static str) -> SeriesError {
        SeriesError::Metric(self.text.chars().take(200).collect(), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<f64> {
        let steps = parse_values(text).unwrap();
        steps
            .into_iter()
            .map(|step| match step {
                Step::Value(value) => value,
                other => panic!("{other:?} in {text}"),
            })
            .collect()
    }

    #[test]
    fn notations_of_the_documentation() {
        assert_eq!(values("-2+4x3"), [-2.0, 2.0, 6.0, 10.0]);
        assert_eq!(values("1-2x4"), [1.0, -1.0, -3.0, -5.0, -7.0]);
        assert_eq!(values("-2-3x2"), [-2.0, -5.0, -8.0]);
        assert_eq!(values("1x4"), [1.0; 5]);
        assert_eq!(values("1 2.5 1e3 -1e-1 .5 0+1.5e1x1"), [1.0, 2.5, 1000.0, -0.1, 0.5, 0.0, 15.0]);
        assert_eq!(values("Inf -inf +Inf"), [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
        assert!(values("NaN")[0].is_nan());
    }

    #[test]
    fn gaps_ends_and_histograms() {
        use Step::{Histogram, Missing, Stale, Value};
        assert_eq!(parse_values("1 _x3 stale").unwrap(), [Value(1.0), Missing, Missing, Missing, Stale]);
        assert_eq!(
            parse_values("_ {{schema:1 sum:2}}x1 _").unwrap(),
            [Missing, Histogram, Histogram, Missing]
        );
        assert_eq!(
            parse_values("{{a:1}}+{{a:2}}x2 3").unwrap(),
            [Histogram, Histogram, Histogram, Value(3.0)]
        );
    }

    #[test]
    fn what_is_no_series_is_refused() {
        for bad in ["x", "1+", "1+2", "1+2x", "1x-1", "_y", "stales", "0x", "1.2.3", "{{", "--1"] {
            assert!(parse_values(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_values("0+1x100000000"), Err(SeriesError::TooMany));
        assert_eq!(parse_values("_x100000000"), Err(SeriesError::TooMany));
    }

    #[test]
    fn metrics_with_labels_in_all_quotes() {
        let description = parse(r#"a:b{c="d\n", e='f"', g=`h\`} 1"#).unwrap();
        assert_eq!(
            description.labels,
            Labels::new([("__name__", "a:b"), ("c", "d\n"), ("e", "f\""), ("g", "h\\")])
        );
        assert_eq!(parse(r#"{"my.metric", "a b"="c"} 1"#).unwrap().labels.metric_name(), Some("my.metric"));
        assert_eq!(parse("up {{a:1}}").unwrap().steps, [Step::Histogram]);
        assert_eq!(parse("up 1").unwrap().labels.metric_name(), Some("up"));
        for bad in ["", "{", "a{b}", "a{b=c}", "a{b=\"c\" d=\"e\"}", "1a 2", "a{b=\"c} 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
