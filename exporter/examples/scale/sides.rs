//! Both sides of the comparison, each a process that changes when it is told to and serves what it shows.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::{ChildStdin, ChildStdout},
};

use basiq_exporter::{
    ledger::{Id, Ledger},
    metrics::{CONNECTION_LABELS, Connectors, Metrics},
};
use exposition::prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use flate2::{Compression, write::GzEncoder};

use crate::{
    process::{Child, get},
    world::{self, World, failed_jobs},
};

/// What a side costs.
pub(crate) struct Report {
    pub(crate) milliseconds: f64,
    pub(crate) mebibytes: f64,
}

/// A side as its owner sees it.
pub(crate) struct Side {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
    gzip: bool,
}

impl Side {
    pub(crate) fn start(side: &str, gzip: bool) -> Self {
        let mut child = Child::again(&["side", side, if gzip { "gzip" } else { "plain" }]);
        let (input, output) = child.pipes();
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Self { child, input, output, address: line.trim().parse().unwrap(), gzip }
    }

    /// Changes and scrapes so many times.
    pub(crate) fn measure(mut self, rounds: usize) -> Report {
        // The first scrape renders everything; what follows is the daily work.
        get(self.address, "/metrics/connections", self.gzip).unwrap();
        let mut times: Vec<f64> = (0..rounds).map(|_| self.round()).collect();
        times.sort_by(f64::total_cmp);
        Report { milliseconds: times[times.len() / 2], mebibytes: self.child.resident() }
    }

    fn round(&mut self) -> f64 {
        let before = self.child.cpu();
        self.input.write_all(b"change\n").unwrap();
        self.output.read_line(&mut String::new()).unwrap();
        get(self.address, "/metrics/connections", self.gzip).unwrap();
        (self.child.cpu() - before).as_secs_f64() * 1000.0
    }
}

/// Is a side: says where it listens, and changes 1 % whenever a line comes in.
pub(crate) fn run(side: &str, gzip: bool) {
    if side == "ours" { ours() } else { theirs(gzip) }
}

/// The users of which both connections fail once more, anywhere among all.
fn chosen(state: &mut u64) -> Vec<u32> {
    let users = World::named("failing").users;
    let mut next = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(*state >> 33).unwrap() % users
    };
    (0..users / 100).map(|_| next()).collect()
}

fn each_line(mut change: impl FnMut()) {
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            return;
        }
        change();
        println!("done");
    }
}

fn ours() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut now = world::now();
    let mut ledger = world::ledger(World::named("failing"), now);
    let (mut metrics, mut connectors) = (Metrics::new().unwrap(), Connectors::default());
    runtime.block_on(metrics.publish(&mut ledger, &mut connectors, now));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("{}", listener.local_addr().unwrap());
    let page = web::page_route(std::sync::Arc::clone(&metrics.connections));
    let router = axum::Router::new().route("/metrics/connections", page);
    runtime.spawn(web::serve(listener, router, web::WebConfig::open(), daemon::CancellationToken::new()));
    let mut state = 1;
    each_line(|| {
        now += 60_000;
        for nth in chosen(&mut state) {
            fail_again(&mut ledger, &world::user(nth), nth, now);
        }
        runtime.block_on(metrics.publish(&mut ledger, &mut connectors, now));
    });
}

fn fail_again(ledger: &mut Ledger, user: &Id, nth: u32, now: i64) {
    ledger.observe_jobs(user, &failed_jobs(nth, now - 1000), true, now, now);
}

/// The crate's registry with the same series, and the least of a server.
fn theirs(gzip: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let now = world::now();
    let registry = Registry::new();
    let names = [
        "failed_jobs",
        "failing_since_timestamp_seconds",
        "last_failure_timestamp_seconds",
        "never_succeeded",
    ];
    let gauges: Vec<GaugeVec> = names
        .iter()
        .map(|name| {
            let options = Opts::new(format!("basiq_connection_{name}"), "While it fails.");
            let gauge = GaugeVec::new(options, CONNECTION_LABELS).unwrap();
            registry.register(Box::new(gauge.clone())).unwrap();
            gauge
        })
        .collect();
    let set = |nth: u32, round: f64| {
        for job in failed_jobs(nth, now) {
            let (connection, user) = (job.connection.unwrap().to_string(), world::user(nth).to_string());
            let bank = format!("AU{:05}", nth * 7 % 120);
            let labels = [&*connection, &*user, &*bank, "openbanking", "invalid-credentials"];
            let at = now as f64 / 1000.0;
            for (gauge, value) in gauges.iter().zip([1.0 + round, at, at + round * 60.0, 1.0]) {
                gauge.with_label_values(&labels).set(value);
            }
        }
    };
    for nth in 0..World::named("failing").users {
        set(nth, 0.0);
    }
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let mut text = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
            if gzip {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&text).unwrap();
                text = encoder.finish().unwrap();
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&text).unwrap();
        }
    });
    let (mut state, mut round) = (1, 0.0);
    each_line(|| {
        round += 1.0;
        for nth in chosen(&mut state) {
            set(nth, round);
        }
    });
}
