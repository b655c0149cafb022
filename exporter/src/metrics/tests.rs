//! Both pages as a scrape sees them, against golden files, `promtool` and the reference.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use basiq::{ConnectorStatus, Observer};
use exposition::{Desc, Format};

use super::*;
use crate::ledger::{
    ConnectionSeen, HintKind, Id, JobSeen, Kind, Method, Settings, Status, StepSeen, StepStatus, span,
};

const NOON: Ms = 1_795_348_800_000;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn job(name: &str, connection: &str, at: Ms, last: StepStatus) -> JobSeen {
    JobSeen {
        id: id(name),
        kind: Kind::Connection,
        connection: Some(id(connection)),
        institution: None,
        created: at - 8000,
        updated: at,
        steps: vec![
            StepSeen { title: "verify-credentials".to_owned(), status: StepStatus::Success },
            StepSeen { title: "retrieve-accounts".to_owned(), status: last },
        ],
    }
}

fn failed(code: &str) -> StepStatus {
    StepStatus::Failed { code: code.to_owned(), detail: String::new() }
}

fn connection(name: &str, method: Method, status: Status) -> ConnectionSeen {
    ConnectionSeen {
        id: id(name),
        institution: "AU00000".to_owned(),
        method,
        status,
        created: NOON - 20 * span::DAY,
        last_used: NOON - span::DAY,
        expiry: if method == Method::OpenBanking { NOON + 3 * span::DAY } else { 0 },
    }
}

/// A bit of everything that the pages can show.
fn world() -> (Ledger, Connectors) {
    let settings = Settings { expected_refresh: Some(span::DAY), ..Settings::default() };
    let mut ledger = Ledger::new(settings, NOON - span::HOUR);
    let users = ["ann", "bob", "cid", "dot"];
    for (nth, name) in users.iter().enumerate() {
        let user = id(name);
        ledger.discover(2, &user, NOON - span::HOUR);
        let method = if nth == 1 { Method::OpenBanking } else { Method::Web };
        let listed = [connection(&format!("{name}-1"), method, Status::Active)];
        ledger.observe_connections(&user, &listed, NOON - span::HOUR, NOON - span::HOUR);
    }
    let mut see = |user: &str, jobs: &[JobSeen], at: Ms| ledger.observe_jobs(&id(user), jobs, true, at, at);
    see("ann", &[job("a1", "ann-1", NOON, failed("invalid-credentials"))], NOON + 1);
    see("bob", &[job("b1", "bob-1", NOON, failed("service-unavailable"))], NOON + 1);
    see("cid", &[job("c1", "cid-1", NOON, failed("brand-new-code"))], NOON + 1);
    see("cid", &[job("c2", "cid-1", NOON + span::MINUTE, StepStatus::Success)], NOON + span::MINUTE);
    let mut open = job("d1", "dot-1", NOON, StepStatus::Open);
    open.created = NOON - span::MINUTE;
    see("dot", &[open], NOON + 1);
    ledger.observe_hint(&id("bob"), None, Some(&id("b1")), HintKind::Updated, NOON + 2);
    let mut invalid = connection("dot-2", Method::Web, Status::Invalid);
    invalid.last_used = 0;
    let listed = [connection("dot-1", Method::Web, Status::Active), invalid];
    ledger.observe_connections(&id("dot"), &listed, NOON, NOON);
    let mut connectors = Connectors::default();
    let bank = basiq::Connector {
        id: "AU00000".to_owned(),
        method: basiq::Method::Web,
        stage: "live".to_owned(),
        status: ConnectorStatus::MajorOutage,
        name: "Hooli \"Bank\"".to_owned(),
        tier: "4".to_owned(),
        country: "Australia".to_owned(),
        averages: vec![("verify-credentials", std::time::Duration::from_millis(3500))],
        ..basiq::Connector::default()
    };
    connectors.observe(&[bank], &mut ledger, NOON, NOON);
    (ledger, connectors)
}

async fn pages(at: Ms) -> Metrics {
    let (mut ledger, mut connectors) = world();
    let mut metrics = Metrics::new().unwrap();
    metrics.own.set_up(true);
    metrics.own.users.set(4);
    metrics.own.oldest_due.set(at as f64 / 1000.0);
    metrics.own.succeeded("connectors", NOON);
    metrics.own.set_subscription(true);
    metrics.own.seed_webhooks(&["accepted"]);
    let request = basiq::Request {
        endpoint: basiq::Endpoint::Jobs,
        error: None,
        duration: std::time::Duration::from_millis(20),
    };
    metrics.own.request(&request);
    ledger.tick(at);
    metrics.publish(&mut ledger, &mut connectors, at).await;
    metrics
}

