//! `METRICS.md`: every metric, from the descriptions that the pages themselves use.

use std::fmt::Write;

use super::{AGGREGATES, CONNECTION, CONNECTION_LABELS, Family, OWN};

/// Queries with the families of `/metrics/connections`, in their order.
const CONNECTION_EXAMPLES: [&str; 7] = [
    "max without (instance, job, pod) (basiq_connection_failed_jobs) >= 3",
    "time() - basiq_connection_failing_since_timestamp_seconds > 6 * 3600",
    "time() - basiq_connection_last_failure_timestamp_seconds < 600",
    "basiq_connection_stale_since_timestamp_seconds",
    "count by (scenario) (basiq_connection_ended_timestamp_seconds)",
    "count(basiq_connection_baseline)",
    "basiq_connection_never_succeeded",
];

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics of basiq-exporter\n\n\
         Generated from the code: `UPDATE_DOCS=1 cargo test -p basiq-exporter`.\n\n\
         A scrape never calls Basiq. Counters survive a restart without jumps and count what was observed, when it \
         was observed. A label set that is new shows 0 for a minute before its first count, so that `increase()` \
         sees it. Times are seconds since the epoch.\n",
    );
    section(&mut out, "On `/metrics`: what Basiq's jobs, connections and connectors do", AGGREGATES);
    section(&mut out, "On `/metrics`: the exporter itself", OWN);
    let rows: Vec<Family> = CONNECTION
        .iter()
        .zip(CONNECTION_EXAMPLES)
        .map(|(desc, example)| Family { desc: *desc, labels: CONNECTION_LABELS, example })
        .collect();
    section(&mut out, "On `/metrics/connections`: connections that need attention", &rows);
    out.push_str(
        "\nA connection is listed while it fails or is stale, and for 24 hours after that ended; then `scenario` says \
         how: `recovered`, `superseded`, `deleted`, `consent-ended`, `abandoned`. At most `metrics.connections` are \
         listed: ended and baseline ones leave first, then the longest failing; `basiq_exporter_connections_hidden` \
         counts what is left out.\n",
    );
    out
}

fn section(out: &mut String, title: &str, families: &[Family]) {
    let _ = writeln!(
        out,
        "\n## {title}\n\n| metric | type | labels | meaning | example |\n| --- | --- | --- | --- | --- |"
    );
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | `{}` |",
            family.desc.name,
            family.desc.kind.as_text(),
            labels.join(", "),
            family.desc.help,
            family.example.replace('|', "\\|"),
        );
    }
}
