//! From an exporter's pages to what they say (metric names: the design's contract).

use std::{collections::HashMap, sync::Arc};

use daemon::Timestamp;
use promql::Labels;

use super::{Connections, Connector, Facts, Page, Snapshot, State, page::Run};

/// The metrics that a [`Snapshot`] is made of.
pub(crate) const EVIDENCE: [&str; 12] = [
    "basiq_connection_failed_jobs",
    "basiq_connection_failing_since_timestamp_seconds",
    "basiq_connection_last_failure_timestamp_seconds",
    "basiq_connection_stale_since_timestamp_seconds",
    "basiq_connection_ended_timestamp_seconds",
    "basiq_connection_baseline",
    "basiq_connection_never_succeeded",
    "basiq_connector_status",
    "basiq_institution_info",
    "basiq_users_newly_failing",
    "basiq_jobs_finished_total",
    "basiq_exporter_warm",
];

/// What a series of a connection says.
#[derive(Clone, Copy)]
enum Says {
    FailedJobs,
    FailingSince,
    LastFailure,
    StaleSince,
    Ended,
    Baseline,
    NeverSucceeded,
}

impl Says {
    fn of(metric: &str) -> Option<Self> {
        Some(match metric {
            "basiq_connection_failed_jobs" => Self::FailedJobs,
            "basiq_connection_failing_since_timestamp_seconds" => Self::FailingSince,
            "basiq_connection_last_failure_timestamp_seconds" => Self::LastFailure,
            "basiq_connection_stale_since_timestamp_seconds" => Self::StaleSince,
            "basiq_connection_ended_timestamp_seconds" => Self::Ended,
            "basiq_connection_baseline" => Self::Baseline,
            "basiq_connection_never_succeeded" => Self::NeverSucceeded,
            _ => return None,
        })
    }
}

/// What several series of one label set say of their connection.
#[derive(Clone, Copy, Default)]
struct Parts {
    failed_jobs: Option<u32>,
    failing_since: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    stale_since: Option<Timestamp>,
    ended: Option<Timestamp>,
    baseline: bool,
    never_succeeded: bool,
}

impl Parts {
    fn take(&mut self, says: Says, value: f64) {
        match says {
            // Whole by contract; a count beyond the type is as good as its largest value.
            Says::FailedJobs => self.failed_jobs = Some(value as u32),
            Says::FailingSince => self.failing_since = timestamp(value),
            Says::LastFailure => self.last_failure = timestamp(value),
            Says::StaleSince => self.stale_since = timestamp(value),
            Says::Ended => self.ended = timestamp(value),
            Says::Baseline => self.baseline = value == 1.0,
            Says::NeverSucceeded => self.never_succeeded = value == 1.0,
        }
    }

    fn facts(self, labels: &Labels) -> Option<Facts> {
        let label = |name| labels.get_shared(name).cloned();
        let state = match (self.failing_since, self.stale_since, self.ended) {
            (Some(since), ..) => State::Failing {
                scenario: label("scenario")?,
                failed_jobs: self.failed_jobs.unwrap_or(0),
                since,
                last_failure: self.last_failure.unwrap_or(since),
                baseline: self.baseline,
                never_succeeded: self.never_succeeded,
            },
            (None, Some(since), _) => State::Stale { since },
            (None, None, Some(at)) => State::Ended { reason: label("scenario")?, at },
            (None, None, None) => return None,
        };
        let (user, institution, method) = (label("user_id")?, label("institution")?, label("method")?);
        Some(Facts { user, institution, method, state })
    }
}

/// What weighs more, where several series speak of one connection: what fails does, whatever ended before.
fn weight(state: &State) -> u8 {
    match state {
        State::Failing { .. } => 2,
        State::Stale { .. } => 1,
        State::Ended { .. } => 0,
    }
}

/// Whether `new`, which stands behind `old`, is what is known of the connection.
fn outweighs(new: &State, old: &State) -> bool {
    match (new, old) {
        (State::Ended { at: new, .. }, State::Ended { at: old, .. }) => new >= old,
        _ => weight(new) >= weight(old),
    }
}

/// Whether a page speaks of single connections.
pub(super) fn of_connections(page: &Page) -> bool {
    page.runs().any(|run| Says::of(run.metric()).is_some())
}

