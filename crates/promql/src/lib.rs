//! PromQL evaluated in process over a small window of samples.
//!
//! An [`Expr`] is parsed once; [`Expr::selectors`] says what it reads, so that a [`Window`] keeps just
//! that; [`Expr::eval`] yields its [`Value`] at a time, with the semantics of Prometheus 3 over float
//! samples. What is not supported is [`Refused`] when parsed, never evaluated wrongly.

mod eval;
mod expr;
mod functions;
mod go_regex;
mod interner;
mod labels;
mod matcher;
mod node;
mod parse;
mod quoted;
mod refused;
pub mod script;
pub mod series;
mod value;
mod window;

pub use expr::{EvalError, Expr, Query};
pub use interner::Interner;
pub use labels::{Labels, METRIC_NAME};
pub use matcher::{Matcher, Op, Selector};
pub use refused::Refused;
pub use value::{HISTOGRAM, Point, STALE, Sample, Series, Type, Value, is_histogram, is_stale};
pub use window::{Append, Appended, LOOK_BACK_MS, Window};
