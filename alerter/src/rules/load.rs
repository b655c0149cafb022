//! From patterns to files to rules.

use std::path::{Path, PathBuf};

use daemon::config;

use super::{RuleError, RuleErrors, RuleSet, read};

/// More files than any installation has.
const MAX_FILES: usize = 1000;

/// The files that the patterns name, each once; patterns are relative to `folder`.
///
/// # Errors
/// A pattern that names nothing, or a folder that cannot be read.
pub fn files(folder: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, RuleErrors> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut errors = Vec::new();
    for pattern in patterns {
        let full = folder.join(pattern);
        let full = full.to_string_lossy();
        let mut fail = |message: String| errors.push(whole(&full, message));
        let found = match glob::glob(&full) {
            Ok(found) => found,
            Err(error) => {
                fail(format!("is no pattern of file names: {}", error.msg));
                continue;
            }
        };
        let before = files.len();
        let mut broken = false;
        for path in found {
            match path {
                Ok(path) if path.is_dir() => {}
                Ok(path) if files.len() < MAX_FILES => files.push(path),
                Ok(_) => {
                    fail(format!("there are more than {MAX_FILES} rule files"));
                    broken = true;
                    break;
                }
                Err(error) => {
                    fail(format!("cannot be read: {}", error.error()));
                    broken = true;
                }
            }
        }
        if files.len() == before && !broken {
            fail(reason_for_nothing(&full));
        }
    }
    files.sort();
    files.dedup();
    if errors.is_empty() { Ok(files) } else { Err(RuleErrors(errors)) }
}

/// `glob` passes over folders that it may not read; this finds out.
fn reason_for_nothing(pattern: &str) -> String {
    let fixed: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    let folder = if fixed.is_dir() {
        fixed.clone()
    } else {
        fixed.parent().map(Path::to_path_buf).unwrap_or_default()
    };
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    match std::fs::read_dir(&folder) {
        Err(error) => format!("no rule file: the folder {} cannot be read: {error}", folder.display()),
        Ok(_) => "no rule file has this name; set `rules` of the source to the files to load".to_owned(),
    }
}

fn whole(file: &str, message: String) -> RuleError {
    RuleError { file: file.to_owned(), line: 0, group: None, rule: None, message }
}

impl RuleSet {
    /// Reads rule files. `templates` are the message templates that there are; `None` checks the rules as
    /// Prometheus would, without what they ask of the alerter.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files.
    pub fn load(files: &[PathBuf], templates: Option<&[&str]>) -> Result<Self, RuleErrors> {
        let mut set = Self::default();
        let mut errors = Vec::new();
        for path in files {
            let name = path.to_string_lossy();
            match config::read(path) {
                Ok(text) => set.add(&name, &text, templates, &mut errors),
                Err(refused) => {
                    errors.extend(
                        refused.errors().iter().map(|error| whole(&error.file, error.message.clone())),
                    );
                }
            }
        }
        if errors.is_empty() { Ok(set) } else { Err(RuleErrors(errors)) }
    }

    /// Reads one text as if it were a file of that name.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(name: &str, text: &str, templates: Option<&[&str]>) -> Result<Self, RuleErrors> {
        let mut set = Self::default();
        let mut errors = Vec::new();
        set.add(name, text, templates, &mut errors);
        if errors.is_empty() { Ok(set) } else { Err(RuleErrors(errors)) }
    }

    fn add(&mut self, file: &str, text: &str, templates: Option<&[&str]>, errors: &mut Vec<RuleError>) {
        let (groups, warnings) = read::groups(file, text, templates, errors);
        self.groups.extend(groups);
        self.warnings.extend(warnings);
    }
}