/// What the pages say of single connections.
pub(super) fn connections<'a>(pages: impl IntoIterator<Item = &'a Page>) -> Connections {
    let (mut places, mut parts) = (HashMap::new(), Vec::<(Labels, Parts)>::new());
    for page in pages {
        for run in page.runs() {
            let Some(says) = Says::of(run.metric()) else { continue };
            for (labels, value) in run.samples {
                let place = *places.entry(labels.clone()).or_insert_with(|| {
                    parts.push((labels.clone(), Parts::default()));
                    parts.len() - 1
                });
                if let Some((_, parts)) = parts.get_mut(place) {
                    parts.take(says, *value);
                }
            }
        }
    }
    drop(places);
    let mut connections = Connections::default();
    for (labels, parts) in parts {
        let Some(id) = labels.get_shared("connection_id") else { continue };
        let Some(facts) = parts.facts(&labels) else { continue };
        if connections.get(id).is_none_or(|known| outweighs(&facts.state, &known.state)) {
            connections.insert(id.clone(), facts);
        }
    }
    connections
}

/// What the pages say together. `as_of` is left to the caller; `warm` is what every page that speaks of it
/// says, and false if none does.
pub fn snapshot<'a>(pages: impl IntoIterator<Item = &'a Page> + Clone) -> Snapshot {
    let connections = connections(pages.clone());
    Snapshot { connections, ..aggregates(pages) }
}

/// What the pages say of all but single connections.
pub(super) fn aggregates<'a>(pages: impl IntoIterator<Item = &'a Page>) -> Snapshot {
    let mut reading = Reading::default();
    for page in pages {
        page.runs().for_each(|run| reading.run(run));
    }
    reading.finish()
}

#[derive(Default)]
struct Reading {
    statuses: HashMap<(Arc<str>, Arc<str>), Arc<str>>,
    names: HashMap<Arc<str>, Arc<str>>,
    warm: Vec<bool>,
    snapshot: Snapshot,
}

impl Reading {
    fn run(&mut self, run: Run<'_>) {
        let counted = |counts: &mut HashMap<_, f64>, third| {
            for (labels, value) in run.samples {
                let [institution, method, third] = texts(labels, ["institution", "method", third]);
                *counts.entry((institution, method, third)).or_default() += value;
            }
        };
        match run.metric() {
            "basiq_connector_status" => {
                for (labels, _) in run.samples.iter().filter(|(_, value)| *value == 1.0) {
                    let [institution, method, status] = texts(labels, ["institution", "method", "status"]);
                    self.statuses.insert((institution, method), status);
                }
            }
            "basiq_institution_info" => {
                for (labels, _) in run.samples {
                    let [institution, name] = texts(labels, ["institution", "institution_name"]);
                    self.names.insert(institution, name);
                }
            }
            "basiq_users_newly_failing" => counted(&mut self.snapshot.newly_failing, "scenario"),
            "basiq_job_steps_failed_total" => counted(&mut self.snapshot.steps_failed, "scenario"),
            "basiq_jobs_finished_total" => counted(&mut self.snapshot.jobs_finished, "outcome"),
            "basiq_exporter_warm" => self.warm.extend(run.samples.iter().map(|(_, value)| *value == 1.0)),
            _ => {}
        }
    }

    fn finish(self) -> Snapshot {
        let mut snapshot = self.snapshot;
        snapshot.warm = !self.warm.is_empty() && self.warm.iter().all(|warm| *warm);
        for ((institution, method), status) in self.statuses {
            let name =
                self.names.get(&institution).filter(|name| !name.is_empty()).unwrap_or(&institution).clone();
            snapshot.connectors.insert((institution, method), Connector { status, name });
        }
        snapshot
    }
}

/// The values of labels; empty where there is none.
fn texts<const N: usize>(labels: &Labels, names: [&str; N]) -> [Arc<str>; N] {
    names.map(|name| labels.get_shared(name).cloned().unwrap_or_default())
}

