//! The commands of a script.

use crate::labels::Labels;
use crate::series::{self, Description, Step};

pub(super) struct Load {
    pub(super) step_ms: i64,
    pub(super) series: Vec<Description>,
    /// Series that are given start timestamps (`metric@st`), which are experimental.
    pub(super) started: Vec<Labels>,
    /// Whether native histograms are to be made of the classic ones (`load_with_nhcb`).
    pub(super) with_histograms: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Span {
    Instant(i64),
    Range { from_ms: i64, to_ms: i64, step_ms: i64 },
}

impl Span {
    pub(super) fn instants(self) -> impl Iterator<Item = i64> {
        let (from, to, step) = match self {
            Self::Instant(at_ms) => (at_ms, at_ms, 1),
            Self::Range { from_ms, to_ms, step_ms } => (from_ms, to_ms, step_ms.max(1)),
        };
        (0..).map(move |i| from + i * step).take_while(move |at_ms| *at_ms <= to)
    }
}

/// Which text a failure must have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Any,
    Exactly(String),
    Matching(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    Failure(Message),
    Scalar(f64),
    Text(String),
    /// Series with a value for each instant.
    Series {
        series: Vec<(Labels, Vec<Option<f64>>)>,
        ordered: bool,
    },
    /// A range vector with samples at the instants of a span.
    Matrix {
        series: Vec<(Labels, Vec<Option<f64>>)>,
        span: Span,
    },
    Histograms,
}

pub(super) struct Evaluation {
    pub(super) span: Span,
    pub(super) expression: String,
    pub(super) expected: Expected,
}

pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Evaluation),
}

/// A line that cannot be read: its number, its text, and why.
pub(super) type Bad = (usize, String, String);

/// All commands with the number of their first line.
pub(super) fn commands(script: &str) -> Vec<Result<(usize, Command), Bad>> {
    let lines: Vec<&str> =
        script.lines().map(|line| if line.trim().starts_with('#') { "" } else { line.trim() }).collect();
    let mut commands = Vec::new();
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let number = next + 1;
        next += 1;
        if line.is_empty() {
            continue;
        }
        // A block ends at an empty line, or where the next command begins.
        let body: Vec<&str> = lines
            .iter()
            .skip(next)
            .copied()
            .take_while(|line| !line.is_empty() && !is_command(line))
            .collect();
        next += body.len();
        commands.push(
            command(line, &body)
                .map(|command| (number, command))
                .map_err(|why| (number, (*line).to_owned(), why)),
        );
    }
    commands
}

fn is_command(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("");
    line == "clear"
        || word == "load"
        || word == "load_with_nhcb"
        || word == "eval"
        || word.starts_with("eval_")
}

fn command(line: &str, body: &[&str]) -> Result<Command, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word {
        "clear" => Ok(Command::Clear),
        "load" | "load_with_nhcb" => {
            let step_ms = millis(rest.trim()).ok_or("load needs a step")?;
            let (mut series, mut started) = (Vec::new(), Vec::new());
            for line in body {
                let (labels, rest) = series::parse_metric(line).map_err(|error| error.to_string())?;
                if rest.starts_with("@st") {
                    started.push(labels);
                } else {
                    let steps = series::parse_values(rest).map_err(|error| error.to_string())?;
                    series.push(Description { labels, steps });
                }
            }
            let series = last_of_each(series);
            Ok(Command::Load(Load { step_ms, series, started, with_histograms: word == "load_with_nhcb" }))
        }
        _ if word == "eval" || word.starts_with("eval_") => {
            let flavour = word.strip_prefix("eval").unwrap_or("").trim_start_matches('_');
            Ok(Command::Eval(evaluation(rest.trim(), flavour, body)?))
        }
        _ => Err("no command".to_owned()),
    }
}

/// A series that is described twice in one block has the later samples.
fn last_of_each(series: Vec<Description>) -> Vec<Description> {
    let mut kept: Vec<Description> = Vec::new();
    for description in series {
        match kept.iter_mut().find(|other| other.labels == description.labels) {
            Some(other) => *other = description,
            None => kept.push(description),
        }
    }
    kept
}

fn millis(text: &str) -> Option<i64> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let seconds = crate::parse::seconds(text)?;
    Some((sign * seconds * 1000.0).round() as i64)
}

/// The next word after a keyword, and what follows it.
fn after<'t>(text: &'t str, keyword: &str) -> Option<(&'t str, &'t str)> {
    let rest = text.strip_prefix(keyword)?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    Some(
        rest.split_once(char::is_whitespace)
            .map(|(word, rest)| (word, rest.trim_start()))
            .unwrap_or((rest, "")),
    )
}

fn span(text: &str) -> Option<(Span, &str)> {
    if let Some((first, rest)) = after(text, "instant") {
        if first != "at" {
            return Some((Span::Instant(0), text.strip_prefix("instant")?.trim_start()));
        }
        let (at, rest) = rest.split_once(char::is_whitespace)?;
        return Some((Span::Instant(millis(at)?), rest.trim_start()));
    }
    let (first, rest) = after(text, "range")?;
    let (from, rest) = if first == "from" { rest.split_once(char::is_whitespace)? } else { return None };
    let (to, rest) = after(rest.trim_start(), "to")?;
    let (step, rest) = after(rest, "step")?;
    Some((Span::Range { from_ms: millis(from)?, to_ms: millis(to)?, step_ms: millis(step)? }, rest))
}

