//! What a number of users costs at a pass: requests in a day, how late a failure is seen, memory and processor. Run it by
//! `cargo run --release -p stories --example sizing [USERS PASS]...`, after `cargo build --release --workspace --bins`.
//! Without arguments it measures the rows of the table in `deploy/docs/operation.md`, in about half an hour.
//!
//! The exporter watches a sandbox's population with its default settings but for the pass, on a clock that runs 480 times
//! as fast. On the first day all users are seen, the second is measured: Basiq updates each connection once, the passwords
//! of 1 % of them go wrong for good, and some fail for reasons of their own. Nobody hints, and there are no webhooks.
//! Requests, lag and failures are the exporter's own figures; memory and processor time are read from `/proc`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use daemon::{Fatal, Flags};
use jiff::{SignedDuration, Timestamp};
use stories::{
    house::{House, Process, free_address},
    settings::Places,
};

/// The clock's seconds in a real one.
const SPEED: f64 = 480.0;
/// The rows of the table in `deploy/docs/operation.md`.
const USUAL: [(&str, &str); 4] = [("1000", "1h"), ("10000", "6h"), ("50000", "1d"), ("100000", "1d")];
/// The exporter's share of the usual quota, in requests a day.
const QUOTA: f64 = 160_000.0;
/// Real time in which all users must have been seen.
const PATIENCE: Duration = Duration::from_secs(900);
/// Real time between two looks at the exporter's pages.
const LOOK: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    daemon::main("sizing", &Flags::default(), |_| async {
        table().await.map_err(|error| Fatal::running(format!("{error:#}")))
    })
}

#[expect(clippy::print_stdout, reason = "the figures are what this program prints")]
async fn table() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    ensure!(given.len().is_multiple_of(2), "give pairs: USERS PASS, as 1000 1h");
    let mut rows: Vec<(&str, &str)> = given.chunks(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    if rows.is_empty() {
        rows = USUAL.to_vec();
    }
    println!(
        "   users   pass   first seen in   requests a day  of quota   failing   seen after: half   99 %    last   overdue   resident   CPU a day"
    );
    for (users, pass) in rows {
        let row = measure(users, pass).await?;
        let (half, most, last) = (row.after(0.5), row.after(0.99), row.after(1.0));
        println!(
            "{users:>8} {pass:>6} {:>13.1} h {:>16.0} {:>7.0} % {:>9.0} {half:>14.1} h {most:>4.1} h {last:>5.1} h {:>5.0} min {:>6.0} MiB {:>9.0} s",
            row.learned_hours,
            row.requests,
            row.requests / QUOTA * 100.0,
            row.failing,
            row.overdue_minutes,
            row.resident_mib,
            row.cpu_seconds
        );
    }
    Ok(())
}

struct Row {
    /// From the start until all users had been seen.
    learned_hours: f64,
    requests: f64,
    /// The most connections that failed at once.
    failing: f64,
    /// From each failure that began in the day to its first appearance, in hours, in order.
    delays: Vec<f64>,
    /// The longest that a look was overdue.
    overdue_minutes: f64,
    resident_mib: f64,
    cpu_seconds: f64,
}

