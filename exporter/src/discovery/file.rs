//! Users named in files, in the shape of Prometheus `file_sd`: `[{targets: [user ids], labels: {…}}]`, JSON or YAML.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use daemon::{ReloadRequest, config};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Found, Reporter, Source,
    groups::{self, MAX_BYTES},
};
use crate::ledger::IdSet;

/// A set of files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Paths, with `*` and `?` in their last part; JSON or YAML by their content. Reread when they change.
    pub paths: Vec<String>,
}

impl super::Settings for Config {
    fn place(&mut self, place: &dyn Fn(&mut PathBuf)) {
        for pattern in &mut self.paths {
            let mut path = PathBuf::from(&*pattern);
            place(&mut path);
            *pattern = path.to_string_lossy().into_owned();
        }
    }
}

/// How often files are looked at, in real time.
const INTERVAL: Duration = Duration::from_secs(2);

/// When a file was last written, and its size: what tells that it changed.
type Stamp = (SystemTime, u64);

/// The source.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<String>,
    read: BTreeMap<PathBuf, Known>,
}

/// What a file said when it was last read.
#[derive(Debug, Default)]
struct Known {
    stamp: Option<Stamp>,
    ids: IdSet,
    /// Why it could not be read the last time; the ids are then those of the time before.
    wrong: Option<String>,
}

impl Files {
    pub(super) fn new(config: &Config) -> Self {
        Self { paths: config.paths.clone(), read: BTreeMap::new() }
    }

    /// Reads what changed: whether who is named changed, and what is wrong. What cannot be read stays as it was.
    fn refresh(&mut self) -> (bool, Result<(), String>) {
        let mut found = BTreeSet::new();
        let mut failed = Vec::new();
        for pattern in &self.paths {
            match glob::glob(pattern) {
                Ok(paths) => found.extend(paths.filter_map(Result::ok)),
                Err(error) => failed.push(format!("{pattern}: {error}")),
            }
        }
        // A file that is named and is not there is a mistake, not a list of nobody.
        let named: BTreeSet<PathBuf> =
            self.paths.iter().filter(|path| !is_pattern(path)).map(PathBuf::from).collect();
        failed.extend(named.difference(&found).map(|path| format!("{}: no such file", path.display())));
        let before = self.read.len();
        self.read.retain(|path, _| found.contains(path) || named.contains(path));
        let mut changed = self.read.len() != before;
        for path in found {
            let stamp = std::fs::metadata(&path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
            let known = self.read.entry(path.clone()).or_default();
            if stamp.is_none() || known.stamp != stamp {
                known.stamp = stamp;
                known.wrong = match read(&path) {
                    Ok(ids) => {
                        changed = true;
                        known.ids = ids;
                        None
                    }
                    Err(reason) => Some(reason),
                };
            }
            failed.extend(known.wrong.iter().map(|reason| format!("{}: {reason}", path.display())));
        }
        (changed, if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) })
    }

    fn all(&self) -> IdSet {
        let mut files = self.read.values();
        match (files.next(), files.next()) {
            (Some(only), None) => only.ids.clone(),
            _ => self.read.values().flat_map(|file| file.ids.iter().cloned()).collect(),
        }
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
            if !is_pattern(path) {
                read(Path::new(path)).map_err(|reason| format!("discovery.file.paths: {path}: {reason}"))?;
            }
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, reporter: Reporter) {
        let mut reloads = reporter.context.reload.subscribe("users files");
        let mut asked: Option<ReloadRequest> = None;
        let mut before = None;
        loop {
            let mut files = self;
            let Ok((files, changed, result)) = tokio::task::spawn_blocking(move || {
                let (changed, result) = files.refresh();
                (files, changed, result)
            })
            .await
            else {
                return;
            };
            self = files;
            let first = before.is_none();
            if let Err(reason) = &result
                && before.as_ref() != Some(&result)
            {
                tracing::error!(reason, "a users file cannot be read; what it said before holds");
            }
            if let Some(request) = asked.take() {
                request.answer(result.clone());
            }
            // What the other files say is news even if one is wrong; that nothing has changed is then not known.
            let told = if first || changed {
                reporter.tell(Found::All(self.all())).await
            } else {
                result.is_err() || reporter.tell(Found::Same).await
            };
            if !told {
                return;
            }
            before = Some(result);
            tokio::select! {
                () = reporter.context.stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
                Some(request) = reloads.next() => {
                    self.read.values_mut().for_each(|file| file.stamp = None);
                    asked = Some(request);
                }
            }
        }
    }
}

/// Whether a path stands for any number of files.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn read(path: &Path) -> Result<IdSet, String> {
    let unreadable = |error: std::io::Error| config::unreadable(&error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Almost all of YAML's flow style is JSON, which is read much faster and without holding the text; what is not
    // is left to YAML.
    let mut file = BufReader::new(file);
    if file.fill_buf().map_err(unreadable)?.trim_ascii_start().starts_with(b"[")
        && let Ok(ids) = groups::read_json(file.by_ref().take(MAX_BYTES as u64))
    {
        return Ok(ids);
    }
    file.rewind().map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > MAX_BYTES {
        return Err("larger than 256 MiB".to_owned());
    }
    groups::parse_yaml(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_reread_when_they_change_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.yml");
        std::fs::write(&path, "- targets: [a]\n").unwrap();
        let mut files = Files::new(&Config { paths: vec![format!("{}/*.yml", dir.path().display())] });
        assert_eq!(files.refresh(), (true, Ok(())));
        assert_eq!(files.refresh(), (false, Ok(())));
        std::fs::write(dir.path().join("more.yml"), "- targets: [b, c]\n").unwrap();
        assert_eq!((files.refresh(), files.all().len()), ((true, Ok(())), 3));
        std::fs::write(&path, "- targets: [a\n- x: [").unwrap();
        for _ in 0..2 {
            let (changed, wrong) = files.refresh();
            assert!(!changed && wrong.unwrap_err().contains("users.yml"), "as long as it is wrong");
        }
        assert_eq!(files.all().len(), 3);
        std::fs::remove_file(dir.path().join("more.yml")).unwrap();
        assert_eq!((files.refresh().0, files.all().len()), (true, 1));
    }

    #[test]
    fn a_file_that_is_named_and_vanishes_keeps_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.yml");
        std::fs::write(&path, "- targets: [a]\n").unwrap();
        let mut files = Files::new(&Config { paths: vec![path.display().to_string()] });
        assert_eq!(files.refresh(), (true, Ok(())));
        std::fs::remove_file(&path).unwrap();
        let (changed, wrong) = files.refresh();
        assert!(!changed && wrong.unwrap_err().contains("no such file"));
        assert_eq!(files.all().len(), 1);
    }
}
