//! What a cycle of the shipped connection rules costs, beside a real Prometheus that does the same:
//! `cycle [CONNECTIONS] [CYCLES]`, with the program of `PROMETHEUS`, or `prometheus` on the path.
//!
//! An exporter of its own process shows three series for each failing connection. Each of the two scrapes and
//! parses both of its pages and evaluates `rules/connections.yml` every 15 seconds: this program with the source
//! `embedded`, bound to one core, and a Prometheus with all cores. The first cycle, in which everything is new,
//! counts for neither. Prints processor time a cycle, memory and what cycles were held, as ratios of one run, and
//! ends with 1 if a target is missed: a twentieth of the processor time, a tenth of the memory, every cycle held.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axum::{Router, body::Bytes, routing::get};
use basiq_alerter::{
    channels::message::TEMPLATES,
    evidence::{ExporterConfig, Snapshot},
    sources::{Measures, Sources, SourcesConfig, Wiring},
};
use daemon::{CancellationToken, Clock, Reload};
use tokio::{net::TcpListener, sync::mpsc, sync::watch};

const INTERVAL: Duration = Duration::from_secs(15);
const SCENARIOS: [&str; 6] = [
    "invalid-credentials",
    "account-locked",
    "mfa-required",
    "service-unavailable",
    "retry-queued",
    "reauthorisation-required",
];
const METRICS: [&str; 3] = [
    "basiq_connection_failed_jobs",
    "basiq_connection_failing_since_timestamp_seconds",
    "basiq_connection_last_failure_timestamp_seconds",
];
/// How the pages say what they are: without it Prometheus reads none.
const TEXT: [(&str, &str); 1] = [("content-type", "text/plain; version=0.0.4")];
/// Kernels count processor time in hundredths of a second.
const TICKS: f64 = 100.0;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match words.as_slice() {
        ["serve", connections] => runtime.block_on(serve(connections.parse()?)).map(|()| ExitCode::SUCCESS),
        ["evaluate", url] => runtime.block_on(evaluate(url)).map(|()| ExitCode::SUCCESS),
        words => {
            let number = |at: usize, usual: u32| words.get(at).map_or(Ok(usual), |word| word.parse());
            compare(number(0, 100_000)?, number(1, 4)?)
        }
    }
}

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/connections.yml")
}

