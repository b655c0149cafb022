//! The alerter's own metrics, `basiq_alerter_…` of the design.

mod families;

use std::collections::HashMap;

use daemon::Timestamp;
use exposition::Desc;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    core::Collector,
};

pub use families::{FAMILIES, reference};
pub(crate) use families::{RULE_EVALUATION_DURATION, RULE_EVALUATIONS, SOURCE_LAST_SUCCESS};

use crate::{
    config::Actions,
    demand::Action,
    plan::Changes,
    store::{Counts, EffectState},
};

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
    circuit_open: IntGaugeVec,
    step_seconds: Histogram,
    commit_errors: IntCounter,
    leader: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// One of them is registered already.
    pub fn new(registry: &Registry, actions: &Actions) -> prometheus::Result<Self> {
        let histogram = |desc: &Desc, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::from(desc.opts()).buckets(buckets.to_vec()))
        };
        let gauge = |desc: &Desc| IntGauge::with_opts(desc.opts());
        let gauges = |desc: &Desc| IntGaugeVec::new(desc.opts(), desc.labels);
        let metrics = Self {
            incidents_open: gauges(&families::INCIDENTS_OPEN)?,
            incidents_baseline: gauge(&families::INCIDENTS_BASELINE)?,
            effects: gauges(&families::EFFECTS)?,
            effects_total: IntCounterVec::new(
                families::EFFECTS_TOTAL.opts(),
                families::EFFECTS_TOTAL.labels,
            )?,
            oldest_pending: GaugeVec::new(families::OLDEST_PENDING.opts(), families::OLDEST_PENDING.labels)?,
            delivery_delay: histogram(
                &families::DELIVERY_DELAY,
                &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0],
            )?,
            paused: gauge(&families::PAUSED)?,
            holds: gauge(&families::HOLDS)?,
            circuit_open: gauges(&families::CIRCUIT_OPEN)?,
            step_seconds: histogram(&families::STEP_DURATION, &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])?,
            commit_errors: IntCounter::with_opts(families::COMMIT_ERRORS.opts())?,
            leader: gauge(&families::LEADER)?,
        };
        let dry_run = gauges(&families::DRY_RUN)?;
        for action in [Action::NotifyUser, Action::RefreshConnection, Action::FileTicket] {
            let dry = actions.mode(action) == crate::config::Mode::DryRun;
            dry_run.with_label_values(&[action.as_str()]).set(i64::from(dry));
        }
        let build = gauges(&families::BUILD_INFO)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let all: Vec<Box<dyn Collector>> = vec![
            Box::new(metrics.incidents_open.clone()),
            Box::new(metrics.incidents_baseline.clone()),
            Box::new(metrics.effects.clone()),
            Box::new(metrics.effects_total.clone()),
            Box::new(metrics.oldest_pending.clone()),
            Box::new(metrics.delivery_delay.clone()),
            Box::new(metrics.paused.clone()),
            Box::new(metrics.holds.clone()),
            Box::new(metrics.circuit_open.clone()),
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
        self.standing(pauses, holds);
        for effect in changes.effects.iter().filter(|effect| effect.state.is_final()) {
            let labels = [effect.channel.as_str(), effect.action.as_str(), effect.state.as_str()];
            self.effects_total.with_label_values(&labels).inc();
            if effect.state == EffectState::Delivered {
                // What could not be planned when it was due, since the alerter began later or a person released it later, is
                // late for another reason than delivery.
                let delay = crate::plan::since(effect.changed, effect.due.max(effect.created));
                self.delivery_delay.observe(delay.as_secs_f64());
            }
        }
    }

    /// This process plans from now on.
    pub(crate) fn leads(&self) {
        self.leader.set(1);
    }

    /// Shows what people keep back, also before the first step after a start.
    pub(crate) fn standing(&self, pauses: usize, holds: usize) {
        self.paused.set(i64::try_from(pauses).unwrap_or(i64::MAX));
        self.holds.set(i64::try_from(holds).unwrap_or(i64::MAX));
    }

    /// A channel is at fault, or works again.
    pub(crate) fn circuit(&self, channel: &str, open: bool) {
        self.circuit_open.with_label_values(&[channel]).set(i64::from(open));
    }

    /// The store refused a commit.
    pub(crate) fn commit_failed(&self) {
        self.commit_errors.inc();
    }

    /// Such effects may go through that channel: what is counted of them is shown from now on, also while it is none. An
    /// increase from nothing at all would be seen by no rule.
    pub(crate) fn serves(&self, channel: &str, action: Action) {
        for state in EffectState::ALL {
            self.effects.with_label_values(&[channel, state.as_str()]);
            if state.is_final() {
                self.effects_total.with_label_values(&[channel, action.as_str(), state.as_str()]);
            }
        }
    }

    /// Shows what the store counts. What there is no longer any of shows as none, and a scrape in between sees
    /// each series as it was or as it is.
    pub(crate) fn show(&self, counts: &Counts, oldest: &[(String, Timestamp)]) {
        let open = counts.open.iter().map(|(scenario, number)| (vec![scenario.as_str()], *number));
        settle(&self.incidents_open, open.collect());
        self.incidents_baseline.set(to_gauge(counts.baseline));
        let effects = counts.effects.iter();
        let effects =
            effects.map(|(channel, state, number)| (vec![channel.as_str(), state.as_str()], *number));
        settle(&self.effects, effects.collect());
        for gone in labels_of(&self.oldest_pending) {
            if !oldest.iter().any(|(channel, _)| gone == [channel.as_str()]) {
                // Nothing else takes a series away, so it is there.
                let _ = self.oldest_pending.remove_label_values(&gone);
            }
        }
        for (channel, due) in oldest {
            let seconds = due.as_millisecond() as f64 / 1000.0;
            self.oldest_pending.with_label_values(&[channel.as_str()]).set(seconds);
        }
    }
}

