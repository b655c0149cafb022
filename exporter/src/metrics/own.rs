//! The daemon's own metrics, `basiq_exporter_…`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use exposition::Desc;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use super::contract::*;

/// Upper bounds of the buckets of requests' durations, in seconds.
const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The daemon's own metrics. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct Own {
    registry: Registry,
    /// 1 once all that was due since the start has been observed.
    pub warm: IntGauge,
    last_success: GaugeVec,
    /// Users that are watched.
    pub users: IntGauge,
    /// When the look that is overdue the longest was due; now, if none is.
    pub oldest_due: Gauge,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Requests left of the day's quota.
    pub quota_remaining: IntGauge,
    /// 1 while Basiq holds us back.
    pub throttled: IntGauge,
    hidden: IntGauge,
    subscription: IntGauge,
    webhooks: IntCounterVec,
    up: Arc<AtomicBool>,
}

impl Own {
    /// All at 0.
    ///
    /// # Errors
    /// Two have one name, which is a mistake in the program.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |desc: Desc| Opts::new(desc.name, desc.help);
        let gauge = |desc: Desc| {
            let gauge = IntGauge::with_opts(opts(desc))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let build = IntGauge::with_opts(opts(BUILD_INFO).const_label("version", env!("CARGO_PKG_VERSION")))?;
        build.set(1);
        registry.register(Box::new(build))?;
        let last_success = GaugeVec::new(opts(COLLECTOR_LAST_SUCCESS_TIMESTAMP_SECONDS), &["collector"])?;
        registry.register(Box::new(last_success.clone()))?;
        let oldest_due = Gauge::with_opts(opts(OLDEST_DUE_POLL_TIMESTAMP_SECONDS))?;
        registry.register(Box::new(oldest_due.clone()))?;
        let requests = IntCounterVec::new(opts(API_REQUESTS_TOTAL), &["endpoint", "outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        let timed = HistogramOpts::from(opts(API_REQUEST_DURATION_SECONDS)).buckets(BUCKETS.to_vec());
        let durations = HistogramVec::new(timed, &["endpoint"])?;
        registry.register(Box::new(durations.clone()))?;
        Ok(Self {
            warm: gauge(WARM)?,
            users: gauge(USERS_WATCHED)?,
            quota_remaining: gauge(QUOTA_REMAINING_REQUESTS)?,
            throttled: gauge(THROTTLED)?,
            hidden: gauge(CONNECTIONS_HIDDEN)?,
            subscription: IntGauge::with_opts(opts(WEBHOOK_SUBSCRIPTION_ACTIVE))?,
            webhooks: IntCounterVec::new(opts(WEBHOOKS_TOTAL), &["outcome"])?,
            last_success,
            oldest_due,
            requests,
            durations,
            up: Arc::default(),
            registry: registry.clone(),
        })
    }

    /// The registry, for `/metrics`.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// A collector did all that it had to.
    pub fn succeeded(&self, collector: &str, now: crate::ledger::Ms) {
        self.last_success.with_label_values(&[collector]).set(super::seconds(now));
    }

    /// Whether token and connectors were had lately.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether Basiq has our webhook subscription and it is active. Shown from the first call on: who uses no
    /// webhooks misses none.
    pub fn set_subscription(&self, active: bool) {
        self.subscription.set(i64::from(active));
        // Refused when it is registered already.
        let _ = self.registry.register(Box::new(self.subscription.clone()));
    }

    /// A webhook has ended like this.
    pub fn webhook(&self, outcome: &str) {
        self.webhooks.with_label_values(&[outcome]).inc();
    }

    /// Makes the counter of webhooks show 0 for all its outcomes.
    pub fn seed_webhooks(&self, outcomes: &[&str]) {
        for outcome in outcomes {
            self.webhooks.with_label_values(&[*outcome]).inc_by(0);
        }
        let _ = self.registry.register(Box::new(self.webhooks.clone()));
    }

    pub(super) fn set_hidden(&self, hidden: usize) {
        self.hidden.set(i64::try_from(hidden).unwrap_or(i64::MAX));
    }
}

impl basiq::Observer for Own {
    fn request(&self, request: &basiq::Request<'_>) {
        let endpoint = request.endpoint.as_str();
        self.requests.with_label_values(&[endpoint, request.outcome()]).inc();
        self.durations.with_label_values(&[endpoint]).observe(request.duration.as_secs_f64());
    }
}
