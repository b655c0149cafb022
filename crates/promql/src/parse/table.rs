//! The functions that are evaluated, with the types of their arguments.

use crate::functions::Kind;
use crate::functions::math;
use crate::functions::over_time as over;
use crate::functions::time;
use crate::value::Type::{self, Matrix, Scalar, String, Vector};

/// A function of PromQL.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [Type],
    /// How many arguments at the end may be missing.
    pub(crate) optional: usize,
    /// Whether the last argument may be repeated.
    pub(crate) repeated: bool,
    pub(crate) returns: Type,
    pub(crate) kind: Kind,
}

impl Function {
    /// The function of that name, if it is evaluated here.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// Whether Prometheus has a function of that name which is not evaluated here.
    pub(crate) fn is_left_out(name: &str) -> bool {
        LEFT_OUT.contains(&name)
    }
}

/// Functions of native histograms, and those that Prometheus calls experimental.
const LEFT_OUT: &[&str] = &[
    "double_exponential_smoothing",
    "end",
    "first_over_time",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantiles",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "info",
    "integral",
    "mad_over_time",
    "max_of",
    "min_of",
    "range",
    "sort_by_label",
    "sort_by_label_desc",
    "start",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];

const fn function(name: &'static str, arguments: &'static [Type], kind: Kind) -> Function {
    Function { name, arguments, optional: 0, repeated: false, returns: Vector, kind }
}

const fn each(name: &'static str, apply: fn(f64) -> f64) -> Function {
    function(name, &[Vector], Kind::Each(apply))
}

const fn range(name: &'static str, apply: crate::functions::OfRange) -> Function {
    function(name, &[Matrix], Kind::OfRange(apply))
}

const fn date(name: &'static str, apply: fn(f64) -> f64) -> Function {
    Function { optional: 1, ..function(name, &[Vector], Kind::Date(apply)) }
}

const FUNCTIONS: &[Function] = &[
    each("abs", f64::abs),
    function("absent", &[Vector], Kind::Absent),
    function("absent_over_time", &[Matrix], Kind::AbsentOverTime),
    each("acos", f64::acos),
    each("acosh", f64::acosh),
    each("asin", f64::asin),
    each("asinh", f64::asinh),
    each("atan", f64::atan),
    each("atanh", f64::atanh),
    range("avg_over_time", over::avg),
    each("ceil", f64::ceil),
    range("changes", over::changes),
    function("clamp", &[Vector, Scalar, Scalar], Kind::Clamp),
    function("clamp_max", &[Vector, Scalar], Kind::ClampMax),
    function("clamp_min", &[Vector, Scalar], Kind::ClampMin),
    each("cos", f64::cos),
    each("cosh", f64::cosh),
    range("count_over_time", over::count),
    date("day_of_month", time::day_of_month),
    date("day_of_week", time::day_of_week),
    date("day_of_year", time::day_of_year),
    date("days_in_month", time::days_in_month),
    each("deg", f64::to_degrees),
    range("delta", over::delta),
    range("deriv", over::deriv),
    each("exp", f64::exp),
    each("floor", f64::floor),
    function("histogram_quantile", &[Scalar, Vector], Kind::HistogramQuantile),
    date("hour", time::hour),
    range("idelta", over::idelta),
    range("increase", over::increase),
    range("irate", over::irate),
    Function { repeated: true, ..function("label_join", &[Vector, String, String, String], Kind::LabelJoin) },
    function("label_replace", &[Vector, String, String, String, String], Kind::LabelReplace),
    function("last_over_time", &[Matrix], Kind::LastOverTime),
    each("ln", f64::ln),
    each("log10", f64::log10),
    each("log2", f64::log2),
    range("max_over_time", over::max),
    range("min_over_time", over::min),
    date("minute", time::minute),
    date("month", time::month),
    Function { returns: Scalar, ..function("pi", &[], Kind::Pi) },
    function("predict_linear", &[Matrix, Scalar], Kind::PredictLinear),
    range("present_over_time", over::present),
    function("quantile_over_time", &[Scalar, Matrix], Kind::QuantileOverTime),
    each("rad", f64::to_radians),
    range("rate", over::rate),
    range("resets", over::resets),
    Function { optional: 1, ..function("round", &[Vector, Scalar], Kind::Round) },
    Function { returns: Scalar, ..function("scalar", &[Vector], Kind::Scalar) },
    each("sgn", math::sgn),
    each("sin", f64::sin),
    each("sinh", f64::sinh),
    function("sort", &[Vector], Kind::Sort),
    function("sort_desc", &[Vector], Kind::SortDesc),
    each("sqrt", f64::sqrt),
    range("stddev_over_time", over::stddev),
    range("stdvar_over_time", over::stdvar),
    range("sum_over_time", over::sum),
    each("tan", f64::tan),
    each("tanh", f64::tanh),
    Function { returns: Scalar, ..function("time", &[], Kind::Time) },
    function("timestamp", &[Vector], Kind::Timestamp),
    function("vector", &[Scalar], Kind::Vector),
    date("year", time::year),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_either_evaluated_or_left_out() {
        for name in LEFT_OUT {
            assert!(Function::find(name).is_none(), "{name}");
        }
        let mut names: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
    }
}
