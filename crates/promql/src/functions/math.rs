//! Arithmetic as Prometheus does it: compensated sums, quantiles, regression.

use crate::value::Point;

/// A sum with Kahan's and Neumaier's compensation: small addends are not lost beside large ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) fn of(first: f64) -> Self {
        Self { sum: first, lost: 0.0 }
    }

    #[must_use]
    pub(crate) fn plus(self, addend: f64) -> Self {
        let sum = self.sum + addend;
        let lost = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= addend.abs() {
            self.lost + ((self.sum - sum) + addend)
        } else {
            self.lost + ((addend - sum) + self.sum)
        };
        Self { sum, lost }
    }

    pub(crate) fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A mean: of the sum as long as that does not overflow, updated step by step from there on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    count: f64,
    part: Sum,
    stepwise: bool,
}

impl Mean {
    pub(crate) fn of(first: f64) -> Self {
        Self { count: 1.0, part: Sum::of(first), stepwise: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.stepwise {
            let next = self.part.plus(value);
            if !next.sum.is_infinite() {
                self.part = next;
                return;
            }
            self.stepwise = true;
            let before = self.count - 1.0;
            self.part = Sum { sum: self.part.sum / before, lost: self.part.lost / before };
        }
        let share = (self.count - 1.0) / self.count;
        self.part = Sum { sum: share * self.part.sum, lost: share * self.part.lost }.plus(value / self.count);
    }

    pub(crate) fn value(&self) -> f64 {
        if self.stepwise {
            self.part.value()
        } else {
            self.part.sum / self.count + self.part.lost / self.count
        }
    }
}

/// Sums up squared deviations from the mean in one pass (Welford), compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deviation {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Deviation {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.lost);
        self.mean = self.mean.plus(delta / self.count);
        self.squares = self.squares.plus(delta * (value - (self.mean.sum + self.mean.lost)));
    }

    pub(crate) fn variance(&self) -> f64 {
        (self.squares.sum + self.squares.lost) / self.count
    }
}

/// The quantile of values in any order, interpolated; NaN counts as the smallest value.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.total_cmp(b),
    });
    let rank = q * (values.len() as f64 - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (values.len() - 1).min(lower as usize + 1);
    let weight = rank - rank.floor();
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    at(lower as usize) * (1.0 - weight) + at(upper) * weight
}

/// Slope per second and value at a time, of a straight line through the points (least squares).
pub(crate) fn regression(points: &[Point], at_ms: i64) -> Option<(f64, f64)> {
    let first = points.first()?.value;
    if points.iter().all(|point| point.value == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let (mut xs, mut ys, mut xys, mut x2s) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for point in points {
        let x = (point.at_ms - at_ms) as f64 / 1e3;
        xs = xs.plus(x);
        ys = ys.plus(point.value);
        xys = xys.plus(x * point.value);
        x2s = x2s.plus(x * x);
    }
    let total = |sum: Sum| sum.sum + sum.lost;
    let (n, x, y) = (points.len() as f64, total(xs), total(ys));
    let covariance = total(xys) - x * y / n;
    let variance = total(x2s) - x * x / n;
    let slope = covariance / variance;
    Some((slope, y / n - slope * x / n))
}

/// The greater value; +Inf beside anything, else NaN beside anything, as in Go.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a.max(b) == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The smaller value; -Inf beside anything, else NaN beside anything, as in Go.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// -1, 0 or 1 by the sign; zeros and NaN stay what they are.
pub(crate) fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The nearest multiple of `to`; halves go up.
pub(crate) fn round(value: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_is_small() {
        let sum = [8.0, 1e100, 2.0, -1e100].into_iter().fold(Sum::default(), Sum::plus);
        assert_eq!(sum.value(), 10.0);
        assert!([f64::INFINITY, 1.0].into_iter().fold(Sum::default(), Sum::plus).value().is_infinite());
    }

    #[test]
    fn means_survive_an_overflowing_sum() {
        let mut mean = Mean::of(9.9e307);
        (0..3).for_each(|_| mean.add(9.9e307));
        assert_eq!(mean.value(), 9.9e307);
    }

    #[test]
    fn quantiles_interpolate_and_put_nan_first() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.75, &mut [0.0, 1.0]), 0.75);
        assert_eq!(quantile(0.8, &mut [0.0, f64::NAN, 1.0]), 0.6000000000000001);
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
    }

    #[test]
    fn a_line_through_points_on_a_line_is_that_line() {
        let points: Vec<Point> =
            (0..5).map(|i| Point { at_ms: i * 1000, value: 2.0 * i as f64 + 1.0 }).collect();
        assert_eq!(regression(&points, 10_000), Some((2.0, 21.0)));
    }

    #[test]
    fn rounding_takes_halves_up() {
        assert_eq!([round(0.5, 1.0), round(-0.5, 1.0), round(2.6, 5.0)], [1.0, -0.0, 5.0]);
        assert_eq!(sgn(-3.0), -1.0);
        assert!(sgn(f64::NAN).is_nan());
        assert!(max(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!([max(f64::NAN, f64::INFINITY), min(2.0, 1.0)], [f64::INFINITY, 1.0]);
    }
}
