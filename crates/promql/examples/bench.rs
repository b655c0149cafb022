//! What a cycle of the shipped connection rules costs: `bench [CONNECTIONS] [RULES.yml]`.
//!
//! Three series for each failing connection are appended from label texts, as a scrape brings them, then
//! each expression is evaluated. The rules are read line by line, for their expressions only.

use std::io::Write;
use std::time::{Duration, Instant};

use promql::{Expr, Value, Window};

const CYCLES: u32 = 5;
const INTERVAL_MS: i64 = 15_000;
const SCENARIOS: [&str; 5] =
    ["invalid-credentials", "account-locked", "mfa-required", "service-unavailable", "retry-queued"];
const METRICS: [&str; 3] = [
    "basiq_connection_failed_jobs",
    "basiq_connection_failing_since_timestamp_seconds",
    "basiq_connection_last_failure_timestamp_seconds",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let connections: usize = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let expressions = match arguments.next() {
        Some(path) => expressions(&std::fs::read_to_string(path)?)?,
        None => SCENARIOS.iter().map(|scenario| rule(scenario)).collect::<Result<_, _>>()?,
    };
    let mut out = std::io::stdout().lock();
    let mut window = Window::new(expressions.iter().flat_map(Expr::selectors));
    let ids: Vec<String> = (0..connections).map(|i| format!("{i:08x}-58d2-4f26-a2cf-3f6d1c7a90e1")).collect();
    for cycle in 0..CYCLES {
        let at_ms = 1_795_000_000_000 + i64::from(cycle) * INTERVAL_MS;
        let began = Instant::now();
        scrape(&mut window, &ids, at_ms);
        let appended = began.elapsed();
        let began = Instant::now();
        let mut elements = 0;
        for expression in &expressions {
            if let Value::Vector(vector) = expression.eval(&window, at_ms)? {
                elements += vector.len();
            }
        }
        let evaluated = began.elapsed();
        let began = Instant::now();
        window.gc(at_ms);
        let collected = began.elapsed();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "cycle {cycle}: append {:.0} ms, {} expressions {:.0} ms ({elements} elements), gc {:.0} ms",
            ms(appended),
            expressions.len(),
            ms(evaluated),
            ms(collected)
        )?;
    }
    let (series, samples) = (window.series(), window.samples());
    writeln!(
        out,
        "{series} series, {samples} samples, about {} MiB without label texts",
        window.bytes() >> 20
    )?;
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        writeln!(out, "{peak}")?;
    }
    Ok(())
}

fn rule(scenario: &str) -> Result<Expr, promql::Refused> {
    let metric = METRICS[1];
    Expr::parse(&format!("max without (instance, job, pod) ({metric}{{scenario=\"{scenario}\"}})"))
}

/// The expressions of a rule file, each on the line of its key.
fn expressions(rules: &str) -> Result<Vec<Expr>, promql::Refused> {
    let lines = rules.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("expr: "));
    lines.map(Expr::parse).collect()
}

fn scrape(window: &mut Window, ids: &[String], at_ms: i64) {
    let mut append = window.begin("bench", at_ms);
    for (i, id) in ids.iter().enumerate() {
        let institution = format!("AU{:05}", i % 300);
        for metric in METRICS {
            let pairs = [
                ("__name__", metric),
                ("connection_id", id),
                ("institution", &institution),
                ("instance", "127.0.0.1:9765"),
                ("job", "basiq-exporter-connections"),
                ("method", "web"),
                ("scenario", SCENARIOS[i % SCENARIOS.len()]),
                ("user_id", id.get(..30).unwrap_or(id)),
            ];
            append.add_pairs(&pairs, at_ms as f64 / 1e3);
        }
    }
    append.finish();
}
