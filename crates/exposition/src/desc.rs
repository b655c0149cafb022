//! What a metric family is.

/// The type of a family. Only counters, gauges and histograms are written here; the others come from
/// other people's pages and registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Any number.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Buckets that may shrink (OpenMetrics).
    GaugeHistogram,
    /// Facts as labels of a 1 (OpenMetrics).
    Info,
    /// One of several states (OpenMetrics).
    StateSet,
    /// The type is not known.
    Unknown,
}

impl Kind {
    /// The word of a `# TYPE` line in the text format 0.0.4.
    pub fn as_text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "untyped",
        }
    }

    /// The kind that a word of a `# TYPE` line names, in either format.
    pub fn parse(word: &str) -> Option<Self> {
        const NAMED: [Kind; 8] = [
            Kind::Counter,
            Kind::Gauge,
            Kind::Histogram,
            Kind::Summary,
            Kind::GaugeHistogram,
            Kind::Info,
            Kind::StateSet,
            Kind::Unknown,
        ];
        NAMED.into_iter().find(|kind| kind.as_text() == word || kind.as_openmetrics() == word)
    }

    /// The word of a `# TYPE` line in OpenMetrics.
    pub fn as_openmetrics(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            known => known.as_text(),
        }
    }
}

/// Name, help and type of a family, and what its reference says beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Desc {
    /// The name of its samples, `_total` included for counters.
    pub name: &'static str,
    /// One or two sentences: meaning, unit, and how old values may be.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in their order.
    pub labels: &'static [&'static str],
    /// A query that uses it.
    pub example: &'static str,
}

impl Desc {
    /// A counter. `name` must end in `_total`: then its samples read the same in both formats.
    ///
    /// # Panics
    /// If it does not, or is no metric name; in a `const`, that is an error of compilation.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        assert!(ends_in_total(name.as_bytes()), "the name of a counter ends in _total");
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge.
    ///
    /// # Panics
    /// If `name` is no metric name.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A histogram.
    ///
    /// # Panics
    /// If `name` is no metric name.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Histogram)
    }

    const fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        assert!(is_metric_name(name.as_bytes()), "a metric name is made of letters, digits, _ and :");
        Self { name, help, kind, labels: &[], example: name }
    }

    /// The same with these labels.
    #[must_use]
    pub const fn labels(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// The same with this query as its example; else it is the name alone.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// What the `prometheus` crate wants to know of it, for families that it keeps.
    pub fn opts(&self) -> prometheus::Opts {
        prometheus::Opts::new(self.name, self.help)
    }
}

const fn ends_in_total(name: &[u8]) -> bool {
    matches!(name, [_, .., b'_', b't', b'o', b't', b'a', b'l'])
}

const fn is_metric_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        let fits = matches!(name[at], b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':')
            || (at > 0 && name[at].is_ascii_digit());
        if !fits {
            return false;
        }
        at += 1;
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "_x", "job:rate5m", "a1"] {
            assert!(is_metric_name(good.as_bytes()), "{good}");
        }
        for bad in ["", "1a", "a-b", "ä", "a b"] {
            assert!(!is_metric_name(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    #[should_panic = "_total"]
    fn a_counter_says_total() {
        let _ = Desc::counter("jobs", "");
    }
}
