//! Sources as they are run: the shipped rules over an exporter that can fail, and alerts that are sent.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use basiq_alerter::{
    channels::message::TEMPLATES,
    demand::{Demand, Report},
    evidence::{ExporterConfig, Snapshot},
    sources::{Measures, Row, Sources, SourcesConfig, Wiring},
};
use daemon::{CancellationToken, Clock, Hand, Reload, Timestamp};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub(crate) const WARM: &str = "basiq_exporter_warm 1\n";

/// What an exporter shows; `None` answers 500.
pub(crate) type Shown = Arc<Mutex<Option<(String, String)>>>;

pub(crate) fn failing(connection: &str, scenario: &str) -> String {
    format!(
        "basiq_connection_failing_since_timestamp_seconds{{connection_id=\"{connection}\",user_id=\"u1\",institution=\"AU1\",method=\"web\",scenario=\"{scenario}\"}} 1700000000\n"
    )
}

pub(crate) async fn exporter(shown: Shown) -> String {
    let page = move |second: bool| {
        let shown = shown.clone();
        get(move || async move {
            match &*shown.lock().unwrap() {
                Some((metrics, connections)) => {
                    (StatusCode::OK, if second { connections.clone() } else { metrics.clone() })
                }
                None => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            }
        })
    };
    let router = Router::new().route("/metrics", page(false)).route("/metrics/connections", page(true));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// Sources at work, with a store that is a map.
pub(crate) struct World {
    hand: Hand,
    reports: mpsc::Receiver<Report>,
    evidence: watch::Receiver<Arc<Snapshot>>,
    rows: HashMap<Arc<str>, HashMap<String, Vec<u8>>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    push: Option<String>,
}

impl World {
    pub(crate) async fn start(
        url: &str,
        sources: &str,
        rows: HashMap<Arc<str>, HashMap<String, Vec<u8>>>,
        now: Timestamp,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config: SourcesConfig = serde_saphyr::from_str(sources).unwrap();
        let exporters = [ExporterConfig { url: url.to_owned(), ..ExporterConfig::default() }];
        let mut sources =
            Sources::load(&config, &exporters, Some(&repository("alerter.yml")), &TEMPLATES).unwrap();
        let push = match sources.router() {
            None => None,
            Some(router) => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
                Some(format!("http://{address}"))
            }
        };
        let (clock, hand) = Clock::manual(now);
        let (sender, reports) = mpsc::channel(8);
        let (evidence_sender, evidence) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let state = rows.iter().map(|(source, rows)| {
            let rows: Vec<Row> = rows.iter().map(|(key, body)| (key.clone(), body.clone())).collect();
            (source.clone(), rows)
        });
        let (kept, kept_state) = tokio::sync::oneshot::channel();
        kept.send(state.collect()).unwrap();
        let wiring = Wiring {
            clock,
            stop: stop.clone(),
            reload: Reload::new(),
            reports: sender,
            state: kept_state,
            evidence: evidence_sender,
            measures: Measures::new(&prometheus::Registry::new()).unwrap(),
            own: exposition::Page::new(),
        };
        let running = tokio::spawn(sources.run(wiring));
        Self { hand, reports, evidence, rows, stop, running, push }
    }

    /// The next report, committed.
    pub(crate) async fn report(&mut self) -> Report {
        let mut report =
            tokio::time::timeout(Duration::from_secs(20), self.reports.recv()).await.unwrap().unwrap();
        let rows = self.rows.entry(report.source.clone()).or_default();
        for row in &report.state {
            match row.body() {
                Some(body) => rows.insert(row.key().into_owned(), body.into_owned()),
                None => rows.remove(&*row.key()),
            };
        }
        report.committed.take().unwrap().send(()).unwrap();
        report
    }

    pub(crate) async fn tick(&mut self) -> Report {
        self.hand.advance(Duration::from_secs(15));
        self.report().await
    }

    /// A second later, by the clock on the wall as well.
    pub(crate) async fn second(&mut self) -> Report {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.hand.advance(Duration::from_secs(1));
        self.report().await
    }

    pub(crate) async fn end(self) -> HashMap<Arc<str>, HashMap<String, Vec<u8>>> {
        self.stop.cancel();
        self.running.await.unwrap();
        self.rows
    }
}

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn rules(demands: &[Demand]) -> Vec<&str> {
    let mut rules: Vec<_> = demands.iter().map(|demand| &*demand.rule).collect();
    rules.sort_unstable();
    rules
}

const EMBEDDED: &str = "embedded: [{ name: embedded, rules: [rules/connections.yml] }]";

