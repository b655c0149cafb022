//! What a scrape of 100,000 failing connections costs, against the `prometheus` crate's registry and
//! `TextEncoder`, in one run: `cargo run --release -p exposition --example scrape [CONNECTIONS]`.
//!
//! Each side is a process of its own, which shows three gauges a connection with five labels. Between
//! scrapes 1 % of the connections, anywhere among them, have another failed job: their number and last
//! time change, the beginning does not. Each scrape is sent over loopback to this process, plain and with
//! gzip. Measured is the process's CPU time from the first change to the last byte sent, as the median of
//! several rounds, and its resident memory.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    env, fs,
    io::{IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use exposition::{Desc, Page, Sheet, prometheus};
use flate2::{Compression, write::GzEncoder};
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};

const FAMILIES: [Desc; 3] = [
    Desc::gauge("basiq_connection_failed_jobs", "Failed jobs in a row."),
    Desc::gauge("basiq_connection_failing_since_timestamp_seconds", "Since when it fails."),
    Desc::gauge("basiq_connection_last_failure_timestamp_seconds", "When a job last failed."),
];
const LABELS: [&str; 5] = ["connection_id", "user_id", "institution", "method", "scenario"];
const SCENARIOS: [&str; 4] =
    ["invalid-credentials", "service-unavailable", "user-action-required", "mfa-required"];

/// What one side reports.
#[derive(Debug, Default)]
struct Report {
    bytes: f64,
    milliseconds: f64,
    mebibytes: f64,
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [side, form, connections, address] => measure(side, form, connections.parse().unwrap(), address),
        [connections] => match connections.parse() {
            Ok(connections) => compare(connections),
            Err(error) => println!("usage: scrape [CONNECTIONS]; {connections:?}: {error}"),
        },
        _ => compare(100_000),
    }
}

fn compare(connections: u64) {
    println!("{connections} connections, {} series; CPU time of a scrape after 1 % changed", 3 * connections);
    println!("{:28} {:>12} {:>12} {:>12}", "", "bytes", "CPU ms", "RSS MiB");
    for (form, most) in [("plain", 10.0), ("gzip", 20.0)] {
        let ours = run("ours", form, connections);
        let theirs = run("theirs", form, connections);
        for (side, report) in [("ours", &ours), ("prometheus crate", &theirs)] {
            let Report { bytes, milliseconds, mebibytes } = report;
            println!("{:28} {bytes:>12.0} {milliseconds:>12.1} {mebibytes:>12.0}", format!("{form}, {side}"));
        }
        let ratio = theirs.milliseconds / ours.milliseconds;
        println!("{form}: 1/{ratio:.1} of the crate's CPU (at most 1/{most} is wanted)");
    }
}

/// Runs one side as a process, takes what it sends, and reads what it reports.
fn run(side: &str, form: &str, connections: u64) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while stream.read(&mut buffer).unwrap() > 0 {}
        }
    });
    let child = Command::new(env::current_exe().unwrap())
        .args([side, form, &connections.to_string(), &address])
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let text = String::from_utf8(child.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Report { bytes: numbers[0], milliseconds: numbers[1], mebibytes: numbers[2] }
}

fn measure(side: &str, form: &str, connections: u64, address: &str) {
    let gzip = form == "gzip";
    let (mut bytes, mut times) = (0, Vec::new());
    let mut side: Box<dyn Side> =
        if side == "ours" { Box::new(Ours::new()) } else { Box::new(Theirs::new()) };
    for connection in 0..connections {
        side.set(connection, 0);
    }
    // The first scrape renders everything; what follows is the daily work.
    side.scrape(gzip, &mut TcpStream::connect(address).unwrap());
    let mut state = 1_u64;
    for round in 1..=if gzip { 5 } else { 9 } {
        std::thread::sleep(Duration::from_millis(50));
        let begin = cpu_time();
        for _ in 0..connections / 100 {
            // Anywhere among the connections, as failures are.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            side.set((state >> 33) % connections, round);
        }
        bytes = side.scrape(gzip, &mut TcpStream::connect(address).unwrap());
        times.push((cpu_time() - begin).as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!("{bytes} {} {}", times[times.len() / 2], resident_mebibytes());
}

/// CPU time of this process, which has one thread.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn resident_mebibytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

trait Side {
    fn set(&mut self, connection: u64, round: u64);
    fn scrape(&mut self, gzip: bool, to: &mut TcpStream) -> usize;
}

/// Labels and values of a connection.
fn row(connection: u64, round: u64) -> ([String; 5], [f64; 3]) {
    let half = |seed: u64| {
        // SplitMix64: ids as random as Basiq's.
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let id = |salt: u64| {
        let (a, b) = (half(4 * connection + salt + 1), half(4 * connection + salt + 2));
        let words = (a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 48, b & 0xffff_ffff_ffff);
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", words.0, words.1, words.2, words.3, words.4)
    };
    let scenario = SCENARIOS[(connection % 4) as usize].to_owned();
    let institution = format!("AU{:05}", connection % 120);
    let labels = [id(0), id(2), institution, "open-banking".to_owned(), scenario];
    let at = 1_790_000_000.0 + connection as f64;
    (labels, [1.0 + round as f64, at, at + 60.0 * round as f64 + 0.125])
}

struct Ours {
    sheet: Sheet,
    page: Page,
}

impl Ours {
    fn new() -> Self {
        Self { sheet: Sheet::new(&FAMILIES), page: Page::new() }
    }
}

impl Side for Ours {
    fn set(&mut self, connection: u64, round: u64) {
        let (labels, values) = row(connection, round);
        let labels: Vec<_> = LABELS.iter().copied().zip(labels.iter().map(String::as_str)).collect();
        let cells: Vec<_> = (0..3).map(|family| (family, &labels[..], values[family])).collect();
        self.sheet.set(connection, &cells);
    }

    fn scrape(&mut self, gzip: bool, to: &mut TcpStream) -> usize {
        self.page.publish([self.sheet.part()]);
        let scrape = self.page.scrape(None, gzip.then_some("gzip"));
        let mut pieces: Vec<_> = scrape.chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut pieces = &mut pieces[..];
        while !pieces.is_empty() {
            let written = to.write_vectored(&pieces[..pieces.len().min(1024)]).unwrap();
            IoSlice::advance_slices(&mut pieces, written);
        }
        scrape.len()
    }
}

struct Theirs {
    registry: Registry,
    gauges: Vec<GaugeVec>,
}

impl Theirs {
    fn new() -> Self {
        let registry = Registry::new();
        let gauge = |desc: &Desc| {
            let gauge = GaugeVec::new(Opts::new(desc.name, desc.help), &LABELS).unwrap();
            registry.register(Box::new(gauge.clone())).unwrap();
            gauge
        };
        let gauges = FAMILIES.iter().map(gauge).collect();
        Self { registry, gauges }
    }
}

impl Side for Theirs {
    fn set(&mut self, connection: u64, round: u64) {
        let (labels, values) = row(connection, round);
        let labels = labels.each_ref().map(String::as_str);
        for (gauge, value) in self.gauges.iter().zip(values) {
            gauge.with_label_values(&labels).set(value);
        }
    }

    fn scrape(&mut self, gzip: bool, to: &mut TcpStream) -> usize {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        if gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&text).unwrap();
            text = encoder.finish().unwrap();
        }
        to.write_all(&text).unwrap();
        text.len()
    }
}
