//! `basiq-alerter check rules` and `basiq-alerter test rules`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{Kind, RuleSet, unit};

/// Checks rule files as they would be loaded: as Prometheus does, and what they ask of the alerter (`templates`
/// are the message templates that there are). Says what each file holds, or everything that is wrong.
///
/// `false` if a file is refused.
///
/// # Errors
/// Nothing can be written to `out`.
pub fn check(files: &[PathBuf], templates: &[&str], out: &mut dyn Write) -> io::Result<bool> {
    let mut refused = files.is_empty();
    if refused {
        writeln!(out, "name the rule files to check")?;
    }
    for file in files {
        writeln!(out, "Checking {}", file.display())?;
        match RuleSet::load(std::slice::from_ref(file), Some(templates)) {
            Ok(set) => {
                for warning in &set.warnings {
                    writeln!(out, "  note: {warning}")?;
                }
                let (mut alerting, mut recording, mut series) = (0, 0, std::collections::BTreeMap::new());
                for (_, rule) in set.rules() {
                    match rule.kind {
                        Kind::Alerting(_) => alerting += 1,
                        Kind::Recording(_) => recording += 1,
                    }
                    for selector in rule.expr.selectors() {
                        let name = selector.metric_name().unwrap_or("(series of any name)").to_owned();
                        let reach = series.entry(name).or_insert(0);
                        *reach = selector.reach_ms().max(*reach);
                    }
                }
                writeln!(out, "  good: {alerting} alerting, {recording} recording rules")?;
                for (name, reach) in series {
                    let kept = std::time::Duration::from_millis(reach.unsigned_abs());
                    let kept = match reach {
                        0 => "the newest sample".to_owned(),
                        _ => format!("the samples of {}", daemon::config::format_duration(kept)),
                    };
                    writeln!(out, "  keeps of {name}: {kept}")?;
                }
            }
            Err(errors) => {
                refused = true;
                for error in &errors.0 {
                    writeln!(out, "  refused: {error}")?;
                }
            }
        }
    }
    Ok(!refused)
}

/// Runs unit tests of rules, files in promtool's format. `false` if a test failed.
///
/// # Errors
/// Nothing can be written to `out`.
pub fn test(files: &[PathBuf], out: &mut dyn Write) -> io::Result<bool> {
    let mut failed = files.is_empty();
    if failed {
        writeln!(out, "name the files of unit tests to run")?;
    }
    for file in files {
        writeln!(out, "Testing {}", file.display())?;
        match unit::test(file) {
            Ok(tests) => writeln!(out, "  passed: {tests} tests")?,
            Err(failures) => {
                failed = true;
                for failure in failures {
                    writeln!(out, "  failed: {failure}")?;
                }
            }
        }
    }
    Ok(!failed)
}