#[tokio::test(flavor = "multi_thread")]
async fn only_a_clear_look_ends_what_fires_and_a_restart_forgets_nothing() {
    let shown: Shown = Arc::default();
    let show =
        |warm: &str, connections: String| *shown.lock().unwrap() = Some((warm.to_owned(), connections));
    let url = exporter(shown.clone()).await;
    let start = Timestamp::from_second(1_700_000_600).unwrap();
    let mut world = World::start(&url, EMBEDDED, HashMap::new(), start).await;

    // The exporter is not there yet.
    assert!(world.report().await.firing.is_empty());
    assert_eq!(world.evidence.borrow().as_of, None);

    show(WARM, failing("c1", "account-locked") + &failing("c2", "service-unavailable"));
    let report = world.tick().await;
    let all = [
        "BasiqAccountLocked",
        "BasiqServiceUnavailable",
        "BasiqServiceUnavailableRetry",
        "BasiqServiceUnavailableTicket",
    ];
    assert_eq!(rules(&report.firing), all);
    assert_eq!(world.evidence.borrow().connections.len(), 2);
    let report = world.tick().await;
    assert!(report.firing.is_empty() && report.ended.is_empty(), "nothing changed");

    *shown.lock().unwrap() = None;
    assert!(world.tick().await.ended.is_empty(), "a page that cannot be read ends nothing");
    assert_eq!(world.evidence.borrow().connections.len(), 2, "what was known stays known");
    let rows = world.end().await;
    let mut world = World::start(&url, EMBEDDED, rows, start + Duration::from_secs(120)).await;
    assert_eq!(rules(&world.report().await.firing), all, "after a start all that fires is told");
    show("basiq_exporter_warm 0\n", String::new());
    assert!(world.tick().await.ended.is_empty(), "an exporter that is not warm has not seen all");

    show(WARM, failing("c2", "retry-queued"));
    let report = world.tick().await;
    assert_eq!(rules(&report.firing), ["BasiqRetryQueued"]);
    assert_eq!(rules(&report.ended), all);
    let rows = world.end().await;
    assert_eq!(rows["embedded"].len(), 2, "one alert, and the time of the evaluation");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_committed_is_told_again() {
    let shown: Shown = Arc::new(Mutex::new(Some((WARM.to_owned(), failing("c1", "account-locked")))));
    let url = exporter(shown.clone()).await;
    let mut world =
        World::start(&url, EMBEDDED, HashMap::new(), Timestamp::from_second(1_700_000_600).unwrap()).await;
    assert_eq!(rules(&world.report().await.firing), ["BasiqAccountLocked"]);
    *shown.lock().unwrap() = Some((WARM.to_owned(), failing("c2", "account-locked")));
    world.hand.advance(Duration::from_secs(15));
    let lost = world.reports.recv().await.unwrap();
    assert_eq!(rules(&lost.ended), ["BasiqAccountLocked"]);
    drop(lost);
    let report = world.tick().await;
    assert_eq!(
        (rules(&report.firing), rules(&report.ended)),
        (vec!["BasiqAccountLocked"], vec!["BasiqAccountLocked"])
    );
    assert_eq!(report.firing[0].labels.get("connection_id"), Some("c2"));
    assert_eq!(report.ended[0].labels.get("connection_id"), Some("c1"));
    assert!(!report.state.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_taken_from_those_who_may_send_them() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    let shown: Shown = Arc::default();
    let url = exporter(shown).await;
    let sources = format!("embedded: []\npush: {{ bearer_token_file: {} }}", token.display());
    let mut world =
        World::start(&url, &sources, HashMap::new(), "2026-11-22T11:33:34Z".parse().unwrap()).await;
    let alerts = format!("{}/api/v2/alerts", world.push.clone().unwrap());
    world.report().await;
    let body = r#"[{"labels":{"alertname":"Locked","action":"notify-user","connection_id":"c1","user_id":"u1"},"annotations":{"template":"locked"},"startsAt":"2026-11-22T11:33:33Z","endsAt":"2026-11-22T11:34:33Z"}]"#;
    let client = reqwest::Client::new();
    let send = |token: &'static str| client.post(&alerts).bearer_auth(token).body(body).send();
    assert_eq!(send("wrong").await.unwrap().status(), 401);

    // Not before the commit is it answered.
    let sent = tokio::spawn(send("t0ken"));
    let report = world.reports.recv().await.unwrap();
    assert_eq!(rules(&report.firing), ["Locked"]);
    assert!(!sent.is_finished());
    drop(report);
    assert_eq!(sent.await.unwrap().unwrap().status(), 503);
    let sent = tokio::spawn(send("t0ken"));
    assert_eq!(rules(&world.report().await.firing), ["Locked"]);
    assert_eq!(sent.await.unwrap().unwrap().status(), 200);

    // For five minutes after a start silence is not the sender's.
    world.hand.advance(Duration::from_secs(300));
    assert_eq!(rules(&world.report().await.ended), ["Locked"], "nobody sent it again in time");
    world.end().await;
}

#[test]
fn what_cannot_be_loaded_is_said_in_one_line() {
    let load = |sources: &str| {
        let config: SourcesConfig = serde_saphyr::from_str(sources).unwrap();
        let error = Sources::load(
            &config,
            &[ExporterConfig::default()],
            Some(&repository("alerter.yml")),
            &TEMPLATES,
        );
        error.err().unwrap()
    };
    let error = load("embedded: [{ name: a, rules: [no-such-folder/*.yml] }]");
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("no-such-folder/*.yml: no rule file"), "{error}");
    let error = load("push: { name: p }").to_string();
    assert!(error.contains("sources.push: set bearer_token_file"), "{error}");
    let error = load(
        "embedded: [{ name: a, rules: [rules/connections.yml] }, { name: a, rules: [rules/connections.yml] }]",
    );
    assert!(error.to_string().contains("two have the name"), "{error}");
}
