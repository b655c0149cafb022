//! Users named in files, in the shape of Prometheus `file_sd`: `[{targets: [user ids], labels: {…}}]`, JSON or YAML.

use std::{
    collections::{BTreeMap, HashSet},
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use daemon::Context;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Found, Source};
use crate::ledger::Id;

/// A set of files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Paths, with `*` and `?` in their last part; JSON or YAML by their content. Relative to the working folder.
    /// Reread when they change.
    pub paths: Vec<String>,
}

/// The largest file that is read: half a million users take 20 MB.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How often files are looked at, in real time.
const INTERVAL: Duration = Duration::from_secs(2);

/// One group of a file. Labels are for the partner's other tools (`external_id`, say); they are not kept.
#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<String, serde::de::IgnoredAny>,
}

/// When a file was last written, and its size: what tells that it changed.
type Stamp = (SystemTime, u64);

/// The source.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<String>,
    read: BTreeMap<PathBuf, (Option<Stamp>, HashSet<Id>)>,
}

impl Files {
    pub(super) fn new(config: &Config) -> Self {
        Self { paths: config.paths.clone(), read: BTreeMap::new() }
    }

    /// Reads what changed. Whether who is named changed; errors leave what was read before.
    fn refresh(&mut self) -> Result<bool, String> {
        let mut found = Vec::new();
        for pattern in &self.paths {
            let paths = glob::glob(pattern).map_err(|error| format!("{pattern}: {error}"))?;
            found.extend(paths.filter_map(Result::ok));
        }
        let before = self.read.len();
        self.read.retain(|path, _| found.contains(path));
        let mut changed = self.read.len() != before;
        let mut failed = Vec::new();
        for path in found {
            let stamp = std::fs::metadata(&path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
            if stamp.is_some() && self.read.get(&path).is_some_and(|(old, _)| *old == stamp) {
                continue;
            }
            match read(&path) {
                Ok(ids) => {
                    changed = true;
                    self.read.insert(path, (stamp, ids));
                }
                Err(reason) => {
                    if let Some((old, _)) = self.read.get_mut(&path) {
                        *old = stamp;
                    }
                    failed.push(format!("{}: {reason}", path.display()));
                }
            }
        }
        if failed.is_empty() { Ok(changed) } else { Err(failed.join("; ")) }
    }

    fn all(&self) -> HashSet<Id> {
        self.read.values().flat_map(|(_, ids)| ids.iter().cloned()).collect()
    }
}

#[async_trait]
impl Source for Files {
    fn name(&self) -> String {
        super::name("file", &self.paths.join("\n"))
    }

    fn check(&self) -> Result<(), String> {
        if self.paths.is_empty() {
            return Err("discovery.file.paths: empty; name the files that list your users".to_owned());
        }
        for path in &self.paths {
            glob::Pattern::new(path).map_err(|error| format!("discovery.file.paths: {path}: {error}"))?;
            if !path.contains(['*', '?', '[']) {
                read(Path::new(path)).map_err(|reason| format!("discovery.file.paths: {path}: {reason}"))?;
            }
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, found: mpsc::Sender<(String, Found)>, context: Context) {
        let name = self.name();
        let mut reloads = context.reload.subscribe("users files");
        let mut first = true;
        loop {
            let files = self;
            let (files, result) = match tokio::task::spawn_blocking(move || {
                let mut files = files;
                let result = files.refresh();
                (files, result)
            })
            .await
            {
                Ok(done) => done,
                Err(_) => return,
            };
            self = files;
            match &result {
                Ok(false) if !first => {}
                _ => {
                    first = false;
                    if let Err(reason) = &result {
                        tracing::error!(reason, "a users file cannot be read; what it said before holds");
                    }
                    if found.send((name.clone(), Found::All(self.all()))).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                () = context.stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
                Some(request) = reloads.next() => {
                    for (stamp, _) in self.read.values_mut() {
                        *stamp = None;
                    }
                    request.answer(self.refresh().map(|_| ()));
                    if found.send((name.clone(), Found::All(self.all()))).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<HashSet<Id>, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file; create it or correct the path".to_owned(),
        _ => error.to_string(),
    })?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err("larger than 256 MiB".to_owned());
    }
    parse(&text)
}

/// The ids of a file.
fn parse(text: &str) -> Result<HashSet<Id>, String> {
    const SHAPE: &str = "expected a list of {targets: [user ids]}, as in Prometheus file_sd";
    let groups: Vec<Group> = if text.trim_start().starts_with('[') && text.trim_end().ends_with(']') {
        serde_json::from_str(text)
            .map_err(|error| format!("line {}, column {}: {SHAPE}", error.line(), error.column()))?
    } else if text.trim().is_empty() {
        Vec::new()
    } else {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
            Some(at) => format!("line {}, column {}: {SHAPE}", at.line(), at.column()),
            None => SHAPE.to_owned(),
        })?
    };
    let mut ids = HashSet::new();
    for (nth, target) in groups.iter().flat_map(|group| &group.targets).enumerate() {
        ids.insert(Id::parse(target).ok_or_else(|| format!("target {}: not an id of Basiq", nth + 1))?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_in_the_shape_of_file_sd() {
        let expected: HashSet<_> = ["a", "b"].map(|id| Id::parse(id).unwrap()).into();
        for text in [
            r#"[{"targets": ["a", "b"], "labels": {"external_id": "7"}}]"#,
            "- targets: [a]\n  labels: {external_id: x}\n- targets:\n  - b\n  - a\n",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert!(parse("").unwrap().is_empty());
        for text in ["[1]", "targets: [a]\n", r#"[{"targets": ["a b"]}]"#, "{"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn files_are_reread_when_they_change_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.yml");
        std::fs::write(&path, "- targets: [a]\n").unwrap();
        let mut files = Files::new(&Config { paths: vec![format!("{}/*.yml", dir.path().display())] });
        assert_eq!(files.refresh(), Ok(true));
        assert_eq!(files.refresh(), Ok(false));
        std::fs::write(dir.path().join("more.yml"), "- targets: [b, c]\n").unwrap();
        assert_eq!((files.refresh(), files.all().len()), (Ok(true), 3));
        std::fs::write(&path, "- targets: [a\n- x: [").unwrap();
        assert!(files.refresh().unwrap_err().contains("users.yml"));
        assert_eq!(files.all().len(), 3);
        std::fs::remove_file(dir.path().join("more.yml")).unwrap();
        assert_eq!((files.refresh(), files.all().len()), (Ok(true), 1));
    }
}