/// Compares with a committed file, or writes it if `UPDATE_DOCS` is set.
fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; if that is right: UPDATE_DOCS=1 cargo test --workspace reference\n{text}",
        path.display()
    );
}

fn here(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn promtool_is_silent(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "promtool is missing in CI");
        eprintln!("SKIPPED: promtool is not installed, so `promtool check metrics` was not run");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
}

#[tokio::test]
async fn both_pages_are_as_agreed_and_promtool_has_nothing_to_say() {
    let metrics = pages(NOON + 2 * span::MINUTE).await;
    for (page, file) in
        [(&metrics.page, "metrics.golden.txt"), (&metrics.connections, "connections.golden.txt")]
    {
        let text = page.to_text(Format::Text);
        promtool_is_silent(&text);
        same_as_file(&here("src/metrics/tests").join(file), &text);
    }
}

#[tokio::test]
async fn the_reference_lists_what_the_pages_show_and_nothing_else() {
    same_as_file(&here("METRICS.md"), &reference());
    let metrics = pages(NOON + 2 * span::MINUTE).await;
    let shown = |page: &Page| -> BTreeSet<String> {
        let text = page.to_text(Format::Text);
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let named = |families: &[&[Desc]]| -> BTreeSet<String> {
        families.iter().flat_map(|all| all.iter()).map(|family| family.name.to_owned()).collect()
    };
    let expected = named(&[AGGREGATES, OWN]);
    assert_eq!(shown(&metrics.page), expected);
    let documented: BTreeSet<String> = CONNECTION.iter().map(|desc| desc.name.to_owned()).collect();
    let mut missing: Vec<_> = documented.difference(&shown(&metrics.connections)).cloned().collect();
    missing.retain(|name| name != "basiq_connection_stale_since_timestamp_seconds");
    assert!(missing.is_empty(), "{missing:?}");
    // Labels are those of the reference.
    let text = metrics.page.to_text(Format::Text);
    for family in AGGREGATES.iter().chain(OWN) {
        let name = family.name;
        let start = text.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
                && !line.starts_with('#')
        });
        let line = start.unwrap_or_else(|| panic!("{name} has no sample"));
        for label in family.labels {
            assert!(line.contains(&format!("{label}=\"")), "{name} lacks {label}: {line}");
        }
    }
}

#[tokio::test]
async fn connector_series_are_absent_15_minutes_after_the_last_successful_poll() {
    let shows = |metrics: &Metrics| metrics.page.to_text(Format::Text).contains("basiq_connector_status{");
    assert!(shows(&pages(NOON + 15 * span::MINUTE - 1).await));
    assert!(!shows(&pages(NOON + 15 * span::MINUTE).await));
}

#[tokio::test]
async fn rows_leave_when_a_connection_is_well_or_gone() {
    let (mut ledger, mut connectors) = world();
    let mut metrics = Metrics::new().unwrap();
    let mut now = NOON + 3 * span::MINUTE;
    metrics.publish(&mut ledger, &mut connectors, now).await;
    let lines = |metrics: &Metrics, what: &str| {
        let text = metrics.connections.to_text(Format::Text);
        text.lines().filter(|line| !line.starts_with('#') && line.contains(what)).count()
    };
    assert_eq!(lines(&metrics, "ann-1"), 3);
    ledger.observe_jobs(&id("ann"), &[job("a2", "ann-1", now, StepStatus::Success)], true, now, now);
    ledger.user_gone(&id("bob"), now);
    metrics.publish(&mut ledger, &mut connectors, now).await;
    let ended = |name: &str, how: &str| {
        lines(&metrics, &format!("ended_timestamp_seconds{{connection_id=\"{name}\"")) == 1
            && lines(&metrics, how) >= 1
    };
    assert!(ended("ann-1", "recovered") && ended("bob-1", "deleted"));
    assert_eq!((lines(&metrics, "ann-1"), lines(&metrics, "bob-1")), (1, 1));
    now += span::DAY + span::MINUTE;
    ledger.tick(now);
    metrics.publish(&mut ledger, &mut connectors, now).await;
    assert_eq!(lines(&metrics, "bob-1"), 0);
    let stale = "basiq_connection_stale_since_timestamp_seconds{connection_id=\"ann-1\"";
    assert_eq!((lines(&metrics, "ann-1"), lines(&metrics, stale)), (0, 0));
}