/// The exporter: prints its address, and shows the same pages for ever.
async fn serve(connections: usize) -> Result<()> {
    let mut page = String::new();
    for metric in METRICS {
        let _ = writeln!(page, "# TYPE {metric} gauge");
        for number in 0..connections {
            let scenario = SCENARIOS[number % SCENARIOS.len()];
            let _ = writeln!(
                page,
                "{metric}{{connection_id=\"{number:08x}-58d2-4f26-a2cf-3f6d1c7a90e1\",user_id=\"{number:08x}-77aa-4bd0-9d1b-0c5e8a2f4b17\",institution=\"AU{:05}\",method=\"web\",scenario=\"{scenario}\"}} {}",
                number % 300,
                1_795_000_000 + number % 86_400
            );
        }
    }
    let page = Bytes::from(page);
    let router = Router::new()
        .route("/metrics", get(async || (TEXT, "# TYPE basiq_exporter_warm gauge\nbasiq_exporter_warm 1\n")))
        .route("/metrics/connections", get(async move || (TEXT, page)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    axum::serve(listener, router).await?;
    Ok(())
}

/// The alerter's part: prints a line for each cycle whose report was taken.
async fn evaluate(url: &str) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = SourcesConfig::default();
    for source in &mut config.embedded {
        source.rules = vec![rules().display().to_string()];
    }
    let exporters = [ExporterConfig { url: url.to_owned(), ..ExporterConfig::default() }];
    let sources = Sources::load(&config, &exporters, None, &TEMPLATES)?;
    let (reports, mut reported) = mpsc::channel(8);
    let (evidence, _seen) = watch::channel(Arc::new(Snapshot::default()));
    let wiring = Wiring {
        clock: Clock::system(),
        stop: CancellationToken::new(),
        reload: Reload::new(),
        reports,
        state: {
            let (kept, state) = tokio::sync::oneshot::channel();
            // It is received by what this is part of.
            let _ = kept.send(HashMap::new());
            state
        },
        evidence,
        measures: Measures::new(&prometheus::Registry::new())?,
        own: exposition::Page::new(),
    };
    let taking = async {
        while let Some(report) = reported.recv().await {
            let firing = report.firing.len();
            if let Some(committed) = report.committed {
                // The source that waits for it is still there.
                let _ = committed.send(());
            }
            if writeln!(std::io::stdout(), "{firing}").is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sources.run(wiring) => {}
        () = taking => {}
    }
    Ok(())
}

/// What one of the two cost.
#[derive(Debug)]
struct Cost {
    /// Seconds of processor time a cycle.
    cpu: f64,
    /// Mebibytes at most.
    memory: f64,
    /// Cycles that were completed in the time of so many.
    cycles: f64,
}

fn compare(connections: u32, cycles: u32) -> Result<ExitCode> {
    let me = std::env::current_exe()?;
    let mut exporter = Running::start(Command::new(&me).args(["serve", &connections.to_string()]), true)?;
    let address: SocketAddr = exporter.line()?.parse()?;
    let ours = ours(&me, address, cycles)?;
    let theirs = theirs(address, cycles)?;
    let (cpu, memory) = (ours.cpu / theirs.cpu, ours.memory / theirs.memory);
    let held = ours.cycles >= f64::from(cycles) - 0.5;
    let verdict = |good: bool| if good { "held" } else { "MISSED" };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{connections} failing connections, {} series, {cycles} cycles of 15 s\n",
        connections * 3
    )?;
    writeln!(out, "{:<34} {:>10} {:>10} {:>8}  target", "", "alerter", "prometheus", "ratio")?;
    writeln!(
        out,
        "{:<34} {:>10.2} {:>10.2} {cpu:>8.4}  at most 0.05: {}",
        "processor time a cycle, seconds",
        ours.cpu,
        theirs.cpu,
        verdict(cpu <= 0.05)
    )?;
    writeln!(
        out,
        "{:<34} {:>10.0} {:>10.0} {memory:>8.4}  at most 0.10: {}",
        "peak memory, MiB",
        ours.memory,
        theirs.memory,
        verdict(memory <= 0.1)
    )?;
    writeln!(
        out,
        "{:<34} {:>10.1} {:>10.1} {:>8}  all, on one core: {}",
        "cycles completed",
        ours.cycles,
        theirs.cycles,
        "",
        verdict(held)
    )?;
    Ok(if cpu <= 0.05 && memory <= 0.1 && held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ours(me: &Path, exporter: SocketAddr, cycles: u32) -> Result<Cost> {
    // One core of those there are.
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(me).arg("evaluate").arg(format!("http://{exporter}"));
    let mut running = Running::start(&mut command, true)?;
    let firing: usize = running.line()?.parse()?;
    if firing == 0 {
        bail!("no rule fires: the exporter was not read");
    }
    let (before, began) = (running.cpu()?, Instant::now());
    for _ in 0..cycles {
        running.line()?;
    }
    let (cpu, took) = (running.cpu()? - before, began.elapsed());
    let cycles_held = f64::from(cycles) * (INTERVAL * cycles).as_secs_f64() / took.as_secs_f64().max(1.0);
    Ok(Cost {
        cpu: cpu / f64::from(cycles),
        memory: running.memory()?,
        cycles: cycles_held.min(f64::from(cycles)),
    })
}

fn theirs(exporter: SocketAddr, cycles: u32) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let config = format!(
        "global: {{scrape_interval: 15s, scrape_timeout: 15s, evaluation_interval: 15s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - {{job_name: basiq-exporter, static_configs: [{{targets: ['{exporter}']}}]}}\n\
         - {{job_name: basiq-connections, metrics_path: /metrics/connections, static_configs: [{{targets: ['{exporter}']}}]}}\n",
        rules().display()
    );
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config)?;
    let address = SocketAddr::from(([127, 0, 0, 1], stories::real::free_port()?));
    let program = std::env::var_os("PROMETHEUS").unwrap_or_else(|| "prometheus".into());
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"));
    let running = Running::start(&mut command, false)?;
    // Until the rules have been evaluated over all series once.
    let deadline = Instant::now() + INTERVAL * 20;
    while metric(address, "prometheus_rule_group_last_evaluation_samples").unwrap_or(0.0) < 1.0 {
        if Instant::now() > deadline {
            bail!("Prometheus does not come to evaluate the rules");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let groups = |address| metric(address, "prometheus_rule_evaluations_total");
    let (before, done, began) = (running.cpu()?, groups(address)?, Instant::now());
    let each = metric(address, "prometheus_rule_group_rules")?;
    std::thread::sleep(INTERVAL * cycles);
    let (cpu, evaluated) = (running.cpu()? - before, (groups(address)? - done) / each);
    let span = f64::from(cycles) * INTERVAL.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(Cost {
        cpu: cpu / evaluated.max(0.1),
        memory: running.memory()?,
        cycles: (evaluated * span).min(f64::from(cycles)),
    })
}

/// The sum of a metric's series on a page.
fn metric(address: SocketAddr, name: &str) -> Result<f64> {
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
    let page = std::io::read_to_string(stream)?;
    let lines = page.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// A process of this benchmark; killed when it is dropped.
struct Running {
    child: Child,
    lines: Option<std::io::Lines<std::io::BufReader<std::process::ChildStdout>>>,
}

impl Running {
    fn start(command: &mut Command, talks: bool) -> Result<Self> {
        let stdout = if talks { Stdio::piped() } else { Stdio::null() };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        let lines = child.stdout.take().map(|out| std::io::BufRead::lines(std::io::BufReader::new(out)));
        Ok(Self { child, lines })
    }

    fn line(&mut self) -> Result<String> {
        let line = self.lines.as_mut().and_then(Iterator::next).context("a process ended early")?;
        Ok(line?)
    }

    fn status(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?)
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> Result<f64> {
        let stat = self.status("stat")?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        Ok((ticks(11).context("no user time")? + ticks(12).context("no system time")?) / TICKS)
    }

    /// The most memory so far, in mebibytes.
    fn memory(&self) -> Result<f64> {
        let status = self.status("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever became of the run.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
