//! The samples that ship run as they are, once their paths and addresses are those of the machine: both daemons start
//! with them, and wired to real parts as the samples say they deliver a real failure.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use stories::{
    house::{House, Process, free_address},
    real::{Alertmanager, Exim, PASSWORD, Prometheus, RequestTracker},
    settings::{API_KEY, Places},
    truth::Truth,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

/// A bank that has not answered for hours: due are one message of the delay and one ticket.
const SCENARIO: &str = "
seed: 7
users:
  - name: jianYang
    full_name: Jian Yang
    email: jian.yang@example.test
    connections:
      - institution: AU00000
        failures: [{as: jian-yang, from: -9h, queue: never}]
        timeline:
          - {at: -12h, do: update}
          - {at: -8h, do: update}
          - {at: -4h, do: update}
          - {at: -20m, do: update}
  - name: gavinBelson
    full_name: Gavin Belson
    email: gavin@example.test
    connections:
      - timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
";

/// The system's folders that the samples name, under one of the test's own.
struct System(tempfile::TempDir);

impl System {
    fn new() -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        for place in [
            "etc/basiq-exporter/users",
            "etc/basiq-alerter/rules",
            "etc/alertmanager",
            "var/lib/basiq-exporter",
            "var/lib/basiq-alerter",
        ] {
            fs::create_dir_all(system.path(place)).unwrap();
        }
        for key in ["etc/basiq-exporter/api-key", "etc/basiq-alerter/api-key"] {
            fs::write(system.path(key), API_KEY).unwrap();
        }
        fs::write(system.path("etc/basiq-alerter/smtp-password"), PASSWORD).unwrap();
        for rules in ["connections.yml", "operators.yml"] {
            let from = Places::repository().join("rules").join(rules);
            fs::copy(from, system.path("etc/basiq-alerter/rules").join(rules)).unwrap();
        }
        system
    }

    fn path(&self, place: &str) -> PathBuf {
        self.0.path().join(place)
    }

    /// A sample with its folders under this one, and what else differs here: each word that is replaced must be in it.
    fn sample(&self, name: &str, words: &[(&str, &str)]) -> String {
        let mut text = fs::read_to_string(Places::repository().join("deploy/samples").join(name)).unwrap();
        for (word, here) in words {
            assert!(text.contains(word), "{name} does not say {word:?} any more");
            text = text.replace(word, here);
        }
        for place in ["/etc/", "/var/lib/"] {
            text = text.replace(place, &format!("{}{place}", self.0.path().display()));
        }
        text
    }

    /// Writes a sample where it is installed; gives the flag that names it.
    fn configure(&self, daemon: &str, name: &str, words: &[(&str, &str)]) -> String {
        let path = self.path("etc").join(daemon).join(name);
        fs::write(&path, self.sample(name, words)).unwrap();
        format!("--config.file={}", path.display())
    }
}

fn places(house: &House) -> Places {
    Places { work: house.work.clone(), rules: Places::repository().join("rules") }
}

async fn stop(running: Vec<Process>) {
    for process in running.into_iter().rev() {
        let tail = process.tail();
        assert!(process.stop().await.unwrap().success(), "{tail}");
    }
}

#[tokio::test]
async fn both_daemons_start_with_their_samples() {
    let system = System::new();
    fs::write(system.path("etc/basiq-exporter/users/one.yml"), "- targets: [some-user]\n").unwrap();
    let house = House::new(system.path("work"), 1.0).unwrap();
    let [basiq, exporter, alerter] = [(); 3].map(|()| free_address(0).unwrap());
    let flags = places(&house).sandbox(house.anchor).unwrap();
    let mut running = vec![house.start("basiq-sandbox", basiq, &flags).await.unwrap()];
    let url = format!("http://{basiq}");
    let basiq = ("https://au-api.basiq.io", url.as_str());
    let flag = system.configure("basiq-exporter", "exporter.yml", &[basiq]);
    running.push(house.start("basiq-exporter", exporter, &[flag]).await.unwrap());
    let watched = exporter.to_string();
    let flag =
        system.configure("basiq-alerter", "alerter.yml", &[basiq, ("127.0.0.1:9765", watched.as_str())]);
    running.push(house.start("basiq-alerter", alerter, &[flag]).await.unwrap());
    for address in [exporter, alerter] {
        let landing = house.read(&format!("http://{address}/")).await.unwrap();
        assert!(landing.contains("/metrics"), "{landing}");
    }
    stop(running).await;
}

/// A service that takes whatever is posted to it, and hands on what it was.
async fn heartbeat() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut part).await {
                text.extend_from_slice(&part[..read]);
                // The end of Alertmanager's JSON.
                if text.trim_ascii_end().ends_with(b"}") {
                    break;
                }
            }
            let _ = tell.send(String::from_utf8_lossy(&text).into_owned());
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    (address, told)
}

