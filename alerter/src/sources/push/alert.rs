//! An alert as it is sent, and what may stand in it.

use std::collections::BTreeMap;

use daemon::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// More alerts than any batch has, and any group that fits into one request.
const MAX_ALERTS: usize = 100_000;
/// More labels or annotations than any alert has.
const MAX_PAIRS: usize = 64;
/// Longer than any name or label.
const MAX_LABEL: usize = 2048;
/// Longer than any annotation.
const MAX_ANNOTATION: usize = 16 * 1024;

/// One alert of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Received {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// When it began to fire; `None` if it does not say.
    pub(super) starts_at: Option<Timestamp>,
    /// Until when it counts without being sent again; in the past if it was resolved.
    pub(super) ends_at: Option<Timestamp>,
    /// It says itself that it was resolved.
    pub(super) resolved: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    version: String,
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
    /// How many alerts of the group were left out, because the receiver is set to send only so many.
    #[serde(default)]
    truncated_alerts: u64,
}

/// What Prometheus sends: a list of alerts. An alert that cannot be used is an error of its own.
pub(super) fn of_prometheus(body: &[u8]) -> Result<Vec<Result<Received, String>>, String> {
    let alerts: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|_| "expected a JSON list of alerts".to_owned())?;
    all(alerts)
}

/// What Alertmanager's webhook sends, version 4.
pub(super) fn of_alertmanager(body: &[u8]) -> Result<Vec<Result<Received, String>>, String> {
    let wrong = |_| "expected the JSON of Alertmanager's webhook, version 4".to_owned();
    let webhook: Webhook<'_> = serde_json::from_slice(body).map_err(wrong)?;
    if webhook.version != "4" {
        return Err("expected version 4 of Alertmanager's webhook".to_owned());
    }
    let mut alerts = all(webhook.alerts)?;
    if webhook.truncated_alerts > 0 {
        alerts.push(Err(format!(
            "{} alerts of the group were left out by the sender: take `max_alerts` from its receiver",
            webhook.truncated_alerts
        )));
    }
    Ok(alerts)
}

fn all(alerts: Vec<&RawValue>) -> Result<Vec<Result<Received, String>>, String> {
    if alerts.len() > MAX_ALERTS {
        return Err(format!("more than {MAX_ALERTS} alerts at once"));
    }
    Ok(alerts
        .into_iter()
        .enumerate()
        .map(|(n, alert)| one(alert).map_err(|reason| format!("alert {n}: {reason}")))
        .collect())
}

fn one(alert: &RawValue) -> Result<Received, String> {
    // The reason is ours: that of the parser would repeat what was sent.
    let alert: Alert = serde_json::from_str(alert.get())
        .map_err(|_| "expected labels and annotations as texts".to_owned())?;
    let Alert { mut labels, annotations, starts_at, ends_at, status } = alert;
    labels.retain(|_, value| !value.is_empty());
    let fits = |pairs: &BTreeMap<String, String>, longest: usize| {
        pairs.len() <= MAX_PAIRS && pairs.iter().all(|(k, v)| k.len() <= MAX_LABEL && v.len() <= longest)
    };
    if !fits(&labels, MAX_LABEL) || !fits(&annotations, MAX_ANNOTATION) {
        return Err("too many or too long labels or annotations".to_owned());
    }
    if labels.is_empty() || labels.keys().any(String::is_empty) {
        return Err("an alert needs labels, and labels names".to_owned());
    }
    Ok(Received {
        labels,
        annotations,
        starts_at: time("startsAt", starts_at)?,
        ends_at: time("endsAt", ends_at)?,
        resolved: status.as_deref() == Some("resolved"),
    })
}

/// A time; Go's zero time means that there is none.
fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01T")) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| format!("{name} is no time"))
}
