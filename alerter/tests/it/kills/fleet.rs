//! The alerters as processes, and a supervisor that starts them again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use daemon::Timestamp;
use serde_json::json;
use tokio::process::{Child, Command};

use super::{Plan, SPEED, Servers, connection, institution};

pub(super) struct Fleet {
    folder: PathBuf,
    anchor: Timestamp,
    members: Vec<Member>,
    client: reqwest::Client,
}

struct Member {
    port: u16,
    child: Child,
}

/// The alerter's binary, which cargo built beside this one.
fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") || path.ends_with("examples") {
        path.pop();
    }
    let path = path.join("basiq-alerter");
    assert!(path.is_file(), "{} is missing; run `cargo build --workspace --bins` first", path.display());
    path
}

impl Fleet {
    pub(super) async fn start(
        plan: &Plan,
        folder: &Path,
        section: &str,
        servers: &Servers,
        anchor: Timestamp,
    ) -> Self {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("key", "any");
        write("token", "secret-of-the-pusher");
        let users: Vec<_> = (0..plan.messages)
            .map(|n| format!("u-{}", connection("mail", n)))
            .map(|user| json!({"user_id": user, "address": format!("{user}@d{}.example.test", user.len() % 7)}))
            .collect();
        write("users.json", &serde_json::to_string(&users).unwrap());
        let (http, smtp, place) = (servers.http, servers.smtp, folder.display());
        write(
            "alerter.yml",
            &format!(
                "environment: production\n\
                 basiq: {{url: 'http://127.0.0.1:{http}', api_key_file: key}}\n\
                 store: {{{section}}}\n\
                 exporters: [{{url: 'http://127.0.0.1:{http}'}}]\n\
                 sources: {{embedded: [], push: {{bearer_token_file: token}}}}\n\
                 actions: {{notify-user: live, file-ticket: live, refresh-connection: 'off'}}\n\
                 sender: {{legal_name: Example Pty Ltd, contact: help@example.test}}\n\
                 channels: {{smtp: [{{name: relay, host: 127.0.0.1, port: {smtp}, tls: none, from: a@example.test, rate: 2000, burst: 2000, connections: 8}}]}}\n\
                 desks: {{zendesk: [{{name: desk, url: 'http://127.0.0.1:{http}', email: a@example.test, token_file: '{place}/token'}}]}}\n\
                 operators: {{files: [{{name: ops, directory: '{place}/ops'}}]}}\n\
                 contacts: {{file: {{path: '{place}/users.json'}}}}\n\
                 limits: {{baseline: false, settle: 0s, settle_ticket: 0s, cooldown: 0s, escalate_after: 0s, storm: 1000000, hold_batch: 1000000, hold_rule: 1000000, hold_institution: 1000000, hold_all: 1000000}}\n\
                 outbox: {{concurrency: 8, rate: 2000, burst: 2000}}\n"
            ),
        );
        // A second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut fleet = Self { folder: folder.to_owned(), anchor, members: Vec::new(), client };
        for _ in 0..plan.replicas {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = fleet.spawn(port);
            fleet.members.push(Member { port, child });
        }
        fleet
    }

    fn spawn(&self, port: u16) -> Child {
        let log = File::options().append(true).create(true).open(self.folder.join("log")).unwrap();
        Command::new(binary())
            .arg("--config.file")
            .arg(self.folder.join("alerter.yml"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--clock.anchor={}", self.anchor.as_millisecond()))
            .arg(format!("--clock.speed={SPEED}"))
            .arg("--log.level=warn")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Sends all demands, each batch until somebody has taken it.
    pub(super) async fn demand(&mut self, plan: &Plan) {
        let now = daemon::Clock::scaled(self.anchor, SPEED).now().to_string();
        let alert = |kind: &str, number: usize| {
            let (id, ticket) = (connection(kind, number), kind == "ticket");
            json!({
                "labels": {
                    "alertname": if ticket { "Unknown" } else { "Credentials" },
                    "action": if ticket { "file-ticket" } else { "notify-user" },
                    "connection_id": id,
                    "user_id": format!("u-{id}"),
                    "institution": institution(kind, number),
                    "method": "web",
                    "scenario": if ticket { "unknown" } else { "invalid-credentials" },
                },
                "annotations": if ticket {
                    json!({"escalate_after": "0s", "settle": "0s", "retry_max": "0"})
                } else {
                    json!({"template": "credentials", "closing_template": "ready", "settle": "0s", "cooldown": "0s"})
                },
                "startsAt": now,
            })
        };
        let tickets = (0..plan.tickets).map(|n| alert("ticket", n));
        let all: Vec<_> = tickets.chain((0..plan.messages).map(|n| alert("mail", n))).collect();
        let (began, mut to) = (Instant::now(), 0);
        for batch in all.chunks(100) {
            loop {
                let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.members[to].port);
                let sent =
                    self.client.post(url).bearer_auth("secret-of-the-pusher").json(&batch).send().await;
                match sent {
                    Ok(answer) if answer.status().is_success() => break,
                    Ok(answer) if answer.status().is_client_error() => {
                        panic!("refused: {}", answer.text().await.unwrap_or_default())
                    }
                    // Not ready, or not the one that plans.
                    _ => to = (to + 1) % self.members.len(),
                }
                assert!(began.elapsed() < Duration::from_secs(120), "nobody takes the demands; see the log");
                self.live_for(Duration::from_millis(50)).await;
            }
        }
    }

    /// Lets time pass; who has ended is started again.
    pub(super) async fn live_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            for at in 0..self.members.len() {
                if self.members[at].child.try_wait().unwrap().is_some() {
                    self.members[at].child = self.spawn(self.members[at].port);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    /// Kills one, as by `kill -9`.
    pub(super) fn kill(&mut self) {
        let at = rand::random_range(0..self.members.len());
        self.members[at].child.start_kill().unwrap();
    }

    /// The last lines of their common log.
    pub(super) fn last_words(&self) -> Vec<String> {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].iter().map(|line| (*line).to_owned()).collect()
    }

    pub(super) async fn stop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill().await;
        }
    }
}
