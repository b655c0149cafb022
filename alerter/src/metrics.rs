//! The alerter's own metrics, `basiq_alerter_…` of the design.

use daemon::Timestamp;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::{config::Actions, demand::Action, plan::Changes, store::Counts};

/// The metrics of planning and delivering. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    incidents_open: IntGaugeVec,
    incidents_baseline: IntGauge,
    effects: IntGaugeVec,
    effects_total: IntCounterVec,
    oldest_pending: GaugeVec,
    delivery_delay: Histogram,
    paused: IntGauge,
    holds: IntGauge,
    step_seconds: Histogram,
    commit_errors: prometheus::IntCounter,
    leader: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// One of them is registered already.
    pub fn new(registry: &Registry, actions: &Actions) -> prometheus::Result<Self> {
        let name = |name: &str, help: &str| Opts::new(format!("basiq_alerter_{name}"), help);
        let histogram = |short: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::from(name(short, help)).buckets(buckets.to_vec()))
        };
        let metrics = Self {
            incidents_open: IntGaugeVec::new(
                name("incidents_open", "Open incidents that are not baseline, by scenario."),
                &["scenario"],
            )?,
            incidents_baseline: IntGauge::with_opts(name(
                "incidents_baseline",
                "Open incidents that are baseline: of no effect until released.",
            ))?,
            effects: IntGaugeVec::new(
                name("effects", "Effects by channel and state."),
                &["channel", "state"],
            )?,
            effects_total: IntCounterVec::new(
                name("effects_total", "Effects that came to an end, by channel, action and outcome."),
                &["channel", "action", "outcome"],
            )?,
            oldest_pending: GaugeVec::new(
                name(
                    "oldest_pending_effect_timestamp_seconds",
                    "When the oldest effect that still waits became due, by channel. Absent where none waits.",
                ),
                &["channel"],
            )?,
            delivery_delay: histogram(
                "delivery_delay_seconds",
                "From the time an effect became due until it was delivered.",
                &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0],
            )?,
            paused: IntGauge::with_opts(name("paused", "How many pauses are in force."))?,
            holds: IntGauge::with_opts(name(
                "holds",
                "How many batches of messages are held back for a person.",
            ))?,
            step_seconds: histogram(
                "plan_step_duration_seconds",
                "How long a step of the planner took, with its commit.",
                &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0],
            )?,
            commit_errors: prometheus::IntCounter::with_opts(name(
                "store_commit_errors_total",
                "Commits that the store refused; each is tried again until it is taken.",
            ))?,
            leader: IntGauge::with_opts(name("leader", "Whether this process plans."))?,
        };
        let dry_run = IntGaugeVec::new(name("dry_run", "Whether the action is in dry run."), &["action"])?;
        for action in [Action::NotifyUser, Action::RefreshConnection, Action::FileTicket] {
            let dry = actions.mode(action) == crate::config::Mode::DryRun;
            dry_run.with_label_values(&[action.as_str()]).set(i64::from(dry));
        }
        let build = IntGaugeVec::new(name("build_info", "The build; always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let all: Vec<Box<dyn prometheus::core::Collector>> = vec![
            Box::new(metrics.incidents_open.clone()),
            Box::new(metrics.incidents_baseline.clone()),
            Box::new(metrics.effects.clone()),
            Box::new(metrics.effects_total.clone()),
            Box::new(metrics.oldest_pending.clone()),
            Box::new(metrics.delivery_delay.clone()),
            Box::new(metrics.paused.clone()),
            Box::new(metrics.holds.clone()),
            Box::new(metrics.step_seconds.clone()),
            Box::new(metrics.commit_errors.clone()),
            Box::new(dry_run),
            Box::new(metrics.leader.clone()),
            Box::new(build),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Counts what a step brought to an end.
    pub(crate) fn stepped(&self, changes: &Changes, took: std::time::Duration, pauses: usize, holds: usize) {
        self.step_seconds.observe(took.as_secs_f64());
        self.paused.set(i64::try_from(pauses).unwrap_or(i64::MAX));
        self.holds.set(i64::try_from(holds).unwrap_or(i64::MAX));
        for effect in changes.effects.iter().filter(|effect| effect.state.is_final()) {
            let labels = [effect.channel.as_str(), effect.action.as_str(), effect.state.as_str()];
            self.effects_total.with_label_values(&labels).inc();
            if effect.state == crate::store::EffectState::Delivered {
                let delay = crate::plan::since(effect.changed, effect.due);
                self.delivery_delay.observe(delay.as_secs_f64());
            }
        }
    }

    /// This process plans from now on.
    pub(crate) fn leads(&self) {
        self.leader.set(1);
    }

    /// The store refused a commit.
    pub(crate) fn commit_failed(&self) {
        self.commit_errors.inc();
    }

    /// Shows what the store counts.
    pub(crate) fn show(&self, counts: &Counts, oldest: &[(String, Timestamp)]) {
        self.incidents_open.reset();
        for (scenario, number) in &counts.open {
            self.incidents_open.with_label_values(&[scenario.as_str()]).set(to_gauge(*number));
        }
        self.incidents_baseline.set(to_gauge(counts.baseline));
        self.effects.reset();
        for (channel, state, number) in &counts.effects {
            self.effects.with_label_values(&[channel.as_str(), state.as_str()]).set(to_gauge(*number));
        }
        self.oldest_pending.reset();
        for (channel, due) in oldest {
            let seconds = due.as_millisecond() as f64 / 1000.0;
            self.oldest_pending.with_label_values(&[channel.as_str()]).set(seconds);
        }
    }
}

fn to_gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
