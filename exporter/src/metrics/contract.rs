//! The families of both pages, as rules and dashboards build on them (design, "Metrics of the exporter").

use exposition::Desc;

/// Families of `/metrics`, in the order of the contract.
pub const AGGREGATES: &[Desc] = &[
    UP,
    STEPS,
    STEPS_FAILED,
    FINISHED,
    CODES_UNKNOWN,
    RUNNING,
    STUCK,
    DURATION,
    QUEUE,
    QUEUE_OLDEST,
    QUEUE_LEFT,
    CONNECTOR_STATUS,
    OUTAGE,
    INSTITUTION_INFO,
    CONNECTOR_INFO,
    STEP_AVERAGE,
    CONNECTIONS,
    FAILING,
    STALE,
    CONSENT_EXPIRING,
    NEWLY_FAILING,
];

pub(super) const UP: Desc = Desc::gauge(
    "basiq_up",
    "Whether a token and the connectors were had from Basiq within three intervals; throttling changes nothing.",
).example("basiq_up == 0");
pub(super) const STEPS: Desc = Desc::counter(
    "basiq_job_steps_total",
    "Terminal outcomes of job steps, each counted once when it is first seen: seconds after it happened while the job is watched, at most a pass later.",
).labels(&["institution", "method", "step"]).example("sum by (step) (rate(basiq_job_steps_total[1h]))");
pub(super) const STEPS_FAILED: Desc = Desc::counter(
    "basiq_job_steps_failed_total",
    "Steps of jobs that failed, by Basiq's code and what it means, each counted once when it is first seen.",
)
.labels(&["institution", "method", "step", "code", "scenario"])
.example("topk(10, sum by (institution, scenario) (increase(basiq_job_steps_failed_total[1h])))");
pub(super) const FINISHED: Desc = Desc::counter(
    "basiq_jobs_finished_total",
    "Jobs that finished, each outcome of a job counted once when it is first seen; a job that fails and is healed by Basiq counts in both.",
).labels(&["institution", "method", "outcome"]).example("sum by (institution) (increase(basiq_jobs_finished_total{outcome=\"failed\"}[30m])) / sum by (institution) (increase(basiq_jobs_finished_total[30m]))");
pub(super) const CODES_UNKNOWN: Desc = Desc::counter(
    "basiq_job_codes_unknown_total",
    "Failures of connection jobs whose code Basiq's documents do not name.",
)
.example("increase(basiq_job_codes_unknown_total[1d]) > 0");
pub(super) const RUNNING: Desc = Desc::gauge(
    "basiq_jobs_running",
    "Jobs that run, for less than an hour; looked at every few seconds to a minute.",
)
.labels(&["institution"])
.example("sum(basiq_jobs_running)");
pub(super) const STUCK: Desc =
    Desc::gauge("basiq_jobs_stuck", "Jobs that have run for over an hour; looked at every few minutes.")
        .labels(&["institution"])
        .example("basiq_jobs_stuck > 0");
pub(super) const DURATION: Desc = Desc::histogram(
    "basiq_job_duration_seconds",
    "From a job's creation to its first finish, by Basiq's clock, observed when that is first seen.",
).labels(&["method", "outcome"]).example("histogram_quantile(0.95, sum by (le) (rate(basiq_job_duration_seconds_bucket{outcome=\"success\"}[1h])))");
pub(super) const QUEUE: Desc = Desc::gauge(
    "basiq_retry_queue_jobs",
    "Jobs in Basiq's retry queue, as far as there is evidence of it; looked at every half an hour.",
)
.labels(&["institution"])
.example("sum(basiq_retry_queue_jobs)");
pub(super) const QUEUE_OLDEST: Desc = Desc::gauge(
    "basiq_retry_queue_oldest_job_created_timestamp_seconds",
    "When the oldest job in Basiq's retry queue was created; absent while none is queued.",
)
.labels(&["institution"])
.example("time() - min(basiq_retry_queue_oldest_job_created_timestamp_seconds)");
pub(super) const QUEUE_LEFT: Desc = Desc::counter(
    "basiq_retry_queue_jobs_left_total",
    "Jobs that left Basiq's retry queue, by how; seen up to half an hour later.",
)
.labels(&["institution", "reason"])
.example("sum by (reason) (increase(basiq_retry_queue_jobs_left_total[7d]))");
pub(super) const CONNECTOR_STATUS: Desc = Desc::gauge(
    "basiq_connector_status",
    "Basiq's status of the connector: 1 for the present one, 0 for the others; a minute old, absent 15 minutes after the last successful poll.",
).labels(&["institution", "method", "status"]).example("basiq_connector_status{status!=\"operational\"} == 1");
pub(super) const OUTAGE: Desc = Desc::gauge(
    "basiq_institution_outage",
    "Whether Basiq reports an outage of this level; a minute old, absent 15 minutes after the last successful poll.",
).labels(&["institution", "method", "level"]).example("basiq_institution_outage{level=\"major\"} == 1");
pub(super) const INSTITUTION_INFO: Desc = Desc::gauge(
    "basiq_institution_info",
    "What Basiq says of the institution; always 1, absent 15 minutes after the last successful poll.",
)
.labels(&["institution", "institution_name", "tier", "country"])
.example("basiq_connections_failing * on (institution) group_left (institution_name) basiq_institution_info");
pub(super) const CONNECTOR_INFO: Desc = Desc::gauge(
    "basiq_connector_info",
    "What Basiq says of the connector; always 1, absent 15 minutes after the last successful poll.",
)
.labels(&["institution", "method", "connector_stage"])
.example("basiq_connector_info{connector_stage!=\"live\"}");
pub(super) const STEP_AVERAGE: Desc = Desc::gauge(
    "basiq_connector_step_average_duration_seconds",
    "Basiq's own average duration of the step over 7 days; absent where Basiq gives none, and 15 minutes after the last successful poll.",
).labels(&["institution", "method", "step"]).example("topk(5, basiq_connector_step_average_duration_seconds{step=\"total\"})");
pub(super) const CONNECTIONS: Desc =
    Desc::gauge("basiq_connections", "Watched connections by Basiq's status, up to a day old.")
        .labels(&["institution", "method", "status"])
        .example("sum by (status) (basiq_connections)");
