//! How long the daemons take to start, and what they cost while nothing happens:
//! `cargo run --release -p stories --example idle [SECONDS]`, after `cargo build --release --workspace --bins`.
//! Exits 1 where a daemon misses the limits: under 40 MiB, under 1 % of a core, ready in under a second.
//!
//! Sandbox, exporter and alerter run at the speed of the day with the quickstart's configuration; each
//! daemon's resident memory and its share of one core are read from `/proc` after SECONDS (default 60).

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use daemon::{Fatal, Flags};
use stories::{
    house::{House, Process, free_address},
    settings::{Addresses, Places},
    truth::Truth,
};

fn main() -> ExitCode {
    daemon::main("idle", &Flags::default(), |_| async {
        measure().await.map_err(|error| Fatal::running(format!("{error:#}")))
    })
}

/// The most of each that a daemon may take while nothing happens.
const LIMITS: (Duration, f64, f64) = (Duration::from_secs(1), 40.0, 1.0);

#[expect(clippy::print_stdout, reason = "the figures are what this program prints")]
async fn measure() -> Result<()> {
    let seconds: u64 =
        std::env::args().nth(1).map_or(Ok(60), |text| text.parse()).context("SECONDS is a whole number")?;
    let work = tempfile::tempdir()?;
    let house = House::new(work.path().to_owned(), 1.0)?;
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses =
        Addresses { sandbox: free_address(0)?, exporter: free_address(0)?, alerter: free_address(0)? };

    let config = |path: std::path::PathBuf| [format!("--config.file={}", path.display())];
    let _sandbox = house.start("basiq-sandbox", addresses.sandbox, &places.sandbox(house.anchor)?).await?;
    let truth = Truth::read(&house, addresses.sandbox).await?;
    let mut running = Vec::new();
    for (name, address, arguments) in [
        ("basiq-exporter", addresses.exporter, config(places.exporter(addresses, &truth)?)),
        ("basiq-alerter", addresses.alerter, config(places.alerter(addresses)?)),
    ] {
        let begun = Instant::now();
        let process = house.start(name, address, &arguments).await?;
        running.push((process, begun.elapsed()));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before: Vec<f64> = running.iter().map(|(process, _)| cpu_seconds(process)).collect::<Result<_>>()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (mut missed, (slowest, most_resident, most_share)) = (Vec::new(), LIMITS);
    println!("{:<16} {:>10} {:>14} {:>12}", "daemon", "ready in", "resident MiB", "% of a core");
    for ((process, ready), before) in running.into_iter().zip(before) {
        let share = (cpu_seconds(&process)? - before) / seconds as f64 * 100.0;
        let resident = resident_mib(&process)?;
        println!("{:<16} {:>7} ms {resident:>14.1} {share:>12.2}", process.name(), ready.as_millis());
        if ready >= slowest || resident >= most_resident || share >= most_share {
            missed.push(process.name().to_owned());
        }
        process.stop().await?;
    }
    anyhow::ensure!(
        missed.is_empty(),
        "over {most_resident} MiB, {most_share} % or {slowest:?}: {}; a release build is what counts",
        missed.join(", ")
    );
    Ok(())
}

fn proc(process: &Process, file: &str) -> Result<String> {
    let id = process.id().context("the process has ended")?;
    Ok(std::fs::read_to_string(format!("/proc/{id}/{file}"))?)
}

/// User and system time so far; `/proc/PID/stat` counts in hundredths of a second on Linux.
fn cpu_seconds(process: &Process) -> Result<f64> {
    let stat = proc(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).zip(ticks(12)).map(|(user, system)| user + system).context("/proc/PID/stat")?) / 100.0)
}

fn resident_mib(process: &Process) -> Result<f64> {
    let status = proc(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
