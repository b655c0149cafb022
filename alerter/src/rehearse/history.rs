//! What exporters showed at times gone by: a folder of recorded scrapes, or the memory of a Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::Timestamp;
use exposition::Format;
use promql::{Labels, METRIC_NAME};

use crate::{
    evidence::{EVIDENCE, Look, Page, ScrapeError, Seen, Snapshot, Target},
    rules::RuleSet,
    sources::Api,
};

/// So many looks are asked for at once.
const CHUNK: i64 = 30;
/// A recorded page is no larger than this.
const MAX_BYTES: u64 = 512 << 20;

/// Looks in order of time.
pub(super) enum History<'a> {
    Folder(VecDeque<(Timestamp, Vec<PathBuf>)>),
    Server(Box<Server<'a>>),
}

impl<'a> History<'a> {
    /// The scrapes in a folder: files whose names begin with a time in seconds since 1970 and a dash, such as
    /// `1795356601-metrics.prom` and `1795356601-connections.prom`. Those of one time are one look.
    pub(super) fn folder(folder: &Path, from: Timestamp, to: Timestamp) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut looks: BTreeMap<Timestamp, Vec<PathBuf>> = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let time = name.split_once('-').and_then(|(time, _)| time.parse().ok());
            if let Some(at) = time.and_then(|time| Timestamp::from_second(time).ok())
                && (from..=to).contains(&at)
            {
                looks.entry(at).or_default().push(path);
            }
        }
        if looks.is_empty() {
            return Err(format!(
                "{}: no scrape of that time; files are named like 1795356601-metrics.prom",
                folder.display()
            ));
        }
        looks.values_mut().for_each(|paths| paths.sort());
        Ok(Self::Folder(looks.into_iter().collect()))
    }

    /// What a server remembers of all that the rules and the evidence read, a look every `step`.
    pub(super) fn server(
        api: &'a Api,
        set: &RuleSet,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Self, String> {
        let mut metrics: BTreeSet<String> = EVIDENCE.into_iter().map(str::to_owned).collect();
        for selector in set.selectors() {
            match selector.metric_name() {
                Some("up" | "ALERTS" | "ALERTS_FOR_STATE") => {}
                Some(name) => {
                    metrics.insert(name.to_owned());
                }
                None => {
                    return Err("a rule reads series of any name, which cannot be asked of a server".into());
                }
            }
        }
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        let (next, to) = (from.as_millisecond(), to.as_millisecond());
        let (instances, looks) = (BTreeSet::new(), VecDeque::new());
        Ok(Self::Server(Box::new(Server { api, metrics, next, to, step, instances, looks })))
    }

    /// The next look.
    pub(super) async fn next(&mut self) -> Result<Option<(Look, Snapshot)>, String> {
        match self {
            Self::Folder(looks) => looks.pop_front().map(|(at, paths)| read(at, &paths)).transpose(),
            Self::Server(server) => {
                if server.looks.is_empty() {
                    server.ask().await?;
                }
                Ok(server.looks.pop_front())
            }
        }
    }
}

fn read(at: Timestamp, paths: &[PathBuf]) -> Result<(Look, Snapshot), String> {
    let mut seen = Vec::new();
    for path in paths {
        let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        if std::fs::metadata(path).map_err(|error| wrong(&error))?.len() > MAX_BYTES {
            return Err(wrong(&"too large for a page"));
        }
        let body = std::fs::read(path).map_err(|error| wrong(&error))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let open = body.ends_with(b"# EOF\n");
        let format =
            Format::of_content_type(if open { "application/openmetrics-text" } else { "text/plain" });
        let instance = stem.split_once('-').map_or(stem, |(_, rest)| rest);
        let target = Target::recorded(instance, stem.contains("connections"));
        let target = target.ok_or_else(|| wrong(&"is no page"))?;
        let page = Page::read(&target, &body, format).map_err(ScrapeError::from);
        seen.push(Seen { target: Arc::new(target), page, seconds: 0.0 });
    }
    Ok(Look::of(at, seen))
}

/// A server's memory.
pub(super) struct Server<'a> {
    api: &'a Api,
    metrics: BTreeSet<String>,
    /// Milliseconds.
    next: i64,
    to: i64,
    step: i64,
    /// Exporters that were seen so far: one that is missing later could not be read.
    instances: BTreeSet<(bool, String)>,
    looks: VecDeque<(Look, Snapshot)>,
}

