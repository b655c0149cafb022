//! The rule files of a source, to be read again on reload.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::Fatal;

use super::Make;
use crate::rules::{self, RuleSet};

/// Where a source's rules stand, and what they may ask for.
pub(super) struct Files {
    folder: PathBuf,
    patterns: Vec<String>,
    templates: Arc<[String]>,
}

impl Files {
    /// The files that `patterns` name, relative to the configuration file.
    pub(super) fn new(patterns: &[String], make: &Make<'_>) -> Self {
        Self {
            folder: make.file.and_then(Path::parent).map(PathBuf::from).unwrap_or_default(),
            patterns: patterns.to_vec(),
            templates: make.templates.clone(),
        }
    }

    /// Reads them.
    pub(super) fn load(&self) -> Result<RuleSet, String> {
        let files = rules::files(&self.folder, &self.patterns).map_err(|errors| errors.to_string())?;
        let templates: Vec<&str> = self.templates.iter().map(String::as_str).collect();
        RuleSet::load(&files, Some(&templates)).map_err(|errors| errors.to_string())
    }

    /// Reads them for the first time.
    pub(super) fn start(&self) -> Result<RuleSet, Fatal> {
        self.load().map_err(Fatal::settings)
    }
}
