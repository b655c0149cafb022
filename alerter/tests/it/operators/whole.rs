//! Notices through a whole daemon: the binary with a configuration file, a real Alertmanager and a watchdog.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use daemon::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::real::free_port;
use tokio::net::TcpListener;

use super::Alertmanager;

const TOKEN: &str = "secret-of-the-pusher";

/// Basiq, an exporter, and the service that listens for the heartbeat.
async fn outside(beats: Arc<AtomicUsize>) -> String {
    let token = json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"});
    let beat = move || async move {
        beats.fetch_add(1, Ordering::SeqCst);
        "OK"
    };
    let router = Router::new()
        .route("/metrics", get(async || "basiq_exporter_warm 1\n"))
        .route("/metrics/connections", get(async || ""))
        .route("/token", post(async move || Json(token)))
        .route("/ping/s3cret", get(beat.clone()).post(beat))
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"data": []}))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// The daemon; killed when dropped.
struct Alerter {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Drop for Alerter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Alerter {
    /// Started elsewhere than where its configuration is: paths in it are relative to the file.
    fn start(folder: &std::path::Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_basiq-alerter"))
            .arg("--config.file")
            .arg(folder.join("alerter.yml"))
            .arg(format!("--web.listen-address={address}"))
            .current_dir("/")
            .env_remove("BASIQ_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { child, url: format!("http://{address}"), client }
    }

    /// Sends alerts for operators, as a Prometheus would; whether they were taken.
    async fn push(&self, alerts: &[(&str, &str, Timestamp, Option<Timestamp>)]) -> bool {
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|(name, severity, starts, ends)| {
                json!({
                    "labels": {"alertname": name, "severity": severity, "action": "notify-operator"},
                    "annotations": {"summary": format!("{name} fires"), "description": "Look."},
                    "startsAt": starts.to_string(),
                    "endsAt": ends.unwrap_or(Timestamp::now() + SignedDuration::from_mins(5)).to_string(),
                })
            })
            .collect();
        let url = format!("{}/api/v2/alerts", self.url);
        let sent = self.client.post(url).bearer_auth(TOKEN).json(&alerts).send().await;
        sent.is_ok_and(|answer| answer.status().is_success())
    }

    /// Sends a group of so many alerts, a kilobyte each, that ask for nothing, as an Alertmanager would; the answer.
    async fn group(&self, alerts: usize, token: &str) -> u16 {
        let one = json!({"labels": {"alertname": "Fails"}, "annotations": {"description": "x".repeat(1000)}});
        let body = json!({"version": "4", "alerts": vec![one; alerts]});
        let url = format!("{}/api/v2/webhook", self.url);
        self.client.post(url).bearer_auth(token).json(&body).send().await.unwrap().status().as_u16()
    }

    /// The answer to the head of a request whose body is to have so many bytes.
    fn announces(&self, bytes: usize) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = format!(
            "POST /api/v2/webhook HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }
}

/// "`notify-operator` goes by Alertmanager (`POST /api/v2/alerts`, re-sent until ended), webhook, mail, and a
/// heartbeat for the watchdog."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_daemon_keeps_a_real_alertmanager_and_the_watchdog_informed() {
    let Some(alertmanager) = Alertmanager::start().await else { return };
    let beats = Arc::new(AtomicUsize::new(0));
    let outside = outside(beats.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    write("secrets/key", "any");
    write("secrets/token", TOKEN);
    write("secrets/heartbeat", &format!("{outside}/ping/s3cret\n"));
    write("users.json", "[]");
    // Every folder of plugins has one with a path of its own.
    write(
        "alerter.yml",
        &format!(
            "environment: test\n\
             basiq: {{url: '{outside}', api_key_file: secrets/key}}\n\
             exporters: [{{url: '{outside}', bearer_token_file: secrets/token}}]\n\
             sources: {{embedded: [], push: {{bearer_token_file: secrets/token}}}}\n\
             channels: {{files: [{{name: messages, from: a@example.test, directory: out}}]}}\n\
             desks: {{rt: [{{name: rt, url: 'http://127.0.0.1:1', token_file: secrets/token, queue: Basiq}}]}}\n\
             contacts: {{file: {{path: users.json}}}}\n\
             operators:\n\
             \x20 alertmanager: [{{name: am, url: '{}', username: u, password_file: secrets/token, repeat_every: 1s, expires_after: 4s}}]\n\
             \x20 heartbeat: [{{name: deadman, url_file: secrets/heartbeat, every: 1s}}]\n",
            alertmanager.url
        ),
    );
    let alerter = Alerter::start(folder.path());
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let began = Timestamp::now();
    let (down, watchdog) = (("BasiqDown", "critical", began, None), ("Watchdog", "none", began, None));
    let mut taken = false;
    for _ in 0..300 {
        taken = alerter.push(&[down, watchdog]).await;
        if taken && !alertmanager.query("BasiqDown").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(taken, "it takes no alerts:\n{}", log());
    let listed = alertmanager.query("BasiqDown");
    assert_eq!(listed.len(), 1, "{listed:?}\n{}", log());
    assert_eq!(listed[0]["labels"]["environment"], "test");
    assert_eq!(listed[0]["annotations"]["summary"], "BasiqDown fires");
    // Longer than a notice that is sent once would last.
    let before = beats.load(Ordering::SeqCst);
    for _ in 0..6 {
        assert!(alerter.push(&[down, watchdog]).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(alertmanager.query("BasiqDown").len(), 1, "{}", log());
    let beaten = beats.load(Ordering::SeqCst) - before;
    assert!((3..=9).contains(&beaten), "{beaten} heartbeats in six seconds\n{}", log());

    assert!(alerter.push(&[("BasiqDown", "critical", began, Some(Timestamp::now()))]).await);
    super::until("the notice ends", || alertmanager.query("BasiqDown").is_empty()).await;
    assert_eq!(alertmanager.query("Watchdog").len(), 1, "the other goes on");

    // A bank is down for everybody: an Alertmanager sends the group whole, and does not send again what is refused.
    assert_eq!(alerter.group(6_000, TOKEN).await, 200, "{}", log());
    assert_eq!(alerter.group(6_000, "wrong").await, 401);
    assert!(alerter.announces(40_000_000).starts_with("HTTP/1.1 413"));
    assert!(log().contains("its body is too large"), "{}", log());
}