impl Server<'_> {
    async fn ask(&mut self) -> Result<(), String> {
        if self.next > self.to {
            return Ok(());
        }
        let (from, last) = (self.next, self.to.min(self.next + (CHUNK - 1) * self.step));
        // Texts of pages by time, and by exporter within.
        let mut pages: BTreeMap<i64, BTreeMap<(bool, String), String>> = BTreeMap::new();
        for metric in &self.metrics {
            let range = self.api.range(metric, from, last, self.step).await;
            let range = range.map_err(|error| format!("the server cannot be asked for {metric}: {error}"))?;
            if !range.complete {
                return Err(format!("the server knows only a part of {metric}; ask when it knows all"));
            }
            let connection = metric.starts_with("basiq_connection_");
            for (labels, points) in range.series {
                let key = (connection, labels.get("instance").unwrap_or_default().to_owned());
                let line = line(&labels);
                for (at, value) in points {
                    let page = pages.entry(at).or_default().entry(key.clone()).or_default();
                    let _ = writeln!(page, "{line} {value}");
                }
                self.instances.insert(key);
            }
        }
        let mut at = from;
        while at <= last {
            let mut texts = pages.remove(&at).unwrap_or_default();
            // Pages of connections first: they look whether the other page is there.
            let seen = self.instances.iter().rev().filter_map(|(connection, instance)| {
                let of = |connection| (connection, instance.clone());
                let target = Target::recorded(instance, *connection)?;
                // The page of connections is empty where nothing fails, as long as the exporter is there.
                let page = match (texts.remove(&of(*connection)), texts.contains_key(&of(false))) {
                    (None, false) => Err(ScrapeError::NoAnswer("the server has no sample of it")),
                    (text, _) => Page::read(&target, text.unwrap_or_default().as_bytes(), Format::Text)
                        .map_err(ScrapeError::from),
                };
                Some(Seen { target: Arc::new(target), page, seconds: 0.0 })
            });
            let seen: Vec<_> = seen.collect();
            let time = Timestamp::from_millisecond(at).map_err(|error| error.to_string())?;
            self.looks.push_back(Look::of(time, seen));
            at += self.step;
        }
        self.next = at;
        Ok(())
    }
}

/// A series as a page writes it, without the labels that a scrape adds.
fn line(labels: &Labels) -> String {
    let mut text = labels.metric_name().unwrap_or_default().to_owned();
    let own = labels.iter().filter(|(name, _)| ![METRIC_NAME, "job", "instance"].contains(name));
    for (number, (name, value)) in own.enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{name}=\"{value}\"", if number == 0 { '{' } else { ',' });
    }
    if text.contains('{') {
        text.push('}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_written_as_its_exporter_wrote_it() {
        let labels = Labels::new([
            ("__name__", "basiq_connection_failed_jobs"),
            ("job", "j"),
            ("instance", "i"),
            ("a", "x\"y\\\n"),
            ("b", "2"),
        ]);
        assert_eq!(line(&labels), "basiq_connection_failed_jobs{a=\"x\\\"y\\\\\\n\",b=\"2\"}");
        assert_eq!(line(&Labels::new([("__name__", "up"), ("job", "j")])), "up");
    }

    #[test]
    fn scrapes_of_one_time_are_one_look() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("100-metrics.prom", "basiq_exporter_warm 1\n");
        write("100-connections.prom", "");
        write("160-metrics.prom", "basiq_exporter_warm 0\n");
        write("220-metrics.prom", "not a page\n");
        write("notes.txt", "");
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut history = History::folder(folder.path(), at(100), at(220)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut next = || runtime.block_on(history.next()).unwrap();
        let (look, snapshot) = next().unwrap();
        assert_eq!((look.at, look.seen.len(), look.clear, snapshot.warm), (at(100), 2, true, true));
        assert!(!next().unwrap().0.clear, "not warm");
        assert!(next().unwrap().0.seen[0].page.is_err());
        assert!(next().is_none());
        assert!(History::folder(folder.path(), at(300), at(400)).is_err());
    }
}
