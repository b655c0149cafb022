//! A parsed expression.

use crate::matcher::Selector;
use crate::node::{Around, Node};
use crate::refused::Refused;
use crate::value::{Type, Value};
use crate::window::{LOOK_BACK_MS, Window};

/// How an expression is evaluated, beside its samples.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The instant, in milliseconds since 1970.
    pub at_ms: i64,
    /// What `@ start()` means; the instant itself for an instant query, as rules are.
    pub start_ms: i64,
    /// What `@ end()` means.
    pub end_ms: i64,
    /// How far an instant selector looks back.
    pub look_back_ms: i64,
    /// The step of a subquery that names none: Prometheus's global evaluation interval.
    pub step_ms: i64,
    /// Whether the name of a metric is dropped at the end of the evaluation only (Prometheus's feature
    /// `promql-delayed-name-removal`), and not by each operation; off by default, as in Prometheus 3.
    pub delayed_name_removal: bool,
}

impl Query {
    /// An instant query with Prometheus's defaults.
    pub fn at(at_ms: i64) -> Self {
        Self {
            at_ms,
            start_ms: at_ms,
            end_ms: at_ms,
            look_back_ms: LOOK_BACK_MS,
            step_ms: 60_000,
            delayed_name_removal: false,
        }
    }
}

/// Why an evaluation has no result. Prometheus fails in these cases too, but for native histograms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The samples and the expression do not fit each other, in Prometheus's words.
    #[error("{0}")]
    Failed(String),
    /// A selected series holds native histograms, which are not evaluated here.
    #[error("a selected series holds native histograms, which are not supported")]
    NativeHistogram,
    /// It would take more steps or samples than an evaluation may.
    #[error("too large: {0}")]
    TooLarge(String),
}

/// An expression, checked and ready for evaluation.
#[derive(Clone, Debug)]
pub struct Expr {
    text: String,
    node: Node,
    selectors: Vec<Selector>,
}

impl Expr {
    /// Parses an expression. What Prometheus does not accept, and what is not supported here, is refused.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let node = crate::parse::parse(text)?;
        let mut selectors = Vec::new();
        node.selectors(Around::default(), &mut selectors);
        Ok(Self { text: text.to_owned(), node, selectors })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of its results: an alert or a recording rule needs a scalar or an instant vector.
    pub fn value_type(&self) -> Type {
        self.node.value_type()
    }

    /// What it reads: make the [`Window`] of these.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Its value at one instant.
    pub fn eval(&self, window: &Window, at_ms: i64) -> Result<Value, EvalError> {
        self.query(window, &Query::at(at_ms))
    }

    /// Its value under the given circumstances.
    pub fn query(&self, window: &Window, query: &Query) -> Result<Value, EvalError> {
        crate::eval::evaluate(&self.node, window, query)
    }
}
