//! The samples of one series: most series of a rule are read at one instant and keep a single one,
//! which then needs no allocation.

use crate::value::Point;

pub(super) enum Samples {
    One(Point),
    Many(Vec<Point>),
}

impl Samples {
    pub(super) fn new(first: Point) -> Self {
        Self::One(first)
    }

    pub(super) fn as_slice(&self) -> &[Point] {
        match self {
            Self::One(point) => std::slice::from_ref(point),
            Self::Many(points) => points,
        }
    }

    /// Bytes beside the value itself.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(points) => points.capacity() * size_of::<Point>(),
        }
    }

    /// Puts a point in its place in time (a second one at the same time replaces the first), then drops
    /// what lies before the horizon, but for the newest such point, which a look-back may still find.
    pub(super) fn push(&mut self, point: Point, horizon_ms: i64) {
        if let Self::One(only) = self {
            if point.at_ms == only.at_ms || (point.at_ms > only.at_ms && point.at_ms <= horizon_ms) {
                *only = point;
                return;
            }
            let mut points = Vec::with_capacity(2);
            points.push(*only);
            *self = Self::Many(points);
        }
        let Self::Many(points) = self else { return };
        match points.last() {
            Some(last) if last.at_ms >= point.at_ms => {
                let at = points.partition_point(|kept| kept.at_ms < point.at_ms);
                match points.get_mut(at) {
                    Some(kept) if kept.at_ms == point.at_ms => *kept = point,
                    _ => points.insert(at, point),
                }
            }
            _ => points.push(point),
        }
        let old = points.partition_point(|kept| kept.at_ms <= horizon_ms);
        if old > 1 {
            points.drain(..old - 1);
        }
        if let [only] = points.as_slice() {
            *self = Self::One(*only);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_ms: i64) -> Point {
        Point { at_ms, value: at_ms as f64 }
    }

    fn times(samples: &Samples) -> Vec<i64> {
        samples.as_slice().iter().map(|point| point.at_ms).collect()
    }

    #[test]
    fn a_series_read_at_instants_keeps_its_newest_sample_and_allocates_nothing() {
        let mut samples = Samples::new(at(10));
        samples.push(at(20), 20);
        assert_eq!(times(&samples), [20]);
        assert_eq!(samples.heap(), 0);
    }

    #[test]
    fn a_range_keeps_one_sample_beyond_its_reach() {
        let mut samples = Samples::new(at(10));
        for t in [20, 30, 40, 50] {
            samples.push(at(t), t - 15);
        }
        assert_eq!(times(&samples), [30, 40, 50]);
    }

    #[test]
    fn late_and_repeated_samples_find_their_place() {
        let mut samples = Samples::new(at(10));
        samples.push(at(30), i64::MIN);
        samples.push(at(20), i64::MIN);
        samples.push(Point { at_ms: 20, value: 7.0 }, i64::MIN);
        assert_eq!(times(&samples), [10, 20, 30]);
        assert_eq!(samples.as_slice()[1].value, 7.0);
    }
}
