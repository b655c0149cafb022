//! "Kill -9 at random moments … on both stores: nothing lost, no ticket doubled, a mail doubled only with the
//! same Message-ID after an unknown outcome, and that counted. The same with three replicas on one Postgres, killing
//! any, and with Postgres itself restarted." With 5,000 messages, 500 tickets and 200 kills: the example `kills`.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use crate::{
    kills::{Plan, Verdict, run},
    store::Place,
    support::postgres::Postgres,
};

fn holds(verdict: &Verdict) {
    eprintln!("{verdict:?}");
    assert!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    assert!(verdict.doubled <= verdict.unknowns);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_on_sqlite_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        messages: 1500,
        tickets: 100,
        replicas: 1,
        kills: 20,
        restarts: 0,
        pause: Duration::from_millis(1500),
        rate: 200,
    };
    let file = folder.path().join("alerter.db");
    let open = async |now| {
        let store = basiq_alerter::store::Sqlite::open(&file, now).await.unwrap();
        std::sync::Arc::new(store) as std::sync::Arc<dyn basiq_alerter::store::Store>
    };
    holds(&run(&plan, folder.path(), "sqlite: {path: alerter.db}", open, || {}).await);
}

async fn on_postgres(plan: &Plan) {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = server.database().await;
    let file = folder.path().join("url");
    std::fs::write(&file, url.expose()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let place = Place::Database(url);
    let open = async |now| place.open(now).await;
    let server = std::sync::Arc::new(server);
    let restarted = server.clone();
    let restart = move || restarted.restart(Duration::from_secs(1));
    holds(&run(plan, folder.path(), "postgres: {url_file: url}", open, restart).await);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_on_postgres_lose_nothing() {
    let plan = Plan {
        messages: 1500,
        tickets: 100,
        replicas: 1,
        kills: 20,
        restarts: 0,
        pause: Duration::from_millis(6500),
        rate: 200,
    };
    on_postgres(&plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_among_three_replicas_and_a_restart_of_postgres_lose_nothing() {
    let plan = Plan {
        messages: 1500,
        tickets: 100,
        replicas: 3,
        kills: 10,
        restarts: 1,
        pause: Duration::from_millis(4000),
        rate: 200,
    };
    on_postgres(&plan).await;
}
