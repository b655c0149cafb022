//! What is counted of sources and of rules.

use std::{sync::Arc, time::Duration};

use daemon::Timestamp;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

/// The metrics of sources. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Measures {
    evaluations: IntCounterVec,
    seconds: Histogram,
    success: GaugeVec,
}

impl Measures {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// One of them is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let name = |name: &str, help: &str| Opts::new(format!("basiq_alerter_{name}"), help);
        let measures = Self {
            evaluations: IntCounterVec::new(
                name("rule_evaluations_total", "Evaluations of single rules, by outcome."),
                &["outcome"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::from(name(
                    "rule_evaluation_duration_seconds",
                    "How long one evaluation of all due rules of a source took.",
                ))
                .buckets(vec![0.001, 0.01, 0.05, 0.2, 1.0, 5.0, 15.0, 60.0]),
            )?,
            success: GaugeVec::new(
                name(
                    "source_last_success_timestamp_seconds",
                    "When the source last reported what it was to report, with nothing missing, and it was stored.",
                ),
                &["source"],
            )?,
        };
        for outcome in ["success", "failure"] {
            measures.evaluations.with_label_values(&[outcome]).inc_by(0);
        }
        registry.register(Box::new(measures.evaluations.clone()))?;
        registry.register(Box::new(measures.seconds.clone()))?;
        registry.register(Box::new(measures.success.clone()))?;
        Ok(measures)
    }

    /// So many rules were evaluated, and so many of them failed.
    pub(super) fn evaluated(&self, rules: usize, failed: usize, took: Duration) {
        if rules == 0 {
            return;
        }
        let count = |outcome: &str, number: usize| {
            self.evaluations.with_label_values(&[outcome]).inc_by(u64::try_from(number).unwrap_or(u64::MAX));
        };
        count("success", rules.saturating_sub(failed));
        count("failure", failed);
        self.seconds.observe(took.as_secs_f64());
    }

    /// What a source knew at that time is stored.
    pub(super) fn succeeded(&self, source: &Arc<str>, at: Timestamp) {
        self.success.with_label_values(&[&**source]).set(at.as_millisecond() as f64 / 1000.0);
    }
}
