//! How incidents and effects are put into words, or JSON for programs.

use std::fmt::Write as _;

use daemon::Fatal;

use crate::{
    incidents::{Incident, Status},
    store::Effect,
};

/// An incident in one line.
pub(super) fn one_line(incident: &Incident) -> String {
    let state = match (&incident.status, &incident.baseline) {
        (Status::Ended { reason, .. }, _) => reason.as_str(),
        (Status::Open, Some(_)) => "baseline",
        (Status::Open, None) => "open",
    };
    format!(
        "{}  {:<12}  {:<24}  {:<10}  connection {}  user {}  since {}\n",
        incident.reference,
        state,
        incident.scenario,
        incident.institution,
        incident.connection,
        incident.user,
        incident.failing_since
    )
}

/// An effect in one line.
pub(super) fn line(effect: &Effect) -> String {
    format!(
        "{}  {:<11}  {}  {}: {}\n",
        effect.changed,
        effect.state.as_str(),
        effect.key,
        effect.channel,
        effect.reason
    )
}

/// One effect for people; the payload is for `--json`.
pub(super) fn card(effect: &Effect) -> String {
    let mut text = String::new();
    let incidents = effect.incidents.join(", ");
    let remote = effect.remote.as_deref().unwrap_or("none");
    let (attempts, unknowns) = (effect.attempts, effect.unknowns);
    for (name, value) in [
        ("key", effect.key.as_str()),
        ("state", effect.state.as_str()),
        ("reason", &effect.reason),
        ("action", effect.action.as_str()),
        ("phase", effect.phase.as_str()),
        ("channel", &effect.channel),
        ("incidents", &incidents),
        ("rule", &effect.rule),
        ("due", &effect.due.to_string()),
        ("next attempt", &effect.next_attempt.to_string()),
        ("expires", &effect.expires.to_string()),
        ("attempts", &format!("{attempts}, of which {unknowns} with an unknown outcome")),
        ("other side's id", remote),
    ] {
        let _ = writeln!(text, "{name:<16} {value}");
    }
    text
}

/// Anything, for programs.
pub(super) fn as_json<T: serde::Serialize>(value: &T) -> Result<String, Fatal> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Fatal::running)
}
