//! What functions compute, apart from how their arguments are evaluated.

pub(crate) mod histogram;
pub(crate) mod math;
pub(crate) mod over_time;
pub(crate) mod time;

use crate::value::Point;

/// The samples of one series in a range, without staleness markers, never empty.
pub(crate) struct Ranged<'p> {
    pub(crate) points: &'p [Point],
    /// The start of the range, which is not part of it.
    pub(crate) start_ms: i64,
    /// The end of the range, which is part of it.
    pub(crate) end_ms: i64,
}

/// A function of the samples in a range; nothing where there are too few.
pub(crate) type OfRange = fn(&Ranged<'_>) -> Option<f64>;

/// How a function is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Each value of a vector on its own.
    Each(fn(f64) -> f64),
    /// A part of a date; of the time of evaluation when there is no argument.
    Date(fn(f64) -> f64),
    /// Each series of a range vector on its own.
    OfRange(OfRange),
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMax,
    ClampMin,
    HistogramQuantile,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Pi,
    PredictLinear,
    QuantileOverTime,
    Round,
    Scalar,
    Sort,
    SortDesc,
    Time,
    Timestamp,
    Vector,
}
