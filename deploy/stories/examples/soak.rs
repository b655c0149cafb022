//! A real Prometheus scrapes both pages of the exporter under constant change, with gzip and (from Prometheus 3 on)
//! plain, beside curl and wget: `cargo run -p stories --example soak [SECONDS] [PROMETHEUS]`, after
//! `cargo build --workspace --bins`. SECONDS is 600 by default, PROMETHEUS the binary in `PATH`.
//!
//! Exits 1 if a scrape failed or a sample was there twice.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use daemon::{Fatal, Flags};

fn main() -> ExitCode {
    daemon::main("soak", &Flags::default(), |_| async {
        soak().await.map_err(|error| Fatal::running(format!("{error:#}")))
    })
}

#[expect(clippy::print_stdout, reason = "the figures are what this program prints")]
async fn soak() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(Ok(600), |text| text.parse()).context("SECONDS is a whole number")?;
    let prometheus =
        args.next().map(PathBuf::from).or_else(|| stories::real::program("prometheus", "prometheus"));
    let prometheus = prometheus.context("name a Prometheus binary")?;
    let report = stories::soak::soak(&prometheus, Duration::from_secs(seconds)).await?;
    println!(
        "Prometheus {}: {} scrapes in {seconds} s, none failed, the slowest took {:.3} s, no sample twice; {} different pages, {} lines at the end",
        report.version,
        report.scrapes,
        report.slowest.as_secs_f64(),
        report.changes,
        report.lines
    );
    Ok(())
}
