//! The families of the alerter's `/metrics`, as rules and dashboards build on them (design, "Metrics").

use exposition::Desc;

pub(super) const BUILD_INFO: Desc =
    Desc::gauge("basiq_alerter_build_info", "The version that runs; always 1.")
        .labels(&["version"])
        .example("count by (version) (basiq_alerter_build_info)");
pub(super) const LEADER: Desc = Desc::gauge("basiq_alerter_leader", "Whether this process plans.")
    .example("sum(basiq_alerter_leader) != 1");
pub(super) const DRY_RUN: Desc = Desc::gauge("basiq_alerter_dry_run", "Whether the action is in dry run.")
    .labels(&["action"])
    .example("basiq_alerter_dry_run == 1");
pub(super) const PAUSED: Desc =
    Desc::gauge("basiq_alerter_paused", "How many pauses are in force.").example("basiq_alerter_paused > 0");
pub(super) const HOLDS: Desc =
    Desc::gauge("basiq_alerter_holds", "How many batches of messages are held back for a person.")
        .example("basiq_alerter_holds > 0");
pub(super) const CIRCUIT_OPEN: Desc = Desc::gauge(
    "basiq_alerter_circuit_open",
    "Whether the channel is at fault, so that what goes through it waits. Absent until it first was.",
)
.labels(&["channel"])
.example("basiq_alerter_circuit_open == 1");
pub(super) const INCIDENTS_OPEN: Desc =
    Desc::gauge("basiq_alerter_incidents_open", "Open incidents that are not baseline, by scenario.")
        .labels(&["scenario"])
        .example("sum by (scenario) (basiq_alerter_incidents_open)");
pub(super) const INCIDENTS_BASELINE: Desc = Desc::gauge(
    "basiq_alerter_incidents_baseline",
    "Open incidents that are baseline: of no effect until released.",
);
pub(super) const EFFECTS: Desc = Desc::gauge("basiq_alerter_effects", "Effects by channel and state.")
    .labels(&["channel", "state"])
    .example("sum by (channel) (basiq_alerter_effects{state=~\"held|unknown\"}) > 0");
pub(super) const EFFECTS_TOTAL: Desc = Desc::counter(
    "basiq_alerter_effects_total",
    "Effects that came to an end, by channel, action and outcome.",
)
.labels(&["channel", "action", "outcome"])
.example("sum by (outcome) (increase(basiq_alerter_effects_total[1d]))");
pub(super) const OLDEST_PENDING: Desc = Desc::gauge(
    "basiq_alerter_oldest_pending_effect_timestamp_seconds",
    "When the oldest effect that still waits became due, by channel. Absent where none waits.",
)
.labels(&["channel"])
.example("time() - min by (channel) (basiq_alerter_oldest_pending_effect_timestamp_seconds) > 3600");
pub(super) const DELIVERY_DELAY: Desc = Desc::histogram(
    "basiq_alerter_delivery_delay_seconds",
    "From the time an effect became due, or was planned where that was later, until it was delivered.",
)
.example("histogram_quantile(0.95, sum by (le) (rate(basiq_alerter_delivery_delay_seconds_bucket[1h])))");
pub(super) const STEP_DURATION: Desc = Desc::histogram(
    "basiq_alerter_plan_step_duration_seconds",
    "How long a step of the planner took, with its commit.",
)
.example("histogram_quantile(0.99, sum by (le) (rate(basiq_alerter_plan_step_duration_seconds_bucket[5m])))");
pub(super) const COMMIT_ERRORS: Desc = Desc::counter(
    "basiq_alerter_store_commit_errors_total",
    "Commits that the store refused; each is tried again until it is taken.",
)
.example("increase(basiq_alerter_store_commit_errors_total[15m]) > 0");

pub(crate) const RULE_EVALUATIONS: Desc =
    Desc::counter("basiq_alerter_rule_evaluations_total", "Evaluations of single rules, by outcome.")
        .labels(&["outcome"])
        .example("increase(basiq_alerter_rule_evaluations_total{outcome=\"failure\"}[15m]) > 0");
pub(crate) const RULE_EVALUATION_DURATION: Desc = Desc::histogram(
    "basiq_alerter_rule_evaluation_duration_seconds",
    "How long one evaluation of all due rules of a source took.",
)
.example("histogram_quantile(0.99, sum by (le) (rate(basiq_alerter_rule_evaluation_duration_seconds_bucket[15m])))");
pub(crate) const SOURCE_LAST_SUCCESS: Desc = Desc::gauge(
    "basiq_alerter_source_last_success_timestamp_seconds",
    "When the source last reported what it was to report, with nothing missing, and it was stored.",
)
.labels(&["source"])
.example("time() - basiq_alerter_source_last_success_timestamp_seconds > 300");

/// All of them, in the order of the reference.
pub const FAMILIES: &[Desc] = &[
    BUILD_INFO,
    LEADER,
    DRY_RUN,
    PAUSED,
    HOLDS,
    CIRCUIT_OPEN,
    INCIDENTS_OPEN,
    INCIDENTS_BASELINE,
    EFFECTS,
    EFFECTS_TOTAL,
    OLDEST_PENDING,
    DELIVERY_DELAY,
    STEP_DURATION,
    COMMIT_ERRORS,
    RULE_EVALUATIONS,
    RULE_EVALUATION_DURATION,
    SOURCE_LAST_SUCCESS,
];

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics of basiq-alerter\n\n\
         Generated from the code: `UPDATE_DOCS=1 cargo test --workspace reference`.\n\n\
         Times are seconds since the epoch. Gauges of incidents and effects are read from the store every few seconds.\n",
    );
    out.push_str(&exposition::reference("On `/metrics`", FAMILIES));
    out
}
