//! Functions of the samples of one series in a range.

use super::Ranged;
use super::math::{Deviation, Mean, Sum, quantile as quantile_of, regression};
use crate::value::Point;

pub(crate) fn rate(range: &Ranged<'_>) -> Option<f64> {
    extrapolated(range, true).map(|increase| increase / ((range.end_ms - range.start_ms) as f64 / 1000.0))
}

pub(crate) fn increase(range: &Ranged<'_>) -> Option<f64> {
    extrapolated(range, true)
}

pub(crate) fn delta(range: &Ranged<'_>) -> Option<f64> {
    extrapolated(range, false)
}

/// The difference between the last and the first sample, extended to the edges of the range where the
/// distance of the samples makes it likely that the series goes on; of a counter with its resets made
/// good, and never extended below zero.
fn extrapolated(range: &Ranged<'_>, counter: bool) -> Option<f64> {
    let (first, last) = ends(range.points)?;
    let mut difference = last.value - first.value;
    if counter {
        difference +=
            pairs(range.points).filter(|(a, b)| b.value < a.value).map(|(a, _)| a.value).sum::<f64>();
    }
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let mut to_start = seconds(range.start_ms, first.at_ms);
    let mut to_end = seconds(last.at_ms, range.end_ms);
    let sampled = seconds(first.at_ms, last.at_ms);
    let average = sampled / (range.points.len() - 1) as f64;
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter {
        let to_zero = if difference > 0.0 && first.value >= 0.0 {
            sampled * (first.value / difference)
        } else {
            to_start
        };
        to_start = to_start.min(to_zero);
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    Some(difference * ((sampled + to_start + to_end) / sampled))
}

pub(crate) fn irate(range: &Ranged<'_>) -> Option<f64> {
    let (before, last) = last_two(range.points)?;
    let difference = if last.value < before.value { last.value } else { last.value - before.value };
    Some(difference / ((last.at_ms - before.at_ms) as f64 / 1000.0))
}

pub(crate) fn idelta(range: &Ranged<'_>) -> Option<f64> {
    let (before, last) = last_two(range.points)?;
    Some(last.value - before.value)
}

pub(crate) fn deriv(range: &Ranged<'_>) -> Option<f64> {
    let (first, _) = ends(range.points)?;
    // The time at which the line is taken does not matter for its slope; near samples lose least.
    regression(range.points, first.at_ms).map(|(slope, _)| slope)
}

/// Where the line through the samples is so many seconds after a time.
pub(crate) fn predict_linear(range: &Ranged<'_>, at_ms: i64, seconds: f64) -> Option<f64> {
    ends(range.points)?;
    regression(range.points, at_ms).map(|(slope, here)| slope * seconds + here)
}

pub(crate) fn changes(range: &Ranged<'_>) -> Option<f64> {
    let differ = |(a, b): &(&Point, &Point)| a.value != b.value && !(a.value.is_nan() && b.value.is_nan());
    Some(pairs(range.points).filter(differ).count() as f64)
}

pub(crate) fn resets(range: &Ranged<'_>) -> Option<f64> {
    Some(pairs(range.points).filter(|(a, b)| b.value < a.value).count() as f64)
}

pub(crate) fn sum(range: &Ranged<'_>) -> Option<f64> {
    Some(values(range).fold(Sum::default(), Sum::plus).value())
}

pub(crate) fn avg(range: &Ranged<'_>) -> Option<f64> {
    let mut values = values(range);
    let mut mean = Mean::of(values.next()?);
    values.for_each(|value| mean.add(value));
    Some(mean.value())
}

pub(crate) fn count(range: &Ranged<'_>) -> Option<f64> {
    Some(range.points.len() as f64)
}

pub(crate) fn present(_: &Ranged<'_>) -> Option<f64> {
    Some(1.0)
}

pub(crate) fn min(range: &Ranged<'_>) -> Option<f64> {
    values(range).reduce(|least, value| if value < least || least.is_nan() { value } else { least })
}

pub(crate) fn max(range: &Ranged<'_>) -> Option<f64> {
    values(range).reduce(|most, value| if value > most || most.is_nan() { value } else { most })
}

pub(crate) fn last(range: &Ranged<'_>) -> Option<f64> {
    range.points.last().map(|point| point.value)
}

pub(crate) fn stdvar(range: &Ranged<'_>) -> Option<f64> {
    let mut deviation = Deviation::default();
    values(range).for_each(|value| deviation.add(value));
    Some(deviation.variance())
}

pub(crate) fn stddev(range: &Ranged<'_>) -> Option<f64> {
    stdvar(range).map(f64::sqrt)
}

pub(crate) fn quantile(range: &Ranged<'_>, q: f64) -> Option<f64> {
    Some(quantile_of(q, &mut values(range).collect::<Vec<_>>()))
}

fn values<'r>(range: &'r Ranged<'_>) -> impl Iterator<Item = f64> + 'r {
    range.points.iter().map(|point| point.value)
}

fn pairs(points: &[Point]) -> impl Iterator<Item = (&Point, &Point)> {
    points.iter().zip(points.iter().skip(1))
}

/// The first and the last of at least two points.
fn ends(points: &[Point]) -> Option<(Point, Point)> {
    match points {
        [first, .., last] => Some((*first, *last)),
        _ => None,
    }
}

/// The last two points, if time passed between them.
fn last_two(points: &[Point]) -> Option<(Point, Point)> {
    match points {
        [.., before, last] if last.at_ms > before.at_ms => Some((*before, *last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(function: fn(&Ranged<'_>) -> Option<f64>, values: &[f64]) -> Option<f64> {
        let points: Vec<Point> = values
            .iter()
            .enumerate()
            .map(|(i, value)| Point { at_ms: 10_000 * (i as i64 + 1), value: *value })
            .collect();
        function(&Ranged { points: &points, start_ms: 0, end_ms: 10_000 * values.len() as i64 })
    }

    #[test]
    fn rates_extend_to_the_edges_but_not_below_zero() {
        // 10 to 30 in 20 s, 10 s before the first sample: extended to 30 in 30 s.
        assert_eq!(over(increase, &[10.0, 20.0, 30.0]), Some(30.0));
        assert_eq!(over(rate, &[10.0, 20.0, 30.0]), Some(1.0));
        // The counter was 0 a second before its first sample.
        assert_eq!(over(increase, &[1.0, 11.0, 21.0]), Some(21.0));
        assert_eq!(over(delta, &[1.0, 11.0, 21.0]), Some(30.0));
        assert_eq!(over(increase, &[1.0]), None);
    }

    #[test]
    fn resets_of_counters_are_made_good() {
        assert_eq!(over(increase, &[10.0, 20.0, 10.0, 20.0]), Some(40.0));
        assert_eq!(over(resets, &[10.0, 20.0, 10.0, 20.0, 5.0]), Some(2.0));
        assert_eq!(over(irate, &[10.0, 20.0, 5.0]), Some(0.5));
        assert_eq!(over(idelta, &[10.0, 20.0, 5.0]), Some(-15.0));
    }

    #[test]
    fn statistics_over_time() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(over(avg, &values), Some(5.0));
        assert_eq!(over(sum, &values), Some(40.0));
        assert_eq!(over(stddev, &values), Some(2.0));
        assert_eq!(over(stdvar, &values), Some(4.0));
        assert_eq!(over(count, &values), Some(8.0));
        assert_eq!(over(last, &values), Some(9.0));
        assert_eq!(over(changes, &[1.0, 1.0, f64::NAN, f64::NAN, 2.0]), Some(2.0));
        assert_eq!(over(min, &[f64::NAN, 2.0, 1.0]), Some(1.0));
        assert_eq!(over(max, &[f64::NAN, 2.0, 1.0]), Some(2.0));
    }

    #[test]
    fn trends() {
        assert_eq!(over(deriv, &[10.0, 20.0, 30.0]), Some(1.0));
        assert_eq!(over(|range| predict_linear(range, range.end_ms, 60.0), &[10.0, 20.0, 30.0]), Some(90.0));
        assert_eq!(over(deriv, &[10.0]), None);
        assert_eq!(over(|range| quantile(range, 0.5), &[3.0, 1.0, 2.0]), Some(2.0));
    }
}
