//! From an exporter's pages to what they say (metric names: the design's contract).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use daemon::Timestamp;
use exposition::{Format, Limits, Parser, Sample};

use super::{Connector, Facts, Snapshot, State};

/// A page that was read in full and found well-formed.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) body: Bytes,
    pub(super) format: Format,
}

impl Page {
    /// What stands on it, sample by sample.
    pub fn samples(&self) -> Parser<'_> {
        Parser::new(&self.body, self.format, &Limits::default())
    }
}

/// The metrics that a [`Snapshot`] is made of.
pub(crate) const EVIDENCE: [&str; 10] = [
    "basiq_connection_failed_jobs",
    "basiq_connection_failing_since_timestamp_seconds",
    "basiq_connection_last_failure_timestamp_seconds",
    "basiq_connection_stale_since_timestamp_seconds",
    "basiq_connection_ended_timestamp_seconds",
    "basiq_connector_status",
    "basiq_institution_info",
    "basiq_users_newly_failing",
    "basiq_jobs_finished_total",
    "basiq_exporter_warm",
];

/// What several series say of one connection.
#[derive(Default)]
struct Parts {
    user: Option<Arc<str>>,
    institution: Option<Arc<str>>,
    method: Option<Arc<str>>,
    scenario: Option<Arc<str>>,
    failed_jobs: f64,
    failing_since: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    stale_since: Option<Timestamp>,
    ended: Option<(Timestamp, Arc<str>)>,
}

impl Parts {
    fn facts(self) -> Option<Facts> {
        let Self { user, institution, method, scenario, failed_jobs, failing_since, last_failure, .. } = self;
        let state = match (failing_since, self.stale_since, self.ended) {
            (Some(since), ..) => State::Failing {
                scenario: scenario?,
                // Whole by contract; a count beyond the type is as good as its largest value.
                failed_jobs: failed_jobs as u32,
                since,
                last_failure: last_failure.unwrap_or(since),
            },
            (None, Some(since), _) => State::Stale { since },
            (None, None, Some((at, reason))) => State::Ended { reason, at },
            (None, None, None) => return None,
        };
        Some(Facts { user: user?, institution: institution?, method: method?, state })
    }
}

/// Texts that many series share.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

/// What the pages say together. `as_of` is left to the caller; `warm` is what every page that speaks of it
/// says, and false if none does.
pub fn snapshot<'a>(pages: impl IntoIterator<Item = &'a Page>) -> Snapshot {
    let mut reading = Reading::default();
    for page in pages {
        let mut samples = page.samples();
        // The page was found well-formed when it came in.
        while let Ok(Some(sample)) = samples.next_sample() {
            reading.sample(&sample);
        }
    }
    reading.finish()
}

#[derive(Default)]
struct Reading {
    texts: Texts,
    connections: HashMap<Arc<str>, Parts>,
    statuses: HashMap<(Arc<str>, Arc<str>), Arc<str>>,
    names: HashMap<Arc<str>, Arc<str>>,
    warm: Vec<bool>,
    snapshot: Snapshot,
}

impl Reading {
    fn sample(&mut self, sample: &Sample<'_>) {
        match &*sample.name {
            "basiq_connection_failed_jobs" => {
                self.connection(sample, |parts, value, _| parts.failed_jobs = value)
            }
            "basiq_connection_failing_since_timestamp_seconds" => {
                self.connection(sample, |parts, value, scenario| {
                    parts.failing_since = timestamp(value);
                    parts.scenario = Some(scenario);
                })
            }
            "basiq_connection_last_failure_timestamp_seconds" => {
                self.connection(sample, |parts, value, _| parts.last_failure = timestamp(value));
            }
            "basiq_connection_stale_since_timestamp_seconds" => {
                self.connection(sample, |parts, value, _| parts.stale_since = timestamp(value));
            }
            "basiq_connection_ended_timestamp_seconds" => self.connection(sample, |parts, value, reason| {
                if let Some(at) = timestamp(value)
                    && parts.ended.as_ref().is_none_or(|(before, _)| *before <= at)
                {
                    parts.ended = Some((at, reason));
                }
            }),
            "basiq_connector_status" if sample.value == 1.0 => {
                let [institution, method, status] = self.labels(sample, ["institution", "method", "status"]);
                self.statuses.insert((institution, method), status);
            }
            "basiq_institution_info" => {
                let [institution, name] = self.labels(sample, ["institution", "institution_name"]);
                self.names.insert(institution, name);
            }
            "basiq_users_newly_failing" => {
                let [institution, method, scenario] =
                    self.labels(sample, ["institution", "method", "scenario"]);
                *self.snapshot.newly_failing.entry((institution, method, scenario)).or_default() +=
                    sample.value;
            }
            "basiq_job_steps_failed_total" => {
                let [institution, method, scenario] =
                    self.labels(sample, ["institution", "method", "scenario"]);
                *self.snapshot.steps_failed.entry((institution, method, scenario)).or_default() +=
                    sample.value;
            }
            "basiq_jobs_finished_total" => {
                let [institution, method, outcome] =
                    self.labels(sample, ["institution", "method", "outcome"]);
                *self.snapshot.jobs_finished.entry((institution, method, outcome)).or_default() +=
                    sample.value;
            }
            "basiq_exporter_warm" => self.warm.push(sample.value == 1.0),
            _ => {}
        }
    }

    fn labels<const N: usize>(&mut self, sample: &Sample<'_>, names: [&str; N]) -> [Arc<str>; N] {
        let mut values: [Arc<str>; N] = std::array::from_fn(|_| Arc::default());
        for (name, value) in sample.labels() {
            if let Some(at) = names.iter().position(|known| *known == name)
                && let Some(slot) = values.get_mut(at)
            {
                *slot = self.texts.get(&value);
            }
        }
        values
    }

    fn connection(&mut self, sample: &Sample<'_>, set: impl FnOnce(&mut Parts, f64, Arc<str>)) {
        let [user, institution, method, scenario] =
            self.labels(sample, ["user_id", "institution", "method", "scenario"]);
        let Some(connection) = sample.label("connection_id") else { return };
        let parts = match self.connections.get_mut(&*connection) {
            Some(parts) => parts,
            None => self.connections.entry(connection.into()).or_default(),
        };
        set(parts, sample.value, scenario);
        parts.user = Some(user);
        parts.institution = Some(institution);
        parts.method = Some(method);
    }

    fn finish(self) -> Snapshot {
        let mut snapshot = self.snapshot;
        snapshot.warm = !self.warm.is_empty() && self.warm.iter().all(|warm| *warm);
        snapshot.connections =
            self.connections.into_iter().filter_map(|(id, parts)| Some((id, parts.facts()?))).collect();
        for ((institution, method), status) in self.statuses {
            let name =
                self.names.get(&institution).filter(|name| !name.is_empty()).unwrap_or(&institution).clone();
            snapshot.connectors.insert((institution, method), Connector { status, name });
        }
        snapshot
    }
}

/// Seconds since 1970 to the millisecond.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok().filter(|_| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &'static str) -> Page {
        Page { body: Bytes::from_static(text.as_bytes()), format: Format::Text }
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
