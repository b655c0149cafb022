//! The long run: 5,000 messages and 500 tickets, 200 kills a store, and 200 among three replicas with restarts of
//! Postgres. `cargo build --workspace --bins --example kills && target/debug/examples/kills [sqlite|postgres|replicas]
//! [KILLS] [MESSAGES] [RESTARTS]`; what must not be is listed, and is the exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "it shares its stage with the tests, and prints what it found"
)]

#[path = "../tests/it/kills/mod.rs"]
mod kills;
#[path = "../tests/it/support/postgres.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod postgres;

use std::{
    env,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use basiq_alerter::store::{Postgres, Sqlite, Store};
use kills::{Plan, Verdict, run};

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = env::args().skip(1);
    let which = arguments.next();
    let kills = arguments.next().map_or(200, |kills| kills.parse().expect("KILLS is a number"));
    let messages = arguments.next().map_or(5000, |number| number.parse().expect("MESSAGES is a number"));
    let restarts = arguments.next().map(|number| number.parse().expect("RESTARTS is a number"));
    let mut good = true;
    for name in ["sqlite", "postgres", "replicas"] {
        if which.as_deref().is_some_and(|which| which != name) {
            continue;
        }
        let (replicas, pause) = match name {
            "sqlite" => (1, 1500),
            "postgres" => (1, 9000),
            _ => (3, 4000),
        };
        let pause = Duration::from_millis(pause);
        // A file is not restarted; Postgres among replicas is, where nothing else is said.
        let restarts = if name == "sqlite" { 0 } else { restarts.unwrap_or(replicas / 3) };
        let plan = Plan { messages, tickets: messages / 10, replicas, kills, restarts, pause, rate: 200 };
        let began = Instant::now();
        let Some(verdict) = one(name, &plan).await else { continue };
        println!(
            "{name}: {kills} kills and {restarts} restarts in {:.0} s; {} of {} arrived, {} doubled, {} unknown outcomes, {} faults",
            began.elapsed().as_secs_f64(),
            verdict.arrived,
            plan.messages + plan.tickets,
            verdict.doubled,
            verdict.unknowns,
            verdict.faults.len()
        );
        for fault in verdict.faults.iter().take(20).chain(&verdict.log) {
            println!("  {fault}");
        }
        good &= verdict.faults.is_empty();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn one(name: &str, plan: &Plan) -> Option<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    if name == "sqlite" {
        let file = folder.path().join("alerter.db");
        let open = async |now| Arc::new(Sqlite::open(&file, now).await.unwrap()) as Arc<dyn Store>;
        return Some(run(plan, folder.path(), "sqlite: {path: alerter.db}", open, || {}).await);
    }
    let server = Arc::new(postgres::Postgres::start()?);
    let url = server.database().await;
    std::fs::write(folder.path().join("url"), url.expose()).unwrap();
    let open = async |now| Arc::new(Postgres::open(&url, 4, now).await.unwrap()) as Arc<dyn Store>;
    let restarted = server.clone();
    let restart = move || restarted.restart(Duration::from_secs(1));
    let verdict = run(plan, folder.path(), "postgres: {url_file: url}", open, restart).await;
    drop(server);
    Some(verdict)
}
