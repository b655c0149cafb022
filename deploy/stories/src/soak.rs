//! A real Prometheus scrapes both pages of an exporter whose world changes all the time, while curl and wget read
//! them too: no scrape may fail, and no sample may be there twice.

use std::{
    collections::HashSet,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    house::{House, free_address},
    settings::{Addresses, Places},
};

/// Everybody is updated every half an hour of a clock that runs 120 times as fast, and much fails.
const SCENARIO: &str = "
seed: 3
population: {users: 200, connections: 2, every: 30m, wrong_credentials: 0.3, user_action: 0.3, unavailable: 0.3}
";
const SPEED: f64 = 120.0;
const PATHS: [&str; 2] = ["/metrics", "/metrics/connections"];

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// Prometheus's version.
    pub version: String,
    /// Scrapes by Prometheus, of which none failed.
    pub scrapes: u64,
    /// The slowest of them.
    pub slowest: Duration,
    /// Different pages that Prometheus, curl or wget read: how often something had changed.
    pub changes: usize,
    /// Lines of the last pages.
    pub lines: usize,
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Whatever became of the soak.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs sandbox, exporter and the Prometheus whose binary is `prometheus` for so long.
///
/// # Errors
/// A scrape failed, a sample was there twice, or a process could not be started.
pub async fn soak(prometheus: &Path, duration: Duration) -> Result<Report> {
    let work = tempfile::tempdir()?;
    let house = House::new(work.path().to_owned(), SPEED)?;
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses =
        Addresses { sandbox: free_address(0)?, exporter: free_address(0)?, alerter: free_address(0)? };
    let flags = places.sandbox_playing(SCENARIO, house.anchor)?;
    let sandbox = house.start("basiq-sandbox", addresses.sandbox, &flags).await?;
    let basiq = format!("http://{}", addresses.sandbox);
    let users = house.read(&format!("{basiq}/sandbox/users")).await?;
    let config = places.exporter_watching(&basiq, &format!("- targets: {users}\n"), "2m")?;
    let flags = [format!("--config.file={}", config.display())];
    let exporter = house.start("basiq-exporter", addresses.exporter, &flags).await?;
    let version = version(prometheus)?;
    let server = start(prometheus, &version, &house.work, addresses.exporter)?;

    let begun = Instant::now();
    let (mut seen, mut lines) = (HashSet::new(), 0);
    while begun.elapsed() < duration {
        tokio::time::sleep(Duration::from_secs(1)).await;
        lines = 0;
        for path in PATHS {
            let url = format!("http://{}{path}", addresses.exporter);
            for reader in [&["curl", "-sSf"][..], &["curl", "-sSf", "--compressed"], &["wget", "-qO-"]] {
                let page = read(reader, &url)?;
                lines += once_each(&page).with_context(|| format!("{reader:?} {url}"))?;
                seen.insert(page);
            }
        }
    }
    for path in PATHS {
        let page = read(&["curl", "-sSf"], &format!("http://{}{path}", addresses.exporter))?;
        check_metrics(prometheus, &page).with_context(|| path.to_owned())?;
    }
    let (scrapes, slowest) = failures(&house, server.address).await?;
    for process in [exporter, sandbox] {
        ensure!(process.stop().await?.success(), "a process did not end well");
    }
    Ok(Report { version, scrapes, slowest, changes: seen.len(), lines })
}

/// Reads a page with a program, the way a person would.
fn read(command: &[&str], url: &str) -> Result<String> {
    let output =
        Command::new(command[0]).args(&command[1..]).arg(url).output().context(command[0].to_owned())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Counts the samples of a page, each of which must be there once.
fn once_each(page: &str) -> Result<usize> {
    let mut series = HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, _value)) = line.rsplit_once(' ') else { bail!("{line:?} is no sample") };
        ensure!(series.insert(name), "{name} is there twice");
    }
    ensure!(!series.is_empty(), "the page is empty");
    Ok(series.len())
}

