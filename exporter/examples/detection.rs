//! How soon a failure is seen, and what that costs: the exporter with webhooks and hints, the exporter without, the
//! exporter that moves nobody forward for the sake of others at the bank (`poll.suspect: 0s`), and a naive poller that
//! lists every user in turn. Each has the same quota, and each a sandbox of its own, made from the same seed, with 100,000
//! users of which 1 % begin to fail within ten minutes: in all four the same users, in the same order.
//!
//! ```sh
//! cargo run --release -p basiq-exporter --example detection
//! ```
//!
//! All share one clock that runs 20 times as fast as the day (`--speed`); delays are by that clock, and include what
//! the machine takes for them, twentyfold. It takes a quarter of an hour of two cores, prints a table, and ends with 1
//! if a promise is missed. Smaller, for a first impression: `--users 10000 --quota 5`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

#[path = "detection/table.rs"]
mod table;
#[path = "detection/watch.rs"]
mod watch;
#[path = "detection/wave.rs"]
mod wave;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use basiq_exporter::Config;
use basiq_sandbox::{Handle, Sandbox, SandboxConfig, Scenario};
use clap::Parser;
use daemon::{Clock, Timestamp};

use table::{Run, Table};
use watch::{Watcher, naive};
use wave::Wave;

/// What may be set.
#[derive(Parser)]
struct Args {
    /// Users of the sandbox.
    #[arg(long, default_value_t = 100_000)]
    users: usize,
    /// Share of them that begins to fail.
    #[arg(long, default_value_t = 0.01)]
    share: f64,
    /// Requests a second.
    #[arg(long, default_value_t = 50.0)]
    quota: f64,
    /// Seconds of the clock in a real one.
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
}

/// What everything here ends with if it cannot go on.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The part of the quota that quiet users take; the rest is for need.
const QUIET: f64 = 0.8;

/// A way of watching.
struct Way {
    name: &'static str,
    /// With webhooks and hints.
    announced: bool,
    /// Users of banks in trouble are moved forward.
    suspects: bool,
}

const WAYS: [Way; 3] = [
    Way { name: "webhooks and hints", announced: true, suspects: true },
    Way { name: "polling alone", announced: false, suspects: true },
    Way { name: "the same, no suspects", announced: false, suspects: false },
];

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    let clock = Clock::scaled(Timestamp::now(), args.speed);
    let pass = Duration::from_secs_f64(args.users as f64 / args.quota / QUIET);
    println!(
        "{} users, {:.0} of them begin to fail within {} s; {} requests a second, a pass of {:.0} s",
        args.users,
        args.users as f64 * args.share,
        wave::LASTS.as_secs(),
        args.quota,
        pass.as_secs_f64()
    );
    let mut table = Table::new(pass);
    for way in &WAYS {
        let run = watched(way, &args, &clock, pass).await?;
        eprintln!("measured: {}", way.name);
        table.add(run);
    }
    let basiq = Arc::new(sandbox(&args, &clock).await?);
    let wave = Wave::new(&basiq, &args);
    let cut = clock.now() + wave::LASTS + pass.mul_f64(1.2);
    let ids = users(&basiq, &args);
    let (told, found) =
        tokio::join!(wave.roll(&basiq, &clock, None), naive(&basiq, &clock, &ids, &wave, args.quota, cut));
    let (seen, spent) = found?;
    table.add(Run { name: table::NAIVE, told: told?, seen, spent, announced: false });
    println!("{table}");
    let missed = table.missed();
    for promise in &missed {
        println!("MISSED: {promise}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets an exporter watch the wave.
async fn watched(way: &Way, args: &Args, clock: &Clock, pass: Duration) -> Result<Run, Failure> {
    let folder = tempfile::tempdir()?;
    let basiq = Arc::new(sandbox(args, clock).await?);
    let groups = serde_json::json!([{ "targets": users(&basiq, args) }]);
    std::fs::write(folder.path().join("users.json"), groups.to_string())?;
    // Everybody is learned first, without a quota: what is measured is a day like any other.
    let learning = config(&basiq, folder.path(), pass, 1e6, "", way.suspects)?;
    let watcher = Watcher::start(learning, &basiq, clock, None).await?;
    watcher.until_warm().await?;
    watcher.stop().await?;
    eprintln!("all users are known");

    let webhooks =
        if way.announced { Some(watch::subscribe(&basiq, clock, folder.path()).await?) } else { None };
    let section = webhooks.as_ref().map(|(_, section)| section.as_str()).unwrap_or_default();
    let settings = config(&basiq, folder.path(), pass, args.quota, section, way.suspects)?;
    let watcher = Watcher::start(settings, &basiq, clock, webhooks.map(|(listener, _)| listener)).await?;
    watcher.until_warm().await?;
    let wave = Wave::new(&basiq, args);
    let asked = watch::requests(&basiq);
    let cut = clock.now() + wave::LASTS + pass.mul_f64(1.5);
    let (told, seen) = tokio::join!(
        wave.roll(&basiq, clock, way.announced.then_some(watcher.address)),
        watcher.watch(clock, &wave, cut)
    );
    let spent = watch::requests(&basiq) - asked;
    watcher.stop().await?;
    Ok(Run { name: way.name, told: told?, seen: seen?, spent, announced: way.announced })
}

fn users(basiq: &Handle, args: &Args) -> Vec<String> {
    (0..args.users).filter_map(|number| basiq.user_id_at(number)).collect()
}

async fn sandbox(args: &Args, clock: &Clock) -> Result<Handle, Failure> {
    let mut scenario = Scenario::default();
    scenario.population.users = u32::try_from(args.users)?;
    // Nobody fails but by the wave, and nothing else happens while it is measured.
    let population = &mut scenario.population;
    (population.wrong_credentials, population.user_action, population.unavailable) = (0.0, 0.0, 0.0);
    Ok(Sandbox::start(SandboxConfig { scenario, clock: clock.clone(), ..SandboxConfig::default() }).await?)
}

fn config(
    basiq: &Handle,
    folder: &Path,
    pass: Duration,
    quota: f64,
    webhooks: &str,
    suspects: bool,
) -> Result<Config, Failure> {
    let (url, folder) = (basiq.base_url(), folder.display());
    let text = format!(
        "basiq: {{url: '{url}', quota: {{per_second: {quota}, burst: {}, per_day: 1000000000, concurrency: 64}}}}\n\
         discovery: {{file: [{{paths: ['{folder}/users.json']}}]{webhooks}}}\n\
         store: {{path: '{folder}/ledger.db'}}\n\
         poll: {{pass: {}s, connections: 30d{}}}\n",
        (quota * 2.0) as u64,
        pass.as_secs(),
        if suspects { "" } else { ", suspect: 0s" }
    );
    Ok(daemon::config::decode("detection", &text)?)
}
