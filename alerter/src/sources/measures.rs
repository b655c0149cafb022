//! What is counted of sources and of rules.

use std::{sync::Arc, time::Duration};

use daemon::Timestamp;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, Registry};

use crate::metrics::{RULE_EVALUATION_DURATION, RULE_EVALUATIONS, SOURCE_LAST_SUCCESS};

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
        let measures = Self {
            evaluations: IntCounterVec::new(RULE_EVALUATIONS.opts(), RULE_EVALUATIONS.labels)?,
            seconds: Histogram::with_opts(
                HistogramOpts::from(RULE_EVALUATION_DURATION.opts())
                    .buckets(vec![0.001, 0.01, 0.05, 0.2, 1.0, 5.0, 15.0, 60.0]),
            )?,
            success: GaugeVec::new(SOURCE_LAST_SUCCESS.opts(), SOURCE_LAST_SUCCESS.labels)?,
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
    pub(crate) fn succeeded(&self, source: &Arc<str>, at: Timestamp) {
        self.success.with_label_values(&[&**source]).set(at.as_millisecond() as f64 / 1000.0);
    }
}
