//! `basiq-alerter check rules` and `basiq-alerter test rules`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use promql::Window;

use super::{Group, Kind, Rule, RuleSet, unit};

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
                let recording =
                    set.rules().filter(|(_, rule)| matches!(rule.kind, Kind::Recording(_))).count();
                let alerting = set.rules().count() - recording;
                writeln!(out, "  good: {alerting} alerting, {recording} recording rules")?;
                for (group, rule) in set.rules() {
                    writeln!(out, "  {}: {}", rule.name(), cost(group, rule))?;
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

/// The labels of a series of the exporter, with `job` and `instance`.
const LABELS: usize = 8;
/// How often samples come in unless the group says otherwise.
const INTERVAL: Duration = Duration::from_secs(15);
/// For how many series the cost is shown.
const MANY: usize = 100_000;

/// What a rule keeps in the window for its expression, and what that costs for many series.
fn cost(group: &Group, rule: &Rule) -> String {
    let mut kept: BTreeMap<&str, i64> = BTreeMap::new();
    for selector in rule.expr.selectors() {
        let reach = kept.entry(selector.metric_name().unwrap_or("series of any name")).or_default();
        *reach = selector.reach_ms().max(*reach);
    }
    let interval = group.interval.unwrap_or(INTERVAL).as_millis().max(1);
    let of = |(name, reach): (&&str, &i64)| {
        let reach = Duration::from_millis(reach.unsigned_abs());
        // One before the range, and one at either end of it.
        let samples = match reach.is_zero() {
            true => 1,
            false => usize::try_from(reach.as_millis() / interval).unwrap_or(usize::MAX >> 8) + 2,
        };
        let bytes = Window::cost(LABELS, samples);
        let what = match reach.is_zero() {
            true => "the newest sample".to_owned(),
            false => format!("the samples of {}", daemon::config::format_duration(reach)),
        };
        let all = bytes.saturating_mul(MANY).div_ceil(1 << 20);
        format!("keeps {what} of {name}, {bytes} bytes a series, {all} MiB for {MANY}")
    };
    let kept: Vec<String> = kept.iter().map(of).collect();
    if kept.is_empty() { "keeps nothing".to_owned() } else { kept.join("; ") }
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
