//! The API keys as they are now: values, or files that are read again every minute.

use std::time::Duration;

use daemon::{Secret, Timestamp};
use reqwest::header::HeaderValue;

use super::config::{KeyPlace, KeySource};

/// How often, by the clock, the files are read again.
const REREAD: Duration = Duration::from_secs(60);

/// What has been read of a [`KeySource`].
#[derive(Debug)]
pub(super) struct Keys {
    source: KeySource,
    current: Option<Secret>,
    next: Option<Secret>,
    read_at: Option<Timestamp>,
    problem: String,
}

impl Keys {
    pub(super) fn new(source: KeySource) -> Self {
        Self { source, current: None, next: None, read_at: None, problem: String::new() }
    }

    /// Whether it is time to read again.
    pub(super) fn due(&self, now: Timestamp) -> bool {
        self.read_at.is_none_or(|at| {
            let age = now.duration_since(at);
            age >= jiff::SignedDuration::try_from(REREAD).unwrap_or_default() || age.is_negative()
        })
    }

    /// What to read, on a thread that may block.
    pub(super) fn source(&self) -> KeySource {
        self.source.clone()
    }

    /// Takes what was read; says whether a key has changed. What cannot be read any more stays as it was.
    pub(super) fn update(&mut self, read: ReadKeys, now: Timestamp) -> bool {
        self.read_at = Some(now);
        let mut changed = false;
        match read.current {
            Ok(key) => {
                changed |= self.current.as_ref() != Some(&key);
                self.current = Some(key);
                self.problem.clear();
            }
            Err(problem) => self.problem = problem,
        }
        if let Some(key) = read.next {
            changed |= self.next.as_ref() != Some(&key);
            self.next = Some(key);
        }
        changed
    }

    /// The keys to try, in order, without repeating one; empty if none could ever be read.
    pub(super) fn to_try(&self) -> Vec<(Secret, Which)> {
        let mut keys: Vec<_> = self.current.iter().map(|key| (key.clone(), Which::Current)).collect();
        if let Some(next) = self.next.as_ref().filter(|next| Some(*next) != self.current.as_ref()) {
            keys.push((next.clone(), Which::Next));
        }
        keys
    }

    /// Why the current key could not be read.
    pub(super) fn problem(&self) -> &str {
        &self.problem
    }
}

/// Which of two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Next,
}

/// The outcome of reading a source once. A next key that is not there is no problem.
pub(super) struct ReadKeys {
    current: Result<Secret, String>,
    next: Option<Secret>,
}

/// Reads files; blocks.
pub(super) fn read(source: &KeySource) -> ReadKeys {
    ReadKeys {
        current: read_place(&source.current),
        next: source.next.as_ref().and_then(|place| read_place(place).ok()),
    }
}

fn read_place(place: &KeyPlace) -> Result<Secret, String> {
    let key = match place {
        KeyPlace::Value(key) => key.clone(),
        KeyPlace::File(path) => {
            let why = |error| format!("{}: {}", path.display(), daemon::config::unreadable(&error));
            Secret::from_file(path).map_err(why)?
        }
    };
    let usable = !key.expose().trim().is_empty() && HeaderValue::from_str(key.expose()).is_ok();
    if usable { Ok(key) } else { Err("it is empty or has characters that no key has".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn files_are_due_every_minute_and_a_vanished_one_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let (current, next) = (dir.path().join("current"), dir.path().join("next"));
        let mut keys = Keys::new(KeySource::file(&current).with_next_file(&next));
        assert!(keys.due(at(0)));
        assert!(!keys.update(read(&keys.source()), at(0)));
        assert!(keys.to_try().is_empty() && keys.problem().contains("current"), "{}", keys.problem());

        std::fs::write(&current, "one\n").unwrap();
        assert!(!keys.due(at(59)) && keys.due(at(60)));
        assert!(keys.update(read(&keys.source()), at(60)));
        assert_eq!(keys.to_try(), [(Secret::new("one"), Which::Current)]);

        std::fs::write(&next, "two\n").unwrap();
        assert!(keys.update(read(&keys.source()), at(120)));
        assert_eq!(keys.to_try().len(), 2);
        std::fs::write(&current, "two").unwrap();
        assert!(keys.update(read(&keys.source()), at(180)));
        assert_eq!(keys.to_try(), [(Secret::new("two"), Which::Current)]);

        std::fs::remove_file(&current).unwrap();
        assert!(!keys.update(read(&keys.source()), at(240)));
        assert_eq!(keys.to_try().len(), 1);
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_a_problem_and_not_quoted() {
        let mut keys = Keys::new(KeySource::value(Secret::new("se\ncret")));
        keys.update(read(&keys.source()), at(0));
        assert!(keys.to_try().is_empty() && !keys.problem().contains("cret"));
    }
}
