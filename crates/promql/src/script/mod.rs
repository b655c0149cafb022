//! Prometheus's own PromQL test scripts, run against this engine.
//!
//! A script loads series in the notation of promtool's unit tests and says what expressions yield at an
//! instant, or at each step of a range. Expressions that this engine refuses, and evaluations that select
//! or expect native histograms, are skipped; texts of warnings are not compared.

mod check;
mod read;

use std::collections::BTreeMap;
use std::fmt;

use crate::expr::{EvalError, Expr, Query};
use crate::labels::{Labels, METRIC_NAME};
use crate::refused::Refused;
use crate::series::Step;
use crate::value::{HISTOGRAM, STALE};
use crate::window::Window;

use read::{Command, Evaluation, Expected, Load, Span};

/// What came of one evaluation of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The result is the expected one.
    Passed,
    /// It is not: what was expected, and what came.
    Failed(String),
    /// It was not evaluated, for this reason.
    Skipped(String),
}

/// One evaluation of a script.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line of the script, from 1.
    pub line: usize,
    /// The expression.
    pub expression: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// The outcomes of scripts, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Evaluations with the expected result.
    pub passed: usize,
    /// Evaluations with another result.
    pub failed: usize,
    /// Evaluations left out.
    pub skipped: usize,
    /// How many were left out for each reason.
    pub reasons: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts one more outcome.
    pub fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(reason) => {
                self.skipped += 1;
                *self.reasons.entry(reason.clone()).or_default() += 1;
            }
        }
    }
}

impl fmt::Display for Tally {
    /// The reasons, most frequent first, then the closing line `N passed, N failed, N skipped`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (reason, count) in reasons {
            writeln!(f, "skipped {count}: {reason}")?;
        }
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs a script. A line that is no script at all is an outcome that failed.
pub fn run(script: &str) -> Vec<Outcome> {
    let mut window = Window::unbounded();
    let mut started: Vec<Labels> = Vec::new();
    let mut outcomes = Vec::new();
    for command in read::commands(script) {
        match command {
            Ok((_, Command::Clear)) => {
                window = Window::unbounded();
                started.clear();
            }
            Ok((_, Command::Load(mut load))) => {
                fill(&mut window, &load);
                started.append(&mut load.started);
            }
            Ok((line, Command::Eval(evaluation))) => {
                let verdict = judge(&window, &started, &evaluation);
                outcomes.push(Outcome { line, expression: evaluation.expression, verdict });
            }
            Err((line, text, why)) => {
                outcomes.push(Outcome { line, expression: text, verdict: Verdict::Failed(why) });
            }
        }
    }
    outcomes
}

fn fill(window: &mut Window, load: &Load) {
    for series in &load.series {
        let mut at_ms = 0;
        for step in &series.steps {
            match step {
                Step::Missing => {}
                Step::Value(value) => window.write(&series.labels, at_ms, *value),
                Step::Stale => window.write(&series.labels, at_ms, STALE),
                Step::Histogram => window.write(&series.labels, at_ms, HISTOGRAM),
            }
            if load.with_histograms
                && !matches!(step, Step::Missing)
                && let Some(labels) = as_histogram(&series.labels)
            {
                window.write(&labels, at_ms, HISTOGRAM);
            }
            at_ms += load.step_ms;
        }
    }
}

/// The native histogram that `load_with_nhcb` makes of the series of a classic one.
fn as_histogram(labels: &Labels) -> Option<Labels> {
    let name = labels.metric_name()?;
    let bare = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    Some(labels.without(&["le"]).with(METRIC_NAME, bare))
}

fn judge(window: &Window, started: &[Labels], evaluation: &Evaluation) -> Verdict {
    if evaluation.expected == Expected::Histograms {
        return Verdict::Skipped("native histograms are expected".to_owned());
    }
    let fails = matches!(evaluation.expected, Expected::Failure(_));
    let expr = match Expr::parse(&evaluation.expression) {
        Ok(expr) => expr,
        Err(Refused::Invalid(_)) if fails => return Verdict::Passed,
        Err(refused) => return Verdict::Skipped(reason(&refused)),
    };
    if started.iter().any(|labels| expr.selectors().iter().any(|selector| selector.selects(labels))) {
        return Verdict::Skipped(
            "series with start timestamps, which are experimental, are selected".to_owned(),
        );
    }
    let mut results = Vec::new();
    for at_ms in evaluation.span.instants() {
        let (start_ms, end_ms) = match evaluation.span {
            Span::Instant(at_ms) => (at_ms, at_ms),
            Span::Range { from_ms, to_ms, .. } => (from_ms, to_ms),
        };
        let query = Query { start_ms, end_ms, delayed_name_removal: true, ..Query::at(at_ms) };
        match expr.query(window, &query) {
            Ok(value) => results.push(value),
            Err(EvalError::NativeHistogram) => {
                return Verdict::Skipped("native histograms are selected".to_owned());
            }
            Err(error) => return check::failure(&evaluation.expected, &error),
        }
    }
    check::results(evaluation, &results)
}

/// A refusal without the parts that differ from expression to expression.
fn reason(refused: &Refused) -> String {
    let text = refused.to_string();
    match refused {
        Refused::Invalid(_) => format!("refused: {text}"),
        Refused::Unsupported(_) | Refused::TooLarge(_) => text,
    }
}