fn evaluation(text: &str, flavour: &str, body: &[&str]) -> Result<Evaluation, String> {
    let (span, expression) =
        span(text).ok_or("an evaluation is `instant at T EXPR` or `range from A to B step S EXPR`")?;
    let mut fails = (flavour == "fail").then_some(Message::Any);
    let mut ordered = flavour == "ordered";
    let (mut string, mut matrix, mut scalar) = (None, None, None);
    let mut series = Vec::new();
    let mut histograms = false;
    for line in body {
        if let Some(expectation) = line.strip_prefix("expect ") {
            let expectation = expectation.trim();
            if let Some(message) = expectation.strip_prefix("fail") {
                fails = Some(message_of(message));
            } else if expectation == "ordered" {
                ordered = true;
            } else if let Some(text) = expectation.strip_prefix("string") {
                let text =
                    crate::quoted::unquote_prefix(text.trim()).ok_or("expect string needs a quoted text")?;
                string = Some(text.0);
            } else if let Some(range) = expectation.strip_prefix("range vector") {
                let range = format!("range {} ", range.trim());
                let (span, _) = self::span(&range).ok_or("expect range vector from A to B step S")?;
                matrix = Some(span);
            } else if !["warn", "no_warn", "info", "no_info"]
                .iter()
                .any(|known| expectation.starts_with(known))
            {
                return Err(format!("unknown expectation {expectation:?}"));
            }
        } else if let Some(text) = line.strip_prefix("expected_fail_message") {
            fails = Some(Message::Exactly(text.trim().to_owned()));
        } else if let Some(text) = line.strip_prefix("expected_fail_regexp") {
            fails = Some(Message::Matching(text.trim().to_owned()));
        } else if line.contains("{{") && line.contains("}}") {
            histograms = true;
        } else if let Some(number) = crate::parse::signed_number(line) {
            scalar = Some(number);
        } else {
            let (labels, rest) = series::parse_metric(line).map_err(|error| error.to_string())?;
            let steps = series::parse_values(rest).map_err(|error| error.to_string())?;
            series.push((labels, steps.into_iter().map(value).collect()));
        }
    }
    let expected = match (fails, string, scalar, matrix) {
        (Some(message), ..) => Expected::Failure(message),
        _ if histograms => Expected::Histograms,
        (_, Some(text), ..) => Expected::Text(text),
        (_, _, Some(number), _) => Expected::Scalar(number),
        (.., Some(span)) => Expected::Matrix { series, span },
        _ => Expected::Series { series, ordered },
    };
    Ok(Evaluation { span, expression: expression.to_owned(), expected })
}

fn value(step: Step) -> Option<f64> {
    match step {
        Step::Value(value) => Some(value),
        Step::Missing | Step::Stale | Step::Histogram => None,
    }
}

fn message_of(text: &str) -> Message {
    let text = text.trim();
    match (text.strip_prefix("msg:"), text.strip_prefix("regex:")) {
        (Some(message), _) => Message::Exactly(message.trim().to_owned()),
        (_, Some(pattern)) => Message::Matching(pattern.trim().to_owned()),
        _ => Message::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_evaluations_are_read() {
        assert_eq!(span("instant at 5m sum(x)"), Some((Span::Instant(300_000), "sum(x)")));
        assert_eq!(span("instant vector(1)"), Some((Span::Instant(0), "vector(1)")));
        let range = Span::Range { from_ms: 0, to_ms: 60_000, step_ms: 10_000 };
        assert_eq!(span("range from 0 to 1m step 10s x + 1"), Some((range, "x + 1")));
        assert_eq!(range.instants().count(), 7);
        assert_eq!(span("never"), None);
    }

    #[test]
    fn expectations_are_read_in_their_old_and_new_forms() {
        let expected =
            |flavour: &str, body: &[&str]| evaluation("instant at 1m x", flavour, body).unwrap().expected;
        assert_eq!(expected("fail", &[]), Expected::Failure(Message::Any));
        assert_eq!(
            expected("", &["expect fail msg: no such"]),
            Expected::Failure(Message::Exactly("no such".into()))
        );
        assert_eq!(
            expected("", &["expected_fail_regexp a.c"]),
            Expected::Failure(Message::Matching("a.c".into()))
        );
        assert_eq!(expected("", &["expect string `Foo`"]), Expected::Text("Foo".into()));
        assert_eq!(expected("", &["-2.5"]), Expected::Scalar(-2.5));
        assert_eq!(expected("", &["{} {{count:1}}"]), Expected::Histograms);
        let series = vec![(Labels::new([("a", "b")]), vec![Some(1.0), None])];
        assert_eq!(expected("ordered", &["{a=\"b\"} 1 _"]), Expected::Series { series, ordered: true });
        assert!(evaluation("instant at 1m x", "", &["expect nothing"]).is_err());
    }

    #[test]
    fn blocks_end_at_empty_lines_comments_and_commands() {
        let script =
            "load 1m\n a 1\n b 2\n# note\nclear\neval instant at 0 a\n a 1\neval instant at 0 b\n\n b 2\n";
        let read = commands(script);
        assert_eq!(read.len(), 5);
        assert!(matches!(&read[0], Ok((1, Command::Load(load))) if load.series.len() == 2));
        assert!(matches!(&read[3], Ok((8, Command::Eval(_)))));
        assert!(matches!(&read[4], Err((10, text, _)) if text == "b 2"));
    }
}