pub(super) const FAILING: Desc = Desc::gauge(
    "basiq_connections_failing",
    "Connections whose newest finished job failed, or that are invalid; minutes to hours old, the newest failures the youngest.",
).labels(&["institution", "method", "scenario"]).example("sum by (scenario) (basiq_connections_failing)");
pub(super) const STALE: Desc = Desc::gauge(
    "basiq_connections_stale",
    "Connections that missed two expected refresh periods; only where such a period is configured.",
)
.labels(&["institution"])
.example("basiq_connections_stale > 0");
pub(super) const CONSENT_EXPIRING: Desc = Desc::gauge(
    "basiq_connections_consent_expiring",
    "Connections whose open banking consent expires within 7 days, as listed within the last day.",
)
.labels(&["institution"])
.example("sum(basiq_connections_consent_expiring)");
pub(super) const NEWLY_FAILING: Desc = Desc::gauge(
    "basiq_users_newly_failing",
    "Distinct users whose first failure was in the last 30 minutes; not summable over labels.",
)
.labels(&["institution", "method", "scenario"])
.example("basiq_users_newly_failing >= 10");

/// Families of `/metrics/connections`; a row is a connection.
pub const CONNECTION: &[Desc] = &[
    Desc::gauge(
        "basiq_connection_failed_jobs",
        "Jobs in a row that ended failed, outside major outages of the bank; 0 if it fails without a job. Only while it fails.",
    ).labels(CONNECTION_LABELS).example("max without (instance, job, pod) (basiq_connection_failed_jobs) >= 3"),
    Desc::gauge(
        "basiq_connection_failing_since_timestamp_seconds",
        "When it began to fail, by Basiq's clock. Only while it fails.",
    ).labels(CONNECTION_LABELS).example("time() - basiq_connection_failing_since_timestamp_seconds > 6 * 3600"),
    Desc::gauge(
        "basiq_connection_last_failure_timestamp_seconds",
        "When its newest failed job finished, by Basiq's clock. Only while it fails.",
    ).labels(CONNECTION_LABELS).example("time() - basiq_connection_last_failure_timestamp_seconds < 600"),
    Desc::gauge(
        "basiq_connection_stale_since_timestamp_seconds",
        "Since when two expected refresh periods have passed without a success. Only while it is stale.",
    ).labels(CONNECTION_LABELS),
    Desc::gauge(
        "basiq_connection_ended_timestamp_seconds",
        "When its failure ended; the scenario says how. For 24 hours after the end.",
    ).labels(CONNECTION_LABELS).example("count by (scenario) (basiq_connection_ended_timestamp_seconds)"),
    Desc::gauge(
        "basiq_connection_baseline",
        "1 while it fails since before its user was discovered or the ledger was born; absent otherwise.",
    ).labels(CONNECTION_LABELS).example("count(basiq_connection_baseline)"),
    Desc::gauge(
        "basiq_connection_never_succeeded",
        "1 while it fails and nothing shows that it ever worked; absent otherwise.",
    ).labels(CONNECTION_LABELS),
];

