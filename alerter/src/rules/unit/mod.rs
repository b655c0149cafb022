//! Unit tests of rules in promtool's format, with promtool's verdicts.
//!
//! The format is documented at <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/>.

mod file;
mod run;

use std::path::Path;

use daemon::config;

/// Runs the tests of one file. Rule files are found relative to its folder.
///
/// # Errors
/// Everything that failed, each with the test, the time and both sides; or why the file cannot be used.
pub(super) fn test(path: &Path) -> Result<usize, Vec<String>> {
    let text = config::read(path).map_err(|error| vec![error.to_string()])?;
    let file = file::read(&text).map_err(|errors| {
        let name = path.display();
        errors.into_iter().map(|(line, message)| format!("{name}:{line}: {message}")).collect::<Vec<_>>()
    })?;
    run::run(&file, path.parent().unwrap_or(Path::new("")))
}
