//! What a large exporter costs: `cargo build --release --workspace --bins`, then
//! `cargo run --release -p basiq-exporter --example scale [users | failing]`.
//!
//! `users`: the exporter's binary with 1,000,000 watched connections of 500,000 users, 1 % of them failing, started
//! from its disk: how long until it serves, and how much memory is resident once it has read the users file and both
//! pages were scraped.
//!
//! `failing`: 100,000 failing connections on `/metrics/connections`. The exporter's binary with both pages scraped,
//! plain and with gzip: resident memory. Then what a scrape costs after 1 % of the connections failed once more:
//! ledger, pages and listener in one process beside the `prometheus` crate's registry and `TextEncoder` in another,
//! process CPU from the first change to the last byte sent over loopback, median of several rounds, as ratios.
//!
//! Exits 1 where a limit is missed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

mod process;
mod sides;
mod world;

use std::{
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use basiq_sandbox::{Sandbox, SandboxConfig};
use process::{Child, free_address, get};
use sides::Side;
use world::World;

/// Users and connections, seconds until it serves, MiB.
const MANY: (u32, f64, f64) = (500_000, 10.0, 256.0);
/// Users of two failing connections each, MiB.
const FAILING: (u32, f64) = (50_000, 250.0);
/// What the crate's CPU is divided by at least: plain, gzip.
const RATIOS: [(bool, f64); 2] = [(false, 10.0), (true, 20.0)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let met = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", what, folder] => {
            world::generate(World::named(what), Path::new(folder));
            true
        }
        ["side", side, form] => {
            sides::run(side, form == "gzip");
            true
        }
        ["users"] => users(),
        ["failing"] => failing(),
        [] => {
            let users = users();
            failing() && users
        }
        _ => {
            println!("usage: scale [users | failing]");
            false
        }
    };
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of a table; whether the limit was kept.
fn line(what: &str, measured: f64, unit: &str, limit: f64, met: bool) -> bool {
    println!("{what:<52} {measured:>9.1} {unit:<4} {limit:>7.0}  {}", if met { "met" } else { "MISSED" });
    met
}

fn users() -> bool {
    let (users, seconds, mebibytes) = MANY;
    println!("{} watched connections of {users} users, 1 % failing\n", 2 * users);
    let folder = tempfile::tempdir().unwrap();
    world::generate_apart("users", folder.path());
    let runtime = runtime();
    let sandbox = runtime.block_on(Sandbox::start(SandboxConfig::default())).unwrap();
    let address = free_address();
    let config = world::config(folder.path(), &sandbox.base_url(), &sandbox.api_key);
    // The first start stores which source names whom.
    let first = Child::exporter(&config, address);
    first.until_users(address, users);
    first.stop();

    let begun = Instant::now();
    let exporter = Child::exporter(&config, address);
    exporter.until_serving(address);
    let served = begun.elapsed().as_secs_f64();
    let at_once = exporter.resident();
    exporter.until_users(address, users);
    scrape_both(address, &[false, true]);
    std::thread::sleep(Duration::from_secs(10));
    scrape_both(address, &[false, true]);
    let (resident, peak) = (exporter.resident(), exporter.peak());
    exporter.stop();
    println!("{:<52} {:>14} {:>7}", "", "measured", "limit");
    let mut met =
        line("from the start of the process until it serves", served, "s", seconds, served <= seconds);
    println!("{:<52} {at_once:>9.1} MiB", "resident then");
    met &=
        line("resident after the users file and scrapes", resident, "MiB", mebibytes, resident <= mebibytes);
    println!("{:<52} {peak:>9.1} MiB\n", "the most that ever was");
    met
}

fn failing() -> bool {
    let (users, mebibytes) = FAILING;
    println!("{} failing connections on /metrics/connections\n", 2 * users);
    let folder = tempfile::tempdir().unwrap();
    world::generate_apart("failing", folder.path());
    let runtime = runtime();
    let sandbox = runtime.block_on(Sandbox::start(SandboxConfig::default())).unwrap();
    let address = free_address();
    let config = world::config(folder.path(), &sandbox.base_url(), &sandbox.api_key);
    let exporter = Child::exporter(&config, address);
    exporter.until_users(address, users);
    let mut met = true;
    println!("{:<52} {:>14} {:>7}", "", "measured", "limit");
    for (what, forms) in [("gzip", &[true][..]), ("plain and gzip", &[true, false])] {
        for _ in 0..3 {
            scrape_both(address, forms);
            std::thread::sleep(Duration::from_secs(1));
        }
        let resident = exporter.resident();
        let what = format!("the whole exporter, scraped {what}");
        met &= line(&what, resident, "MiB", mebibytes, resident <= mebibytes);
    }
    exporter.stop();
    for (gzip, least) in RATIOS {
        let form = if gzip { "gzip" } else { "plain" };
        let (ours, theirs) = (Side::start("ours", gzip).measure(9), Side::start("theirs", gzip).measure(3));
        for (side, report) in [("ledger, pages, listener", &ours), ("prometheus crate", &theirs)] {
            println!(
                "{:<52} {:>9.1} ms of CPU, {:.0} MiB",
                format!("{form}: {side}"),
                report.milliseconds,
                report.mebibytes
            );
        }
        let ratio = theirs.milliseconds / ours.milliseconds;
        met &= line(&format!("{form}: the crate's CPU over ours"), ratio, "", least, ratio >= least);
    }
    met
}

fn scrape_both(address: SocketAddr, forms: &[bool]) {
    for gzip in forms {
        for path in ["/metrics", "/metrics/connections"] {
            assert!(get(address, path, *gzip).unwrap() > 0, "{path} is empty");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
