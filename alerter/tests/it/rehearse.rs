//! `preview` and `replay`: what would be done, without a trace.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Arc, Mutex},
};

use basiq_alerter::{
    config::Config,
    rehearse::{Preview, Replay, preview, replay},
};
use daemon::{Clock, Timestamp};
use serde_json::Value;

use super::sources::{Shown, WARM, exporter, repository};

const BANK: &str = concat!(
    "basiq_connector_status{institution=\"AU1\",method=\"web\",status=\"operational\"} 1\n",
    "basiq_institution_info{institution=\"AU1\",institution_name=\"Hooli\",tier=\"1\",country=\"AU\"} 1\n",
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn connection(name: &str, scenario: &str, since: i64, last: i64) -> String {
    let labels = format!(
        "{{connection_id=\"{name}-0123456789\",user_id=\"user-of-{name}\",institution=\"AU1\",method=\"web\",scenario=\"{scenario}\"}}"
    );
    format!(
        "basiq_connection_failed_jobs{labels} 1\nbasiq_connection_failing_since_timestamp_seconds{labels} {since}\n\
         basiq_connection_last_failure_timestamp_seconds{labels} {last}\n"
    )
}

fn ended(name: &str, reason: &str, at: i64) -> String {
    format!(
        "basiq_connection_ended_timestamp_seconds{{connection_id=\"{name}-0123456789\",user_id=\"user-of-{name}\",institution=\"AU1\",method=\"web\",scenario=\"{reason}\"}} {at}\n"
    )
}

fn options<T: clap::Args + clap::FromArgMatches>(arguments: &[&str]) -> T {
    let command = T::augment_args(clap::Command::new("test").no_binary_name(true));
    T::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
}

fn config(folder: &Path, more: &str) -> (Config, std::path::PathBuf) {
    let file = folder.join("alerter.yml");
    let rules = repository("rules/connections.yml");
    let text = format!(
        "actions: {{notify-user: live, refresh-connection: live, file-ticket: live}}\n\
         sender: {{legal_name: Example Pty Ltd, contact: help@example.test}}\n\
         store: {{sqlite: {{path: alerter.db}}}}\n\
         sources: {{embedded: [{{rules: ['{}']}}]}}\n{more}",
        rules.display()
    );
    std::fs::write(&file, text).unwrap();
    (Config::load(Some(&file)).unwrap(), file)
}

fn phases<'v>(played: &'v Value, state: &str) -> Vec<(&'v str, &'v str)> {
    let done = |one: &&Value| one["state"] == state;
    let of = |one: &'v Value| (one["phase"].as_str().unwrap(), one["rule"].as_str().unwrap());
    played.as_array().unwrap().iter().filter(done).map(of).collect()
}

const START: i64 = 1_795_300_000;

/// A morning in scrapes, a minute apart: a locked account that recovers, and a bank that is away for one. Each with
/// its time and the two pages.
fn morning() -> impl Iterator<Item = (i64, String, String)> {
    (0..240).map(|minute| {
        let mut connections = connection("old", "account-locked", START - 400_000, START - 300_000);
        connections += &match minute {
            0..=4 => String::new(),
            5..=89 => connection("c1", "account-locked", START + 290, START + 290),
            _ => ended("c1", "recovered", START + 90 * 60),
        };
        if minute >= 10 {
            connections += &connection("c2", "service-unavailable", START + 590, START + 590);
        }
        (START + minute * 60, format!("{WARM}{BANK}"), connections)
    })
}

#[tokio::test]
async fn a_recorded_morning_is_played() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let scrapes = folder.path().join("scrapes");
    std::fs::create_dir(&scrapes).unwrap();
    for (now, metrics, connections) in morning() {
        std::fs::write(scrapes.join(format!("{now}-metrics.prom")), metrics).unwrap();
        std::fs::write(scrapes.join(format!("{now}-connections.prom")), connections).unwrap();
    }
    let (config, file) = config(folder.path(), "");
    let (clock, _hand) = Clock::manual(at(START + 86_400));
    let from = at(START).to_string();
    let to = at(START + 240 * 60).to_string();
    let arguments = ["--from", &from, "--to", &to, "--folder", scrapes.to_str().unwrap()];
    let replayed = |more: &'static str| {
        let mut arguments = arguments.to_vec();
        arguments.push(more);
        let options: Replay = options(&arguments);
        let (config, file, clock) = (&config, &file, &clock);
        async move { replay(&options, config, Some(file), clock).await.unwrap() }
    };
    let played: Value = serde_json::from_str(&replayed("--json").await).unwrap();
    assert_eq!((played["looks"].as_u64(), played["looks_not_clear"].as_u64()), (Some(240), Some(0)));
    assert_eq!(played["baseline"], 1, "what had failed for days by then");
    let done = phases(&played["played"], "delivered");
    let of = |phase: &str| done.iter().filter(|(is, _)| *is == phase).count();
    assert_eq!((of("opening"), of("closing")), (2, 1), "{done:?}");
    assert!(done.contains(&("opening", "BasiqAccountLocked")), "{done:?}");
    assert!(done.contains(&("opening", "BasiqServiceUnavailable")), "{done:?}");
    assert!(of("refresh") >= 1, "{done:?}");
    let text = replayed("--list").await;
    assert!(text.contains("2026-11-21") || text.contains("2026-11-22"), "{text}");
    assert!(!text.contains("0123456789") && !text.contains("user-of-c1"), "ids are cut: {text}");
    assert!(!folder.path().join("alerter.db").exists(), "nothing is written");
}

