//! `METRICS.md`: every metric, from the descriptions that the pages themselves use.

use super::{AGGREGATES, CONNECTION, OWN};

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics of basiq-exporter\n\n\
         Generated from the code: `UPDATE_DOCS=1 cargo test --workspace reference`.\n\n\
         A scrape never calls Basiq. Counters survive a restart without jumps and count what was observed, when it \
         was observed. A label set that is new shows 0 for a minute before its first count, so that `increase()` \
         sees it. Times are seconds since the epoch.\n",
    );
    let sections = [
        ("On `/metrics`: what Basiq's jobs, connections and connectors do", AGGREGATES),
        ("On `/metrics`: the exporter itself", OWN),
        ("On `/metrics/connections`: connections that need attention", CONNECTION),
    ];
    out.extend(sections.map(|(title, families)| exposition::reference(title, families)));
    out.push_str(
        "\nA connection is listed while it fails or is stale, and for 24 hours after that ended; then `scenario` says \
         how: `recovered`, `superseded`, `deleted`, `consent-ended`, `abandoned`. At most `metrics.connections` are \
         listed: ended and baseline ones leave first, then the longest failing; `basiq_exporter_connections_hidden` \
         counts what is left out.\n",
    );
    out
}