/// Seconds since 1970 to the millisecond.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok().filter(|_| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &'static str) -> Page {
        let target = super::super::Target::recorded("i", false).unwrap();
        Page::read(&target, text.as_bytes(), exposition::Format::Text).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn says_what_the_pages_say() {
        let metrics = page(concat!(
            "basiq_exporter_warm 1\n",
            "basiq_connector_status{institution=\"AU1\",method=\"web\",status=\"operational\"} 0\n",
            "basiq_connector_status{institution=\"AU1\",method=\"web\",status=\"major-outage\"} 1\n",
            "basiq_connector_status{institution=\"AU2\",method=\"web\",status=\"unknown\"} 1\n",
            "basiq_institution_info{institution=\"AU1\",institution_name=\"Hooli \\\"Bank\\\"\",tier=\"1\",country=\"AU\"} 1\n",
            "basiq_jobs_finished_total{institution=\"AU1\",method=\"web\",outcome=\"failed\"} 3\n",
            "basiq_job_steps_failed_total{institution=\"AU1\",method=\"web\",step=\"retrieve-accounts\",code=\"maintenance\",scenario=\"service-unavailable\"} 4\n",
            "basiq_job_steps_failed_total{institution=\"AU1\",method=\"web\",step=\"verify-credentials\",code=\"connector-error\",scenario=\"service-unavailable\"} 1\n",
            "basiq_users_newly_failing{institution=\"AU1\",method=\"web\",scenario=\"service-unavailable\"} 2\n",
        ));
        let connections = page(concat!(
            "basiq_connection_failed_jobs{connection_id=\"c1\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"account-locked\"} 2\n",
            "basiq_connection_failing_since_timestamp_seconds{connection_id=\"c1\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"account-locked\"} 100\n",
            "basiq_connection_last_failure_timestamp_seconds{connection_id=\"c1\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"account-locked\"} 160.5\n",
            "basiq_connection_baseline{connection_id=\"c1\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"account-locked\"} 1\n",
            "basiq_connection_ended_timestamp_seconds{connection_id=\"c1\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"recovered\"} 50\n",
            "basiq_connection_ended_timestamp_seconds{connection_id=\"c2\",user_id=\"u2\",institution=\"AU2\",method=\"web\",scenario=\"superseded\"} 70\n",
            "basiq_connection_stale_since_timestamp_seconds{connection_id=\"c3\",user_id=\"u3\",institution=\"AU2\",method=\"web\",scenario=\"stale\"} 80\n",
        ));
        let seen = snapshot([&metrics, &connections]);
        assert!(seen.warm);
        assert_eq!(seen.connections.len(), 3);
        let c1 = &seen.connections["c1"];
        assert_eq!((&*c1.user, &*c1.institution, &*c1.method), ("u1", "AU1", "web"));
        let last_failure = Timestamp::from_millisecond(160_500).unwrap();
        let failing = State::Failing {
            scenario: "account-locked".into(),
            failed_jobs: 2,
            since: at(100),
            last_failure,
            baseline: true,
            never_succeeded: false,
        };
        assert_eq!(c1.state, failing);
        assert_eq!(seen.connections["c2"].state, State::Ended { reason: "superseded".into(), at: at(70) });
        assert_eq!(seen.connections["c3"].state, State::Stale { since: at(80) });
        let (au1, au2, web): (Arc<str>, Arc<str>, Arc<str>) = ("AU1".into(), "AU2".into(), "web".into());
        assert_eq!(seen.major_outage(&au1, &web), Some(true));
        assert_eq!(seen.major_outage(&au2, &web), None);
        assert_eq!(&*seen.institution_name(&au1, &web), "Hooli \"Bank\"");
        assert_eq!(seen.jobs_finished[&(au1.clone(), web.clone(), "failed".into())], 3.0);
        let service = "service-unavailable".into();
        assert_eq!(seen.steps_failed[&(au1.clone(), web.clone(), service)], 5.0);
        assert_eq!(seen.newly_failing[&(au1, web, "service-unavailable".into())], 2.0);
    }

    #[test]
    fn is_warm_only_if_every_exporter_says_so() {
        let (warm, cold, silent) =
            (page("basiq_exporter_warm 1\n"), page("basiq_exporter_warm 0\n"), page("a 1\n"));
        assert!(snapshot([&warm, &silent]).warm);
        assert!(!snapshot([&warm, &cold]).warm);
        assert!(!snapshot([&silent]).warm);
    }
}