/// What a query of Prometheus answers: the first sample's value.
async fn asked(house: &House, prometheus: SocketAddr, query: &str) -> Option<f64> {
    let url = format!("http://{prometheus}/api/v1/query");
    let request = house.http().get(url).query(&[("query", query)]);
    let answer: serde_json::Value = request.send().await.ok()?.json().await.ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[tokio::test]
async fn wired_as_the_samples_say_a_real_failure_is_a_real_mail_and_a_ticket_in_request_tracker() {
    let Some(exim) = Exim::start().unwrap() else { return };
    let Some(tracker) = RequestTracker::start().await.unwrap() else { return };
    let system = System::new();
    fs::copy(tracker.token_file(), system.path("etc/basiq-alerter/rt-token")).unwrap();
    let house = House::new(system.path("work"), 1.0).unwrap();
    let [basiq, exporter, alerter] = [(); 3].map(|()| free_address(0).unwrap());

    let flags = places(&house).sandbox_playing(SCENARIO, house.anchor).unwrap();
    let mut running = vec![house.start("basiq-sandbox", basiq, &flags).await.unwrap()];
    let truth = Truth::read(&house, basiq).await.unwrap();
    let users: Vec<&str> = truth.user_ids().collect();
    let users = format!("- targets: [{}]\n", users.join(", "));
    fs::write(system.path("etc/basiq-exporter/users/users.yml"), users).unwrap();

    let (heart, mut beats) = heartbeat().await;
    let heart = format!("http://{heart}/basiq");
    let config = system
        .sample("alertmanager.yml", &[("https://heartbeat.example-money.example/basiq", heart.as_str())]);
    let Some(alertmanager) = Alertmanager::start(&house.work, &config).unwrap() else { return };
    let alerts = alertmanager.address.to_string();
    let (watched, acting) = (exporter.to_string(), alerter.to_string());
    let config = system.sample(
        "prometheus.yml",
        &[
            ("127.0.0.1:9765", watched.as_str()),
            ("127.0.0.1:9766", acting.as_str()),
            ("127.0.0.1:9093", alerts.as_str()),
        ],
    );
    let Some(prometheus) = Prometheus::with(&house.work, &config).unwrap() else { return };

    let url = format!("http://{basiq}");
    let basiq = ("https://au-api.basiq.io", url.as_str());
    let flag = system.configure("basiq-exporter", "exporter.yml", &[basiq]);
    running.push(house.start("basiq-exporter", exporter, &[flag]).await.unwrap());
    // What a team changes: its relay, its desk, its Alertmanager, and live.
    let relay = format!(
        "host: localhost\n      port: {}\n      ca_file: '{}'",
        exim.starttls,
        exim.certificate().display()
    );
    let flag = system.configure(
        "basiq-alerter",
        "alerter.yml",
        &[
            basiq,
            ("127.0.0.1:9765", watched.as_str()),
            ("dry-run\n", "live\n"),
            ("host: smtp.example-money.example", relay.as_str()),
            ("  # rt:\n  #   - {", "  rt:\n    - {"),
            ("https://rt.example-money.example", tracker.url.as_str()),
            ("desk: tickets}", "desk: tracker}"),
            ("# operators: {alertmanager", "operators: {alertmanager"),
            ("127.0.0.1:9093", alerts.as_str()),
        ],
    );
    running.push(house.start("basiq-alerter", alerter, &[flag]).await.unwrap());
    let logs = || running.iter().map(Process::tail).collect::<Vec<_>>().join("\n");

    let mail = exim.mail(Duration::from_secs(100)).await;
    let mail = mail.unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    for line in ["Envelope-to: jian.yang@example.test", "esmtpsa", "no-reply@example-money.example"] {
        assert!(mail.contains(line), "{line} is not in\n{mail}");
    }

    let begun = Instant::now();
    let ticket = loop {
        let found = tracker.get("ticket/1").await.filter(|ticket| ticket["Subject"].is_string());
        if let Some(ticket) = found {
            break ticket;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no ticket\n{}", logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let connection = truth.connection("jianYang").unwrap();
    let subject = ticket["Subject"].as_str().unwrap();
    assert!(subject.contains(connection), "{subject}");
    let reference = subject.trim_start_matches('[').split(']').next().unwrap();
    assert!(mail.contains(reference), "{reference}, of which the ticket speaks, is not in\n{mail}");
    let parts = tracker.get("ticket/1/attachments?fields=Content&orderby=id").await.unwrap();
    let body = parts["items"][0]["Content"].as_str().unwrap_or_default();
    for word in [truth.user_id("jianYang").unwrap(), truth.failed_jobs("jianYang")[0]] {
        assert!(body.contains(word), "{word} is not in\n{body}");
    }

    // Operators: Prometheus evaluates their rules, and Alertmanager takes them where the sample says.
    let beat = tokio::time::timeout(Duration::from_secs(150), beats.recv()).await;
    let beat = beat.expect("the watchdog never came").unwrap();
    assert!(beat.contains("BasiqWatchdog") && beat.contains("firing"), "{beat}");
    for (query, owed) in [
        ("min(up{job=~\"basiq-(exporter|alerter)\"})", 1.0),
        ("sum(basiq_connections_failing)", 1.0),
        ("sum(basiq_alerter_effects_total{action=\"file-ticket\", outcome=\"delivered\"})", 1.0),
    ] {
        let begun = Instant::now();
        while asked(&house, prometheus.address, query).await != Some(owed) {
            assert!(begun.elapsed() < Duration::from_secs(40), "{query} is not {owed}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    // Nobody else was written to, and nothing twice.
    let delivered = Path::new("mail/inbox/new");
    assert_eq!(fs::read_dir(exim.folder.path().join(delivered)).unwrap().count(), 1);
    let tickets = tracker.get("tickets?query=Queue%3D%27Basiq%27").await.unwrap();
    assert_eq!(tickets["total"], 1, "{tickets:#}");
    stop(running).await;
}