/// The labels of all families of `/metrics/connections`.
pub const CONNECTION_LABELS: &[&str] = &["connection_id", "user_id", "institution", "method", "scenario"];

/// Places in [`CONNECTION`].
pub(super) mod column {
    pub(in crate::metrics) const FAILED_JOBS: usize = 0;
    pub(in crate::metrics) const FAILING_SINCE: usize = 1;
    pub(in crate::metrics) const LAST_FAILURE: usize = 2;
    pub(in crate::metrics) const STALE_SINCE: usize = 3;
    pub(in crate::metrics) const ENDED: usize = 4;
    pub(in crate::metrics) const BASELINE: usize = 5;
    pub(in crate::metrics) const NEVER_SUCCEEDED: usize = 6;
}

/// The daemon's own families, on `/metrics` too.
pub const OWN: &[Desc] = &[
    BUILD_INFO,
    WARM,
    COLLECTOR_LAST_SUCCESS_TIMESTAMP_SECONDS,
    USERS_WATCHED,
    OLDEST_DUE_POLL_TIMESTAMP_SECONDS,
    API_REQUESTS_TOTAL,
    API_REQUEST_DURATION_SECONDS,
    QUOTA_REMAINING_REQUESTS,
    THROTTLED,
    CONNECTIONS_HIDDEN,
    WEBHOOK_SUBSCRIPTION_ACTIVE,
    WEBHOOKS_TOTAL,
];

pub(super) const BUILD_INFO: Desc =
    Desc::gauge("basiq_exporter_build_info", "The version that runs; always 1.")
        .labels(&["version"])
        .example("count by (version) (basiq_exporter_build_info)");
pub(super) const WARM: Desc =
    Desc::gauge("basiq_exporter_warm", "Whether all that was due at the start has been observed.")
        .example("basiq_exporter_warm == 0");
pub(super) const COLLECTOR_LAST_SUCCESS_TIMESTAMP_SECONDS: Desc = Desc::gauge(
    "basiq_exporter_collector_last_success_timestamp_seconds",
    "When the collector last did all that it had to; absent until then.",
)
.labels(&["collector"])
.example("time() - basiq_exporter_collector_last_success_timestamp_seconds > 900");
pub(super) const USERS_WATCHED: Desc = Desc::gauge("basiq_exporter_users_watched", "Users that are watched.");
pub(super) const OLDEST_DUE_POLL_TIMESTAMP_SECONDS: Desc = Desc::gauge(
    "basiq_exporter_oldest_due_poll_timestamp_seconds",
    "When the look at a user that is overdue the longest was due; the present time if none is.",
)
.example("time() - basiq_exporter_oldest_due_poll_timestamp_seconds");
pub(super) const API_REQUESTS_TOTAL: Desc = Desc::counter(
    "basiq_exporter_api_requests_total",
    "Requests to Basiq, each try counted, by how they ended.",
)
.labels(&["endpoint", "outcome"])
.example("sum by (endpoint, outcome) (rate(basiq_exporter_api_requests_total[5m]))");
pub(super) const API_REQUEST_DURATION_SECONDS: Desc = Desc::histogram(
    "basiq_exporter_api_request_duration_seconds",
    "From sending a request to the last byte of its answer.",
)
.labels(&["endpoint"])
.example(
    "histogram_quantile(0.99, sum by (le) (rate(basiq_exporter_api_request_duration_seconds_bucket[5m])))",
);
pub(super) const QUOTA_REMAINING_REQUESTS: Desc =
    Desc::gauge("basiq_exporter_quota_remaining_requests", "Requests left of the last 24 hours' quota.")
        .example("basiq_exporter_quota_remaining_requests < 10000");
pub(super) const THROTTLED: Desc =
    Desc::gauge("basiq_exporter_throttled", "Whether Basiq asked for less and everything is held back.")
        .example("basiq_exporter_throttled == 1");
pub(super) const CONNECTIONS_HIDDEN: Desc = Desc::gauge(
    "basiq_exporter_connections_hidden",
    "Connections that need attention and are not shown for lack of room.",
)
.example("basiq_exporter_connections_hidden > 0");
pub(super) const WEBHOOK_SUBSCRIPTION_ACTIVE: Desc = Desc::gauge(
    "basiq_exporter_webhook_subscription_active",
    "Whether Basiq has our webhook subscription and it is active; absent without discovery.webhooks.",
)
.example("basiq_exporter_webhook_subscription_active == 0");
pub(super) const WEBHOOKS_TOTAL: Desc = Desc::counter(
    "basiq_exporter_webhooks_total",
    "Webhooks received, by how they ended; absent without discovery.webhooks.",
)
.labels(&["outcome"])
.example("sum by (outcome) (increase(basiq_exporter_webhooks_total[1h]))");
