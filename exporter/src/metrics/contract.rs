//! The families of both pages, as rules and dashboards build on them (design, "Metrics of the exporter").

use exposition::Desc;

/// Families of `/metrics`, in the order in which they are shown.
pub const AGGREGATES: &[&Desc] = &[
    &UP,
    &STEPS,
    &STEPS_FAILED,
    &FINISHED,
    &CODES_UNKNOWN,
    &RUNNING,
    &STUCK,
    &DURATION,
    &QUEUE,
    &QUEUE_OLDEST,
    &QUEUE_LEFT,
    &CONNECTOR_STATUS,
    &OUTAGE,
    &INSTITUTION_INFO,
    &CONNECTOR_INFO,
    &STEP_AVERAGE,
    &CONNECTIONS,
    &FAILING,
    &STALE,
    &CONSENT_EXPIRING,
    &NEWLY_FAILING,
];

pub(super) const UP: Desc = Desc::gauge(
    "basiq_up",
    "Whether a token and the connectors were had from Basiq within three intervals; throttling changes nothing.",
);
pub(super) const STEPS: Desc = Desc::counter(
    "basiq_job_steps_total",
    "Terminal outcomes of job steps, each counted once when it is first seen: seconds after it happened while the job is watched, at most a pass later.",
);
pub(super) const STEPS_FAILED: Desc = Desc::counter(
    "basiq_job_steps_failed_total",
    "Steps of jobs that failed, by Basiq's code and what it means, each counted once when it is first seen.",
);
pub(super) const FINISHED: Desc = Desc::counter(
    "basiq_jobs_finished_total",
    "Jobs that finished, each outcome of a job counted once when it is first seen; a job that fails and is healed by Basiq counts in both.",
);
pub(super) const CODES_UNKNOWN: Desc = Desc::counter(
    "basiq_job_codes_unknown_total",
    "Failures of connection jobs whose code Basiq's documents do not name.",
);
pub(super) const RUNNING: Desc = Desc::gauge(
    "basiq_jobs_running",
    "Jobs that run, for less than an hour; looked at every few seconds to a minute.",
);
pub(super) const STUCK: Desc =
    Desc::gauge("basiq_jobs_stuck", "Jobs that have run for over an hour; looked at every few minutes.");
pub(super) const DURATION: Desc = Desc::histogram(
    "basiq_job_duration_seconds",
    "From a job's creation to its first finish, by Basiq's clock, observed when that is first seen.",
);
pub(super) const QUEUE: Desc = Desc::gauge(
    "basiq_retry_queue_jobs",
    "Jobs in Basiq's retry queue, as far as there is evidence of it; looked at every half an hour.",
);
pub(super) const QUEUE_OLDEST: Desc = Desc::gauge(
    "basiq_retry_queue_oldest_job_created_timestamp_seconds",
    "When the oldest job in Basiq's retry queue was created; absent while none is queued.",
);
pub(super) const QUEUE_LEFT: Desc = Desc::counter(
    "basiq_retry_queue_jobs_left_total",
    "Jobs that left Basiq's retry queue, by how; seen up to half an hour later.",
);
pub(super) const CONNECTOR_STATUS: Desc = Desc::gauge(
    "basiq_connector_status",
    "Basiq's status of the connector: 1 for the present one, 0 for the others; a minute old, absent 15 minutes after the last successful poll.",
);
pub(super) const OUTAGE: Desc = Desc::gauge(
    "basiq_institution_outage",
    "Whether Basiq reports an outage of this level; a minute old, absent 15 minutes after the last successful poll.",
);
pub(super) const INSTITUTION_INFO: Desc = Desc::gauge(
    "basiq_institution_info",
    "What Basiq says of the institution; always 1, absent 15 minutes after the last successful poll.",
);
pub(super) const CONNECTOR_INFO: Desc = Desc::gauge(
    "basiq_connector_info",
    "What Basiq says of the connector; always 1, absent 15 minutes after the last successful poll.",
);
pub(super) const STEP_AVERAGE: Desc = Desc::gauge(
    "basiq_connector_step_average_duration_seconds",
    "Basiq's own average duration of the step over 7 days; absent where Basiq gives none, and 15 minutes after the last successful poll.",
);
pub(super) const CONNECTIONS: Desc =
    Desc::gauge("basiq_connections", "Watched connections by Basiq's status, up to a day old.");
pub(super) const FAILING: Desc = Desc::gauge(
    "basiq_connections_failing",
    "Connections whose newest finished job failed, or that are invalid; minutes to hours old, the newest failures the youngest.",
);
pub(super) const STALE: Desc = Desc::gauge(
    "basiq_connections_stale",
    "Connections that missed two expected refresh periods; only where such a period is configured.",
);
pub(super) const CONSENT_EXPIRING: Desc = Desc::gauge(
    "basiq_connections_consent_expiring",
    "Connections whose open banking consent expires within 7 days, as listed within the last day.",
);
pub(super) const NEWLY_FAILING: Desc = Desc::gauge(
    "basiq_users_newly_failing",
    "Distinct users whose first failure was in the last 30 minutes; not summable over labels.",
);

/// Families of `/metrics/connections`; a row is a connection.
pub const CONNECTION: &[Desc] = &[
    Desc::gauge(
        "basiq_connection_failed_jobs",
        "Jobs in a row that ended failed, outside major outages of the bank; 0 if it fails without a job. Only while it fails.",
    ),
    Desc::gauge(
        "basiq_connection_failing_since_timestamp_seconds",
        "When it began to fail, by Basiq's clock. Only while it fails.",
    ),
    Desc::gauge(
        "basiq_connection_last_failure_timestamp_seconds",
        "When its newest failed job finished, by Basiq's clock. Only while it fails.",
    ),
    Desc::gauge(
        "basiq_connection_stale_since_timestamp_seconds",
        "Since when two expected refresh periods have passed without a success. Only while it is stale.",
    ),
    Desc::gauge(
        "basiq_connection_ended_timestamp_seconds",
        "When its failure ended; the scenario says how. For 24 hours after the end.",
    ),
    Desc::gauge(
        "basiq_connection_baseline",
        "1 while it fails since before its user was discovered or the ledger was born; absent otherwise.",
    ),
    Desc::gauge(
        "basiq_connection_never_succeeded",
        "1 while it fails and nothing shows that it ever worked; absent otherwise.",
    ),
];

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
