//! Quantiles of classic histograms.

/// A bucket: how many observations were at most so large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Counts that differ by less than this share are taken for equal: floats of aggregated buckets are not
/// exactly monotonic.
const TOLERANCE: f64 = 1e-12;

/// The quantile of a classic histogram, interpolated linearly within its bucket; NaN without a bucket
/// for all observations (`le="+Inf"`), with fewer than two buckets, or without observations.
pub(crate) fn quantile(q: f64, mut buckets: Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    make_monotonic(&mut buckets);
    let [.., before_last, last] = buckets.as_slice() else { return f64::NAN };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.count;
    // The very search that Prometheus does: where a count is NaN it matters how one searches.
    let (mut index, mut end) = (0, buckets.len() - 1);
    while index < end {
        let middle = index.midpoint(end);
        match buckets.get(middle) {
            Some(bucket) if bucket.count >= rank => end = middle,
            _ => index = middle + 1,
        }
    }
    let Some(bucket) = buckets.get(index).filter(|_| index + 1 < buckets.len()) else {
        return before_last.upper;
    };
    match index.checked_sub(1).and_then(|index| buckets.get(index)) {
        None if bucket.upper <= 0.0 => bucket.upper,
        None => bucket.upper * (rank / bucket.count),
        Some(below) => {
            let share = (rank - below.count) / (bucket.count - below.count);
            below.upper + (bucket.upper - below.upper) * share
        }
    }
}

fn make_monotonic(buckets: &mut [Bucket]) {
    let mut buckets = buckets.iter_mut();
    let Some(mut before) = buckets.next().map(|bucket| bucket.count) else { return };
    for bucket in buckets {
        if bucket.count < before || nearly_equal(before, bucket.count) {
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
}

fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(q: f64, buckets: &[(f64, f64)]) -> f64 {
        quantile(q, buckets.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect())
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let buckets = [(1.0, 10.0), (2.0, 20.0), (INF, 20.0)];
        assert_eq!(of(0.5, &buckets), 1.0);
        assert_eq!(of(0.75, &buckets), 1.5);
        assert_eq!(of(0.25, &buckets), 0.5);
        assert_eq!(of(1.0, &[(1.0, 10.0), (INF, 20.0)]), 1.0);
    }

    #[test]
    fn incomplete_histograms_have_no_quantile() {
        assert!(of(0.5, &[(1.0, 10.0), (2.0, 20.0)]).is_nan());
        assert!(of(0.5, &[(INF, 20.0)]).is_nan());
        assert!(of(0.5, &[(1.0, 0.0), (INF, 0.0)]).is_nan());
        assert_eq!(of(0.5, &[(1.0, 2.0), (2.0, f64::NAN), (INF, f64::NAN)]), 2.0);
        assert!(of(f64::NAN, &[(1.0, 1.0), (INF, 2.0)]).is_nan());
        assert_eq!(of(-1.0, &[]), f64::NEG_INFINITY);
        assert_eq!(of(2.0, &[]), INF);
    }

    #[test]
    fn shrinking_counts_are_mended() {
        assert_eq!(of(0.5, &[(1.0, 10.0), (2.0, 9.0), (INF, 20.0)]), 1.0);
        assert_eq!(of(0.5, &[(INF, 4.0), (1.0, 2.0), (1.0, 2.0)]), 0.5);
    }
}
