//! The daemon's own metrics, `basiq_exporter_…`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

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
    up: Arc<AtomicBool>,
}

impl Own {
    /// All at 0.
    ///
    /// # Errors
    /// Two have one name, which is a mistake in the program.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("basiq_exporter_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let build = IntGauge::with_opts(
            Opts::new("basiq_exporter_build_info", "The version that runs; always 1.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        let last_success = GaugeVec::new(
            Opts::new(
                "basiq_exporter_collector_last_success_timestamp_seconds",
                "When the collector last did all that it had to; absent until then.",
            ),
            &["collector"],
        )?;
        registry.register(Box::new(last_success.clone()))?;
        let oldest_due = Gauge::new(
            "basiq_exporter_oldest_due_poll_timestamp_seconds",
            "When the look at a user that is overdue the longest was due; the present time if none is.",
        )?;
        registry.register(Box::new(oldest_due.clone()))?;
        let requests = IntCounterVec::new(
            Opts::new(
                "basiq_exporter_api_requests_total",
                "Requests to Basiq, each try counted, by how they ended.",
            ),
            &["endpoint", "outcome"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "basiq_exporter_api_request_duration_seconds",
                "From sending a request to the last byte of its answer.",
            )
            .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            &["endpoint"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        Ok(Self {
            warm: gauge("warm", "Whether all that was due since the start has been observed.")?,
            users: gauge("users_watched", "Users that are watched.")?,
            quota_remaining: gauge("quota_remaining_requests", "Requests left of the last 24 hours' quota.")?,
            throttled: gauge("throttled", "Whether Basiq asked for less and everything is held back.")?,
            hidden: gauge(
                "connections_hidden",
                "Connections that need attention and are not shown for lack of room.",
            )?,
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
