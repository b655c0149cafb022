//! Runs Prometheus's PromQL test scripts against this engine: `promqltest FILE...`.
//!
//! Prints each failure, why evaluations were skipped, and closes with `N passed, N failed, N skipped`.
//! The exit code is 1 if anything failed, 2 if a file cannot be read.

use std::io::Write;
use std::process::ExitCode;

use promql::script::{Tally, Verdict, run};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    match report(&files, &mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "promqltest: {error}");
            ExitCode::from(2)
        }
    }
}

fn report(files: &[String], out: &mut impl Write) -> std::io::Result<bool> {
    if files.is_empty() {
        return Err(std::io::Error::other("name at least one script: promqltest FILE..."));
    }
    let mut tally = Tally::default();
    for file in files {
        let script = std::fs::read_to_string(file)
            .map_err(|error| std::io::Error::other(format!("{file}: {error}")))?;
        for outcome in run(&script) {
            tally.add(&outcome.verdict);
            if let Verdict::Failed(why) = &outcome.verdict {
                writeln!(out, "{file}:{}: {}\n    {why}", outcome.line, outcome.expression)?;
            }
        }
    }
    writeln!(out, "{tally}")?;
    Ok(tally.failed == 0)
}