impl Row {
    /// Hours within which this share of the failures was seen.
    fn after(&self, share: f64) -> f64 {
        let last = self.delays.len().saturating_sub(1);
        self.delays.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

async fn measure(users: &str, pass: &str) -> Result<Row> {
    let count: u32 = users.parse().context("USERS is a whole number")?;
    let work = tempfile::tempdir()?;
    let house = House::new(work.path().to_owned(), SPEED)?;
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let (sandbox, exporter) = (free_address(0)?, free_address(0)?);
    let scenario = format!("seed: 7\npopulation: {{users: {count}, every: 24h}}\n");
    let flags = places.sandbox_playing(&scenario, house.anchor)?;
    let basiq = house.start("basiq-sandbox", sandbox, &flags).await?;
    let ids = house.read(&format!("http://{sandbox}/sandbox/users?limit={count}")).await?;
    let config =
        places.exporter_watching(&format!("http://{sandbox}"), &format!("- targets: {ids}\n"), pass)?;
    let flags = [format!("--config.file={}", config.display())];
    let watching = house.start("basiq-exporter", exporter, &flags).await?;

    let begun = Instant::now();
    let page = format!("http://{exporter}/metrics");
    // Warm from the start of a process that has not yet read its users' file is no news.
    loop {
        let text = house.read(&page).await?;
        if sum(&text, "basiq_exporter_users_watched ") as u32 == count
            && sum(&text, "basiq_exporter_warm ") == 1.0
        {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "not warm after {PATIENCE:?}: {}", watching.tail());
        tokio::time::sleep(LOOK).await;
    }
    let learned_hours = hours(house.now(), house.anchor);
    while house.now() < house.anchor + SignedDuration::from_hours(24) {
        tokio::time::sleep(LOOK).await;
    }
    let row = a_day(&house, sandbox, exporter, &watching).await?;
    watching.stop().await?;
    basiq.stop().await?;
    Ok(Row { learned_hours, ..row })
}

/// Watches the exporter from now on for a day of the clock.
async fn a_day(house: &House, sandbox: SocketAddr, exporter: SocketAddr, watching: &Process) -> Result<Row> {
    let from = house.now();
    let until = from + SignedDuration::from_hours(24);
    // Beyond the day, lest an update heals them within it.
    let end = until + SignedDuration::from_hours(24);
    let wave = format!(
        r#"{{"wave": {{"from": "{from}", "until": "{end}", "share": 0.01, "code": "invalid-credentials"}}}}"#
    );
    let change = house.http().post(format!("http://{sandbox}/sandbox/change"));
    change.body(wave).send().await?.error_for_status()?;

    let metrics = format!("http://{exporter}/metrics");
    let connections = format!("{metrics}/connections");
    let first = house.read(&metrics).await?;
    let requests = |page: &str| sum(page, "basiq_exporter_api_requests_total{");
    let busy = cpu_seconds(watching.id())?;
    let (mut failing, mut overdue, mut delays) = (0.0_f64, 0.0_f64, Vec::new());
    let mut seen = HashSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let page = house.read(&connections).await?;
        let now = house.now();
        for (connection, since) in page.lines().filter_map(failing_since) {
            if since > from.as_second() as f64 && seen.insert(connection.to_owned()) {
                delays.push((now.as_millisecond() as f64 / 1000.0 - since) / 3600.0);
            }
        }
        let page = house.read(&metrics).await?;
        failing = failing.max(sum(&page, "basiq_connections_failing{"));
        let due = sum(&page, "basiq_exporter_oldest_due_poll_timestamp_seconds ");
        overdue = overdue.max(house.now().as_second() as f64 - due);
        if now >= until {
            delays.sort_by(f64::total_cmp);
            return Ok(Row {
                learned_hours: 0.0,
                requests: requests(&page) - requests(&first),
                failing,
                delays,
                overdue_minutes: overdue / 60.0,
                resident_mib: resident_mib(watching.id())?,
                cpu_seconds: cpu_seconds(watching.id())? - busy,
            });
        }
    }
}

/// The id and the time of a line that tells since when a connection fails.
fn failing_since(line: &str) -> Option<(&str, f64)> {
    let (labels, value) =
        line.strip_prefix("basiq_connection_failing_since_timestamp_seconds{")?.rsplit_once("} ")?;
    let id = labels.split("connection_id=\"").nth(1)?.split('"').next()?;
    Some((id, value.parse().ok()?))
}

fn hours(until: Timestamp, from: Timestamp) -> f64 {
    until.duration_since(from).as_secs_f64() / 3600.0
}

/// The sum of the series whose lines begin so.
fn sum(page: &str, prefix: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(prefix));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn proc(id: Option<u32>, file: &str) -> Result<String> {
    let id = id.context("the process has ended")?;
    Ok(std::fs::read_to_string(format!("/proc/{id}/{file}"))?)
}

/// User and system time so far; `/proc/PID/stat` counts in hundredths of a second on Linux.
fn cpu_seconds(id: Option<u32>) -> Result<f64> {
    let stat = proc(id, "stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    Ok(ticks(11).zip(ticks(12)).map(|(user, system)| user + system).context("/proc/PID/stat")? / 100.0)
}

fn resident_mib(id: Option<u32>) -> Result<f64> {
    let status = proc(id, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
