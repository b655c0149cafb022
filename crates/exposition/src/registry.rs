//! Families of a `prometheus::Registry`, in both formats; the crate itself writes only one.

use prometheus::{Registry, proto::MetricType};

use crate::{
    Format, Kind,
    families::{histogram, with_bound},
    text,
};

/// Appends everything that the registry gathers now.
#[expect(clippy::cast_precision_loss, reason = "samples are floating point in both formats")]
#[expect(deprecated, reason = "a collector of other people's may gather untyped families")]
pub(crate) fn write(out: &mut Vec<u8>, format: Format, registry: &Registry) {
    for family in registry.gather() {
        let name = family.name();
        text::header(out, format, name, family.help(), kind(family.get_field_type()));
        for metric in family.get_metric() {
            let mut labels = Vec::new();
            text::labels(&mut labels, metric.get_label().iter().map(|pair| (pair.name(), pair.value())));
            match family.get_field_type() {
                MetricType::COUNTER => text::sample(out, name, &labels, metric.get_counter().get_value()),
                MetricType::GAUGE => text::sample(out, name, &labels, metric.get_gauge().get_value()),
                MetricType::UNTYPED => text::sample(out, name, &labels, metric.get_untyped().get_value()),
                MetricType::HISTOGRAM => {
                    let shown = metric.get_histogram();
                    let buckets = shown.get_bucket().iter();
                    let buckets: Vec<_> = buckets.map(|b| (b.upper_bound(), b.cumulative_count())).collect();
                    let (sum, count) = (shown.get_sample_sum(), shown.get_sample_count());
                    histogram(out, format, name, &labels, &buckets, sum, count);
                }
                MetricType::SUMMARY => {
                    let shown = metric.get_summary();
                    for quantile in shown.get_quantile() {
                        let with = with_bound(format, &labels, "quantile", quantile.quantile());
                        text::sample(out, name, &with, quantile.value());
                    }
                    text::sample(out, &format!("{name}_sum"), &labels, shown.sample_sum());
                    text::sample(out, &format!("{name}_count"), &labels, shown.sample_count() as f64);
                }
            }
        }
    }
}

fn kind(kind: MetricType) -> Kind {
    match kind {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::UNTYPED => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

    use super::*;
    use crate::Page;

    fn registry() -> Registry {
        let registry = Registry::new();
        let requests =
            IntCounterVec::new(Opts::new("requests_total", "Requests \"all\"."), &["code"]).unwrap();
        requests.with_label_values(&["a\"b\\c\nd"]).inc();
        registry.register(Box::new(requests)).unwrap();
        let gauge = IntGauge::new("warm", "Whether warm.").unwrap();
        gauge.set(1);
        registry.register(Box::new(gauge)).unwrap();
        let seconds = HistogramOpts::new("seconds", "Seconds.").buckets(vec![0.5, 2.0]);
        let seconds = Histogram::with_opts(seconds).unwrap();
        seconds.observe(1.0);
        registry.register(Box::new(seconds)).unwrap();
        registry
    }

    #[test]
    fn text_is_what_the_crate_itself_writes() {
        let registry = registry();
        let theirs = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(Page::new().with_registry(registry).to_text(Format::Text), theirs);
    }

    #[test]
    fn openmetrics_names_counters_without_total() {
        let mut out = Vec::new();
        write(&mut out, Format::OpenMetrics(crate::negotiate::Version::V1_0_0), &registry());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("# HELP requests Requests \\\"all\\\".\n# TYPE requests counter\nrequests_total{")
        );
        assert!(text.contains("seconds_bucket{le=\"2.0\"} 1\n"), "{text}");
    }
}
