//! What an expression yields.

use crate::labels::Labels;

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// Its value at the time of evaluation.
    pub value: f64,
}

/// A sample in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// How much.
    pub value: f64,
}

/// One element of a range vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples in order of time.
    pub points: Vec<Point>,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    String(String),
    /// An instant vector: no two elements have the same labels. Ordered only where the expression
    /// sorts (`sort`, `topk`, …).
    Vector(Vec<Sample>),
    /// A range vector.
    Matrix(Vec<Series>),
}

/// The type of an expression, known when it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Scalar,
    /// A text.
    String,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

impl Type {
    /// As Prometheus calls it in its messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// The bits of the value that ends a series: an instant selector finds nothing from here on, a range
/// passes over it (Prometheus's `StaleNaN`).
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bits of the value that stands for a native histogram, which is not evaluated here: whoever
/// selects it gets an error in place of a wrong answer.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0102;

/// The staleness marker.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// The stand-in for a native histogram.
pub const HISTOGRAM: f64 = f64::from_bits(HISTOGRAM_BITS);

/// Whether a value is the staleness marker, and not just any NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// Whether a value stands for a native histogram.
pub fn is_histogram(value: f64) -> bool {
    value.to_bits() == HISTOGRAM_BITS
}