/// The scrapes of the morning as OpenMetrics with times, under the labels that a scrape adds.
fn remembered() -> String {
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    for (now, metrics, connections) in morning() {
        for (job, page) in [("basiq-exporter", metrics), ("basiq-connections", connections)] {
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let family = families.entry(name.to_owned()).or_default();
                let scraped = format!("job=\"{job}\",instance=\"exporter:9765\"");
                let labels = if labels == "}" { labels.to_owned() } else { format!(",{labels}") };
                let _ = writeln!(family, "{name}{{{scraped}{labels} {value} {now}");
            }
        }
    }
    families.into_values().collect::<String>() + "# EOF\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_that_a_real_prometheus_remembers_is_played() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(promtool) = stories::real::program("promtool", "prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("morning.om");
    std::fs::write(&text, remembered()).unwrap();
    let mut backfill = std::process::Command::new(promtool);
    backfill.args(["tsdb", "create-blocks-from", "openmetrics"]);
    backfill.arg(&text).arg(folder.path().join("prometheus"));
    stories::real::run(&mut backfill).unwrap();
    let Some(prometheus) = stories::real::Prometheus::over(folder.path()).unwrap() else { return };

    let (config, file) = config(folder.path(), "");
    let (clock, _hand) = Clock::manual(at(START + 86_400));
    let (from, to) = (at(START).to_string(), at(START + 239 * 60).to_string());
    let url = format!("http://{}", prometheus.address);
    let options: Replay = options(&["--from", &from, "--to", &to, "--prometheus", &url, "--json"]);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let played = loop {
        match replay(&options, &config, Some(&file), &clock).await {
            Ok(played) => break played,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    };
    let played: Value = serde_json::from_str(&played).unwrap();
    assert_eq!((played["looks"].as_u64(), played["looks_not_clear"].as_u64()), (Some(240), Some(0)));
    assert_eq!(played["baseline"], 1, "what had failed for days by then");
    let done = phases(&played["played"], "delivered");
    let of = |phase: &str| done.iter().filter(|(is, _)| *is == phase).count();
    assert_eq!((of("opening"), of("closing")), (2, 1), "{done:?}");
    assert!(done.contains(&("opening", "BasiqAccountLocked")), "{done:?}");
    assert!(of("refresh") >= 1, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_be_done_and_leaves_no_trace() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let start = 1_795_300_000;
    let shown: Shown = Arc::new(Mutex::new(Some((
        format!("{WARM}{BANK}"),
        connection("c1", "invalid-credentials", start - 60, start - 60)
            + &connection("c2", "service-unavailable", start - 60, start - 60)
            + &connection("old", "account-locked", start - 400_000, start - 300_000),
    ))));
    let url = exporter(shown).await;
    let (config, file) = config(folder.path(), &format!("exporters: [{{url: '{url}'}}]\n"));
    let (clock, _hand) = Clock::manual(at(start));
    let json: Preview = options(&["--json"]);
    let said: Value =
        serde_json::from_str(&preview(&json, &config, Some(&file), &clock).await.unwrap()).unwrap();
    assert_eq!((said["connections"].as_u64(), said["baseline"].as_u64()), (Some(3), Some(1)));
    assert_eq!(said["now"].as_array().unwrap().len(), 0, "everything settles first: {said}");
    let done = phases(&said["later"], "delivered");
    for wanted in [
        ("opening", "BasiqCredentialsRejected"),
        ("opening", "BasiqServiceUnavailable"),
        ("refresh", "BasiqServiceUnavailableRetry"),
        ("ticket", "BasiqServiceUnavailableTicket"),
    ] {
        assert!(done.contains(&wanted), "{wanted:?} in {done:?}");
    }
    assert_eq!(done.iter().filter(|(phase, _)| *phase == "refresh").count(), 2, "twice, then a ticket");
    assert_eq!(done.iter().filter(|(phase, _)| *phase == "opening").count(), 2, "the baseline hears nothing");
    let text: Preview = options(&["--within", "1h"]);
    let text = preview(&text, &config, Some(&file), &clock).await.unwrap();
    assert!(text.contains("there is no store yet") && text.contains("BasiqCredentialsRejected"), "{text}");
    assert!(!text.contains("user-of-c1") && !text.contains("0123456789"), "{text}");
    assert!(!folder.path().join("alerter.db").exists(), "nothing is written");
}
