//! The same failing sandbox leads to the same effects, whatever evaluates the rules: the alerter itself, a real
//! Prometheus that the alerter asks, and a real Prometheus that pushes its alerts. Everything in dry run, so that
//! only what is planned is compared.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;
use stories::{
    house::{House, free_address},
    real::Prometheus,
    settings::{Addresses, Places},
    truth::Truth,
};

const SCENARIO: &str = "
seed: 7
users:
  - name: erlich
    full_name: Erlich Bachman
    email: erlich@example.test
    connections:
      - failures: [{as: erlich, from: -30m}]
        timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
  - name: jared
    full_name: Jared Dunn
    email: jared@example.test
    connections:
      - failures: [{code: service-unavailable, from: -30m, queue: never}]
        timeline: [{at: -5h, do: update}, {at: -25m, do: update}]
  - name: gavinBelson
    full_name: Gavin Belson
    email: gavin@example.test
    connections:
      - timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
";

/// What was planned, without what differs from one alerter to the next: keys and times.
type Planned = BTreeSet<(String, String, String, String, Vec<String>)>;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failures_have_the_same_effects_through_all_sources() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path().to_owned(), 1.0).unwrap();
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(0).unwrap(),
        exporter: free_address(0).unwrap(),
        alerter: free_address(0).unwrap(),
    };
    let rules = places.rules.join("connections.yml");
    let token = places.write("token", "token-of-the-test").unwrap();
    let Some(prometheus) =
        Prometheus::start(&house.work, addresses.exporter, &rules, addresses.alerter, &token).unwrap()
    else {
        return;
    };
    let flags = places.sandbox_playing(SCENARIO, house.anchor).unwrap();
    let sandbox = house.start("basiq-sandbox", addresses.sandbox, &flags).await.unwrap();
    let truth = Truth::read(&house, addresses.sandbox).await.unwrap();
    let flags = [format!("--config.file={}", places.exporter(addresses, &truth).unwrap().display())];
    let exporter = house.start("basiq-exporter", addresses.exporter, &flags).await.unwrap();

    let rules = rules.display();
    let sources = [
        ("push", format!("{{embedded: [], push: {{bearer_token_file: '{}'}}}}", token.display())),
        (
            "promql",
            format!(
                "{{embedded: [], promql: [{{url: 'http://{}', interval: 1s, rules: ['{rules}']}}]}}",
                prometheus.address
            ),
        ),
        ("embedded", format!("{{embedded: [{{interval: 1s, rules: ['{rules}']}}]}}")),
    ];
    let mut alerters = Vec::new();
    for (name, sources) in &sources {
        let config = alerter(&places, addresses, name, sources);
        let flags = [format!("--config.file={}", config.display())];
        let address = if *name == "push" { addresses.alerter } else { free_address(0).unwrap() };
        let process = house.start("basiq-alerter", address, &flags).await.unwrap();
        alerters.push((name, address, config, process));
    }

    let deadline = Instant::now() + Duration::from_secs(120);
    let mut all: Vec<Planned> = Vec::new();
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(2)).await;
        all.clear();
        for (_, _, config, _) in &alerters {
            all.push(planned(&house, config).await);
        }
        if all.iter().all(|planned| planned.len() >= 2) {
            break;
        }
    }
    let logs: Vec<String> =
        alerters.iter().map(|(name, _, _, process)| format!("{name}: {}", process.tail())).collect();
    assert!(
        all.iter().all(|planned| planned.len() >= 2),
        "{all:?}\n{}\n{}",
        logs.join("\n"),
        exporter.tail()
    );
    assert_eq!(all[0], all[1], "pushed, and asked for");
    assert_eq!(all[1], all[2], "asked for, and evaluated in process");

    for (_, _, _, process) in alerters {
        assert!(process.stop().await.unwrap().success());
    }
    for process in [exporter, sandbox] {
        assert!(process.stop().await.unwrap().success());
    }
}

async fn planned(house: &House, config: &std::path::Path) -> Planned {
    let output = house
        .command("basiq-alerter")
        .arg(format!("--config.file={}", config.display()))
        .args(["outbox", "list", "--json"])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let effects: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |effect: &Value| {
        let payload = &effect["payload"];
        let connections = payload["connections"].as_array().map(Vec::as_slice).unwrap_or_default();
        (
            text(&effect["phase"]),
            text(&effect["rule"]),
            text(&effect["state"]),
            text(&payload["user"]) + &text(&payload["template"]),
            connections.iter().map(|connection| text(&connection["connection"])).collect(),
        )
    };
    // A message is planned before it goes through dry run: only what has come to its end is compared.
    let ended = effects.iter().filter(|effect| effect["state"] == "dry-run");
    ended.map(of).collect()
}

fn alerter(places: &Places, addresses: Addresses, name: &str, sources: &str) -> PathBuf {
    let exporter: SocketAddr = addresses.exporter;
    let text = format!(
        "environment: production\n\
         sender: {{legal_name: Example Money Pty Ltd, contact: help@example-money.example}}\n\
         channels:\n  smtp: [{{name: relay, host: localhost, from: no-reply@example.test}}]\n\
         routes: {{user: relay}}\n\
         contacts:\n  basiq: {{}}\n\
         basiq:\n  url: http://{sandbox}\n  api_key_file: {work}/key\n\
         store:\n  sqlite: {{path: '{work}/{name}.db'}}\n\
         exporters:\n  - url: http://{exporter}\n\
         sources: {sources}\n",
        sandbox = addresses.sandbox,
        work = places.work.display(),
    );
    places.write(&format!("{name}.yml"), &text).unwrap()
}
