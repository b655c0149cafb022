//! Configuration files: YAML, unknown keys refused, every message with file, line and column.
//!
//! Configuration types derive `Deserialize` with `#[serde(deny_unknown_fields)]`; secrets are keys that
//! end in `_file` and name a file ([`secret_from`]). Nothing prints neighbouring lines of the file.

mod duration;
mod every;

use std::{
    fmt,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

pub use duration::{Duration, DurationError, format_duration, parse_duration};

use crate::{Fatal, Secret};

/// The largest configuration file that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Everything that is wrong with a configuration file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named to us.
    pub file: String,
    /// Line and column, both from 1, where there is a place.
    pub place: Option<(u64, u64)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl ConfigErrors {
    /// One error that concerns the whole file.
    pub fn of_file(file: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self(vec![ConfigError { file: file.to_string(), place: None, message: message.to_string() }])
    }

    /// The errors, in the order of the file.
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigErrors> for Fatal {
    fn from(errors: ConfigErrors) -> Self {
        Self::settings(errors)
    }
}

/// Reads and decodes the file at `path`. An empty file is an empty mapping: all defaults.
///
/// # Errors
/// It is missing, unreadable, too large, not YAML, or does not decode into `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigErrors> {
    decode(&path.display().to_string(), &read(path)?)
}

/// Reads a text file of at most 4 MiB.
///
/// # Errors
/// Says what to do about a file that is missing, a folder, unreadable, too large or not UTF-8.
pub fn read(path: &Path) -> Result<String, ConfigErrors> {
    let refuse = |message: String| ConfigErrors::of_file(path.display(), message);
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            Err(refuse("the file is larger than 4 MiB; is it the right one?".to_owned()))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(refuse(unreadable(&error))),
    }
}

/// What to do about a file that could not be read.
pub fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file; create it or correct the path".to_owned(),
        ErrorKind::PermissionDenied => "not readable; let the user that runs this read it".to_owned(),
        ErrorKind::IsADirectory => "is a folder; name a file in it".to_owned(),
        ErrorKind::InvalidData => "is not UTF-8; save it as UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

/// Decodes YAML that came from `file`.
///
/// # Errors
/// See [`load`].
pub fn decode<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigErrors> {
    every::decode(text).map_err(|found| {
        let error = |found: every::Found| ConfigError {
            file: file.to_owned(),
            place: found.place,
            message: found.message,
        };
        ConfigErrors(found.into_iter().map(error).collect())
    })
}

/// Whether there is nothing in the text but comments.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// `path` as the configuration file `config` means it: relative to the folder of that file.
pub fn relative_to(config: Option<&Path>, path: &Path) -> PathBuf {
    config.and_then(Path::parent).map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

/// The secret that the setting `key` keeps in the file `path`.
///
/// # Errors
/// Names the setting and the file and says what to do; the value is in no message.
pub fn secret_from(key: &str, path: &Path) -> Result<Secret, Fatal> {
    Secret::from_file(path).map_err(|error| {
        let todo = match error.kind() {
            ErrorKind::NotFound => "no such file; create it with the secret as its only line".to_owned(),
            _ => unreadable(&error),
        };
        Fatal::Settings(format!("{key}: {}: {todo}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        interval: Duration,
        url: String,
        list: Vec<u32>,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                interval: Duration(std::time::Duration::from_secs(15)),
                url: String::new(),
                list: Vec::new(),
            }
        }
    }

    #[test]
    fn an_empty_file_means_defaults() {
        for text in ["", "\n", "# nothing yet\n"] {
            assert_eq!(decode::<Config>("c.yml", text).unwrap(), Config::default());
        }
        assert_eq!(decode::<Config>("c.yml", "interval: 2m\n").unwrap().interval.0.as_secs(), 120);
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let cases = [
            ("url: a\nurls: b\n", "c.yml:2:1: "),
            ("url: a\nlist:\n  - 1\n  - two\n", "c.yml:4:5: "),
            ("interval: soon\n", "c.yml:1:11: "),
            ("url: [\n", "c.yml:"),
        ];
        for (text, start) in cases {
            let error = decode::<Config>("c.yml", text).unwrap_err().to_string();
            assert!(error.starts_with(start), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(!error.contains(" at line "), "{error}");
        }
    }

    #[test]
    fn every_error_is_told_at_once_and_none_that_only_follows() {
        let places = |text: &str| -> Vec<_> {
            decode::<Config>("c.yml", text)
                .unwrap_err()
                .errors()
                .iter()
                .map(|error| error.place.unwrap())
                .collect()
        };
        assert_eq!(places("urls: b\ninterval: soon\nlist:\n  - two\n  - 3\n"), [(1, 1), (2, 11), (4, 5)]);
        // The list is empty now, which is no error of the file.
        assert_eq!(places("list:\n  - two\nurls: b\n"), [(2, 5)]);
        assert_eq!(places("list:\n- two\n- 2\n- three\nurls: b\n"), [(2, 3), (4, 3), (5, 1)]);
        assert_eq!(
            places("more:\n  nested: 1\n\n  # a comment\n  deeper: 2\ninterval: soon\n"),
            [(1, 1), (6, 11)]
        );
        assert_eq!(
            places("urls: {a: [}\ninterval: soon\n").len(),
            1,
            "nothing is guessed of what is no YAML"
        );
        let error = decode::<Config>("c.yml", "a: 1\nb: 2\n").unwrap_err().to_string();
        assert!(error.contains("; c.yml:2:1: ") && error.lines().count() == 1, "{error}");
        let many: String = (0..30).map(|at| format!("a{at}: 1\n")).collect();
        assert_eq!(places(&many).len(), 10);
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        name: String,
        wait: Duration,
    }

    #[test]
    fn a_key_that_was_wrong_is_not_missing_too() {
        let error = decode::<Strict>("c.yml", "name: a\nwait: soon\n").unwrap_err();
        assert_eq!(error.errors().len(), 1, "{error}");
        let error = decode::<Strict>("c.yml", "name: a\n").unwrap_err();
        assert!(error.to_string().contains("wait"), "{error}");
    }

    #[test]
    fn neighbouring_lines_are_never_printed() {
        let error = decode::<Config>("c.yml", "url: hunter2\nurls: b\n").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load::<Config>(&dir.path().join("none.yml")).unwrap_err().to_string();
        assert!(missing.ends_with("none.yml: no such file; create it or correct the path"), "{missing}");
        let folder = load::<Config>(dir.path()).unwrap_err().to_string();
        assert!(folder.contains("is a folder"), "{folder}");
    }

    #[test]
    fn secrets_name_their_setting() {
        let dir = tempfile::tempdir().unwrap();
        let error = secret_from("basiq.api_key_file", &dir.path().join("key")).unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().starts_with("basiq.api_key_file: "), "{error}");
    }

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let config = Path::new("/etc/basiq/exporter.yml");
        assert_eq!(relative_to(Some(config), Path::new("key")), Path::new("/etc/basiq/key"));
        assert_eq!(relative_to(Some(config), Path::new("/run/key")), Path::new("/run/key"));
        assert_eq!(relative_to(None, Path::new("key")), Path::new("key"));
    }
}
