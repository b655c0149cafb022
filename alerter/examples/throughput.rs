//! 5,000 alerts to 5,000 mails, by Debian's Alertmanager and by this alerter, one after the other on one machine:
//! prints mails a second, CPU per mail and memory of each, and the ratios.
//!
//! `cargo build --release --workspace --bins --example throughput && target/release/examples/throughput BENCH`,
//! where `BENCH` is the folder of `bench.py`, which posts the alerts, runs the sink and measures either. It needs
//! `prometheus-alertmanager` and Python 3, and the ports 19025, 19093, 19765 and 19766 of loopback.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};

const BACKGROUND: &str = "127.0.0.1:19766";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let bench = PathBuf::from(env::args().nth(1).context("name the folder of bench.py")?).canonicalize()?;
    let count: usize = env::args().nth(2).map_or(Ok(5000), |count| count.parse())?;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples/bench").canonicalize()?;
    let folder = env::temp_dir().join(format!("throughput-{}", std::process::id()));
    prepare(&samples, &folder, count)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (metrics, connections) = pages(count, now);
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics }))
        .route("/metrics/connections", get(move || async move { connections }))
        .route(
            "/token",
            post(async || Json(json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}))),
        )
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"data": []}))));
    let listener = tokio::net::TcpListener::bind(BACKGROUND).await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    let run = tokio::task::spawn_blocking(move || measure(&bench, &folder, count));
    run.await?
}

fn prepare(samples: &Path, folder: &Path, count: usize) -> Result<()> {
    fs::create_dir_all(folder.join("templates/credentials"))?;
    for file in ["alerter.yml", "templates/credentials/subject.txt"] {
        fs::copy(samples.join(file), folder.join(file)).with_context(|| file.to_owned())?;
    }
    fs::write(folder.join("key"), "any")?;
    fs::write(folder.join("token"), "bench")?;
    fs::write(
        folder.join("am.yml"),
        "global: {smtp_smarthost: '127.0.0.1:19025', smtp_from: am@example.test, smtp_require_tls: false}\n\
         route: {receiver: mail, group_by: [connection_id], group_wait: 0s, group_interval: 5m, repeat_interval: 24h}\n\
         receivers: [{name: mail, email_configs: [{to: ops@example.test, send_resolved: false}]}]\n",
    )?;
    // The connection is the name, and so in the subject: by it the sink tells mails apart.
    let users: Vec<Value> = (0..count)
        .map(|n| json!({"user_id": format!("u-r1-{n:05}"), "name": format!("c-r1-{n:05}"), "address": format!("u{n}@d{}.example.test", n % 50)}))
        .collect();
    fs::write(folder.join("users.json"), serde_json::to_vec(&users)?)?;
    Ok(())
}

/// What an exporter shows of the connections that bench.py speaks of.
fn pages(count: usize, now: u64) -> (String, String) {
    let mut metrics = "basiq_exporter_warm 1\n".to_owned();
    for bank in 0..300 {
        let _ = writeln!(
            metrics,
            "basiq_connector_status{{institution=\"AU{bank:05}\",method=\"web\",status=\"operational\"}} 1"
        );
    }
    let mut connections = String::new();
    for n in 0..count {
        let labels = format!(
            "connection_id=\"c-r1-{n:05}\",user_id=\"u-r1-{n:05}\",institution=\"AU{:05}\",method=\"web\",scenario=\"invalid-credentials\"",
            n % 300
        );
        let _ = writeln!(connections, "basiq_connection_failed_jobs{{{labels}}} 1");
        for name in ["failing_since", "last_failure"] {
            let _ =
                writeln!(connections, "basiq_connection_{name}_timestamp_seconds{{{labels}}} {}", now - 60);
        }
    }
    (metrics, connections)
}

/// How many times better than Alertmanager it is to be: mails a second, CPU a mail, memory.
const AIMS: [f64; 3] = [5.0, 6.0, 10.0];

struct Measured {
    per_second: f64,
    cpu_ms: f64,
    mib: f64,
}

fn measure(bench: &Path, folder: &Path, count: usize) -> Result<()> {
    let mut alerter = env::current_exe()?;
    alerter.pop();
    alerter.pop();
    let alerter = alerter.join("basiq-alerter");
    if !alerter.is_file() {
        bail!("{} is missing; build with --bins --example throughput", alerter.display());
    }
    let am = one(
        bench,
        folder,
        count,
        &[
            "--name",
            "alertmanager",
            "--cmd",
            "prometheus-alertmanager --config.file=am.yml --storage.path={data} --web.listen-address=127.0.0.1:19093 --cluster.listen-address= --log.level=warn",
            "--post",
            "http://127.0.0.1:19093/api/v2/alerts",
            "--ready",
            "http://127.0.0.1:19093/-/ready",
        ],
    )?;
    std::thread::sleep(Duration::from_secs(1));
    let command = format!(
        "{} --config.file=alerter.yml --web.listen-address=127.0.0.1:19765 --log.level=warn",
        alerter.display()
    );
    let ours = one(
        bench,
        folder,
        count,
        &[
            "--name",
            "basiq-alerter",
            "--cmd",
            &command,
            "--post",
            "http://127.0.0.1:19765/api/v2/alerts",
            "--ready",
            "http://127.0.0.1:19765/-/ready",
            "--header",
            "authorization: Bearer bench",
            "--label",
            "action=notify-user",
        ],
    )?;
    for (name, it) in [("Alertmanager", &am), ("basiq-alerter", &ours)] {
        println!(
            "{name:<14} {:>7.0} mails/s  {:>6.3} ms CPU a mail  {:>6.1} MiB",
            it.per_second, it.cpu_ms, it.mib
        );
    }
    let (speed, cpu, memory) = (ours.per_second / am.per_second, am.cpu_ms / ours.cpu_ms, am.mib / ours.mib);
    println!(
        "ratios         {speed:.1} times the mails a second, 1/{cpu:.1} of the CPU a mail, 1/{memory:.1} of the memory"
    );
    fs::remove_dir_all(folder)?;
    if speed < AIMS[0] || cpu < AIMS[1] || memory < AIMS[2] {
        let [speed, cpu, memory] = AIMS;
        bail!("the aim is {speed} times the mails a second, 1/{cpu} of the CPU and 1/{memory} of the memory");
    }
    Ok(())
}

fn one(bench: &Path, folder: &Path, count: usize, arguments: &[&str]) -> Result<Measured> {
    let results = folder.join("results.jsonl");
    let done = Command::new("python3")
        .arg(bench.join("bench.py"))
        .args(arguments)
        .args(["--count", &count.to_string(), "--sink", "raw", "--no-crash", "--idle", "15", "--work"])
        .arg(folder.join("work"))
        .arg("--out")
        .arg(&results)
        .current_dir(folder)
        .status()?;
    if !done.success() {
        bail!("bench.py failed; see {}", folder.display());
    }
    let results = fs::read_to_string(&results)?;
    let result: Value = serde_json::from_str(results.lines().last().context("no result")?)?;
    let (speed, idle) = (&result["speed"], &result["idle"]);
    let number = |value: &Value| value.as_f64().context("a number is missing in the result");
    if speed["ids_arrived"] != json!(count) || speed["twice_or_more"] != json!(0) {
        bail!("not every alert became one mail: {speed}");
    }
    let cpu = number(&speed["alerter"]["cpu_s"])? - number(&idle["cpu_s"])?;
    Ok(Measured {
        per_second: number(&speed["mails_per_s"])?,
        cpu_ms: cpu * 1000.0 / count as f64,
        mib: number(&speed["alerter"]["peak_rss_mib"])?,
    })
}