/// Prometheus's own checker has nothing to say about the page.
fn check_metrics(prometheus: &Path, page: &str) -> Result<()> {
    let promtool = prometheus.with_file_name("promtool");
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool")?;
    child.stdin.take().context("a pipe")?.write_all(page.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
    Ok(())
}

fn version(prometheus: &Path) -> Result<String> {
    let output = Command::new(prometheus).arg("--version").output()?;
    // Debian's writes it to the one, upstream's to the other.
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let version = said.split_whitespace().skip_while(|word| *word != "version").nth(1);
    Ok(version.context("prometheus --version names none")?.to_owned())
}

/// Starts a Prometheus that scrapes both pages every three seconds, with gzip, and plain where it can. It waits as long for an
/// answer, which is a third of its default: on a machine where twenty processes want two cores, a second is often over before
/// Prometheus and the exporter have had a turn each.
fn start(prometheus: &Path, version: &str, work: &Path, exporter: SocketAddr) -> Result<Prometheus> {
    let mut config = String::from("global: {scrape_interval: 3s, scrape_timeout: 3s}\nscrape_configs:\n");
    // `enable_compression` came with 2.49.
    let plain = version.starts_with("3.");
    for (nth, path) in PATHS.iter().enumerate() {
        for more in ["", ", enable_compression: false"].iter().take(if plain { 2 } else { 1 }) {
            let form = if more.is_empty() { "gzip" } else { "plain" };
            config.push_str(&format!(
                "- {{job_name: {form}-{nth}, metrics_path: {path}{more}, static_configs: [{{targets: ['{exporter}']}}]}}\n"
            ));
        }
    }
    let file = work.join("prometheus.yml");
    std::fs::write(&file, config)?;
    let address = free_address(0)?;
    let child = Command::new(prometheus)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", work.join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        // Why a scrape failed is said at this level only.
        .arg("--log.level=debug")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(work.join("prometheus.log"))?)
        .spawn()?;
    Ok(Prometheus { child, address })
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    value: (f64, String),
}

/// How many scrapes there were, and how long the slowest took, if none failed and no sample was refused.
async fn failures(house: &House, prometheus: SocketAddr) -> Result<(u64, Duration)> {
    let ask = async |query: &str| -> Result<f64> {
        let url = format!("http://{prometheus}/api/v1/query");
        let answer = house.http().get(&url).query(&[("query", query)]).send().await?.error_for_status()?;
        let answer: Answer = serde_json::from_str(&answer.text().await?)?;
        let value = answer.data.result.first().map(|series| series.value.1.parse()).transpose()?;
        Ok(value.unwrap_or(0.0))
    };
    let scrapes = ask("sum(count_over_time(up[1h]))").await?;
    let succeeded = ask("sum(sum_over_time(up[1h]))").await?;
    ensure!(scrapes > 0.0, "Prometheus scraped nothing");
    let slowest = ask("max(max_over_time(scrape_duration_seconds[1h]))").await?;
    if scrapes != succeeded {
        let log = std::fs::read_to_string(house.work.join("prometheus.log"))?;
        let reasons: Vec<&str> = log.lines().filter(|line| line.contains("Scrape failed")).collect();
        let failed = scrapes - succeeded;
        bail!(
            "{failed} of {scrapes} scrapes failed; the slowest took {slowest:.3} s:\n{}",
            reasons.join("\n")
        );
    }
    let page = house.read(&format!("http://{prometheus}/metrics")).await?;
    for refused in ["sample_duplicate_timestamp", "sample_out_of_order", "sample_out_of_bounds"] {
        let name = format!("prometheus_target_scrapes_{refused}_total ");
        let count = page.lines().find_map(|line| line.strip_prefix(&name));
        ensure!(count == Some("0"), "{name}is {count:?}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
    Ok((scrapes as u64, Duration::from_secs_f64(slowest)))
}