/// Sets what is counted, and all that is not to none.
fn settle(gauges: &IntGaugeVec, counted: HashMap<Vec<&str>, u64>) {
    for labels in labels_of(gauges) {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        if !counted.contains_key(&labels) {
            gauges.with_label_values(&labels).set(0);
        }
    }
    for (labels, number) in counted {
        gauges.with_label_values(&labels).set(to_gauge(number));
    }
}

/// The values of the labels of every series there is, in the order of the labels' names.
fn labels_of(family: &impl Collector) -> Vec<Vec<String>> {
    let mut series = Vec::new();
    for family in family.collect() {
        for metric in family.get_metric() {
            series.push(metric.get_label().iter().map(|pair| pair.value().to_owned()).collect());
        }
    }
    series
}

fn to_gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use prometheus::proto::MetricFamily;
    use serde_json::json;

    use super::*;
    use crate::{config::Mode, store::Effect};

    #[test]
    fn the_reference_lists_what_is_shown_and_nothing_else() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &Actions::default()).unwrap();
        crate::sources::Measures::new(&registry)
            .unwrap()
            .succeeded(&"embedded".into(), Timestamp::UNIX_EPOCH);
        let counts = Counts {
            open: vec![("stale".to_owned(), 1)],
            baseline: 1,
            effects: vec![("relay".to_owned(), EffectState::Planned, 1)],
        };
        metrics.show(&counts, &[("relay".to_owned(), Timestamp::UNIX_EPOCH)]);
        metrics.effects_total.with_label_values(&["relay", "notify-user", "delivered"]).inc();
        metrics.circuit("relay", false);
        let shown: BTreeSet<_> = registry.gather().iter().map(described).collect();
        let listed: BTreeSet<_> = FAMILIES
            .iter()
            .map(|desc| {
                let labels: BTreeSet<String> = desc.labels.iter().map(|label| (*label).to_owned()).collect();
                (desc.name.to_owned(), desc.help.to_owned(), labels)
            })
            .collect();
        assert_eq!(shown, listed);
    }

    fn described(family: &MetricFamily) -> (String, String, BTreeSet<String>) {
        let labels = family.get_metric()[0].get_label().iter().map(|pair| pair.name().to_owned()).collect();
        (family.name().to_owned(), family.help().to_owned(), labels)
    }

    fn delivered(seconds: i64) -> Effect {
        let due: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let changed = due + jiff::SignedDuration::from_secs(seconds);
        serde_json::from_value(json!({
            "key": "k", "incidents": [], "action": "notify-user", "phase": "opening", "channel": "relay",
            "state": "delivered", "reason": "", "rule": "", "due": due, "next_attempt": due, "expires": due,
            "attempts": 1, "marks": 1, "unknowns": 0, "created": due, "changed": changed, "remote": null,
            "payload": {"kind": "refresh", "user": "u", "connection": "c", "class": "service"},
        }))
        .unwrap()
    }

    /// The value of a series, as it would be scraped, if it is there.
    fn value(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == format!("basiq_alerter_{name}"))?;
        let metric = family.get_metric().iter().find(|metric| {
            let has = |(name, value): &(&str, &str)| {
                metric.get_label().iter().any(|label| label.name() == *name && label.value() == *value)
            };
            metric.get_label().len() == labels.len() && labels.iter().all(has)
        })?;
        let histogram = metric.get_histogram();
        Some(match family.get_field_type() {
            prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
            prometheus::proto::MetricType::HISTOGRAM => histogram.get_sample_sum(),
            _ => metric.get_gauge().get_value(),
        })
    }

    #[test]
    fn everything_that_happens_moves_its_metric() {
        let registry = Registry::new();
        let actions =
            Actions { notify_user: Mode::Live, refresh_connection: Mode::Off, ..Actions::default() };
        let metrics = Metrics::new(&registry, &actions).unwrap();
        let value = |name: &str, labels: &[(&str, &str)]| value(&registry, name, labels);
        assert_eq!(value("build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
        for (action, dry) in [("notify-user", 0.0), ("refresh-connection", 0.0), ("file-ticket", 1.0)] {
            assert_eq!(value("dry_run", &[("action", action)]), Some(dry), "{action}");
        }
        let taken = [("channel", "relay"), ("action", "notify-user"), ("outcome", "delivered")];
        assert_eq!(value("effects_total", &taken), None);

        let planned = Effect { state: EffectState::Planned, ..delivered(0) };
        let changes = Changes { effects: vec![delivered(90), planned], ..Changes::default() };
        metrics.stepped(&changes, Duration::from_millis(250), 2, 3);
        assert_eq!(value("effects_total", &taken), Some(1.0), "what still waits is not counted");
        assert_eq!(value("delivery_delay_seconds", &[]), Some(90.0), "from when it became due");
        let late = delivered(7200);
        let late = Effect { created: late.changed - jiff::SignedDuration::from_secs(10), ..late };
        metrics.stepped(&Changes { effects: vec![late], ..Changes::default() }, Duration::ZERO, 2, 3);
        assert_eq!(
            value("delivery_delay_seconds", &[]),
            Some(100.0),
            "or from when it was planned, if later"
        );
        assert_eq!(value("plan_step_duration_seconds", &[]), Some(0.25));
        assert_eq!((value("paused", &[]), value("holds", &[])), (Some(2.0), Some(3.0)));
        assert_eq!(value("circuit_open", &[("channel", "relay")]), None);
        for open in [true, false] {
            metrics.circuit("relay", open);
            assert_eq!(value("circuit_open", &[("channel", "relay")]), Some(f64::from(u8::from(open))));
        }
        metrics.standing(0, 1);
        assert_eq!((value("paused", &[]), value("holds", &[])), (Some(0.0), Some(1.0)));
        metrics.commit_failed();
        assert_eq!(value("store_commit_errors_total", &[]), Some(1.0));

        let counts = Counts {
            open: vec![("mfa-required".to_owned(), 7)],
            baseline: 4,
            effects: vec![("relay".to_owned(), EffectState::Held, 5)],
        };
        let due: Timestamp = "2026-11-22T00:00:00.5Z".parse().unwrap();
        metrics.show(&counts, &[("relay".to_owned(), due)]);
        let scenario = [("scenario", "mfa-required")];
        let held = [("channel", "relay"), ("state", "held")];
        let oldest = [("channel", "relay")];
        assert_eq!(value("incidents_open", &scenario), Some(7.0));
        assert_eq!(value("incidents_baseline", &[]), Some(4.0));
        assert_eq!(value("effects", &held), Some(5.0));
        assert_eq!(value("oldest_pending_effect_timestamp_seconds", &oldest), Some(1_795_305_600.5));
        metrics.show(&Counts::default(), &[]);
        assert_eq!(value("effects", &held), Some(0.0), "none is a number");
        assert_eq!(value("incidents_open", &scenario), Some(0.0));
        let desk = [("channel", "desk"), ("state", "planned")];
        assert_eq!(value("effects", &desk), None);
        metrics.serves("desk", Action::FileTicket);
        assert_eq!(value("effects", &desk), Some(0.0), "shown before the first");
        let ended = |outcome| [("channel", "desk"), ("action", "file-ticket"), ("outcome", outcome)];
        assert_eq!(value("effects_total", &ended("dead")), Some(0.0), "so that the first is an increase");
        assert_eq!(value("effects_total", &ended("planned")), None, "that is no end");
        assert_eq!(value("oldest_pending_effect_timestamp_seconds", &oldest), None, "nothing waits");
    }
}
