//! A sandbox, an exporter that watches it, and what its pages say.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use basiq_exporter::{Config, Exporter};
use basiq_sandbox::{Handle, Sandbox, SandboxConfig, Scenario};
use daemon::{Clock, Context, Fatal, Hand, Secret, Timestamp};
use tokio::{net::TcpListener, task::JoinHandle};

/// A sandbox and a folder, on one clock that is moved by hand.
pub(crate) struct World {
    pub(crate) clock: Clock,
    hand: Hand,
    pub(crate) sandbox: Handle,
    pub(crate) folder: tempfile::TempDir,
}

/// A running exporter.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    context: Context,
    task: JoinHandle<Result<(), Fatal>>,
}

/// Samples by name and labels.
pub(crate) type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

impl World {
    pub(crate) async fn new(scenario: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_795_348_800).unwrap());
        let sandbox = Sandbox::start(SandboxConfig {
            clock: clock.clone(),
            scenario: Scenario::from_yaml(scenario).unwrap(),
            ..SandboxConfig::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = Self { clock, hand, sandbox, folder };
        world.write_users(&world.sandbox.user_ids());
        world
    }

    pub(crate) fn write_users(&self, ids: &[String]) {
        let groups = serde_json::json!([{ "targets": ids, "labels": { "external_id": "7" } }]);
        std::fs::write(self.path("users.yml"), groups.to_string()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        let folder = self.folder.path().display();
        let text = format!(
            "basiq: {{url: '{}', quota: {{per_second: 50, burst: 10000}}}}\n\
             discovery: {{file: [{{paths: ['{folder}/users.yml']}}]}}\n\
             store: {{path: '{folder}/ledger.db'}}\n\
             poll: {{pass: 2m, connections: 10m}}\n",
            self.sandbox.base_url()
        );
        daemon::config::decode("test", &text).unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.config()).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> Running {
        let (running, _) = self.start_unchecked(config, &self.sandbox.api_key).await;
        running.until_warm().await;
        running
    }

    /// The settings with other sources of users (YAML) and the pace that is the default.
    pub(crate) fn config_with(&self, discovery: &str) -> Config {
        let mut config = self.config();
        config.discovery = daemon::config::decode("test", discovery).unwrap();
        config.poll = basiq_exporter::config::Poll::default();
        config
    }

    /// Lets seconds pass.
    pub(crate) fn tick(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }

    /// How often the sandbox was asked for this.
    pub(crate) fn requests(&self, route: &str) -> u64 {
        self.sandbox.truth().requests.get(route).map_or(0, |count| count.requests)
    }

    /// A client of the sandbox's own.
    pub(crate) fn client(&self) -> basiq::Client {
        let keys = basiq::KeySource::value(Secret::new(&self.sandbox.api_key));
        let mut config = basiq::ClientConfig::new(keys);
        config.base_url = self.sandbox.base_url();
        config.clock = self.clock.clone();
        basiq::Client::new(config).unwrap()
    }

    pub(crate) async fn start_unchecked(&self, config: Config, key: &str) -> (Running, SocketAddr) {
        self.start_public(config, key, None).await
    }

    pub(crate) async fn start_public(
        &self,
        config: Config,
        key: &str,
        public: Option<TcpListener>,
    ) -> (Running, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = Context::new(self.clock.clone());
        let exporter =
            Exporter { config, api_key: Some(Secret::new(key)), listener, public, web_config_file: None };
        let task = tokio::spawn(basiq_exporter::run(exporter, context.clone()));
        (Running { address, context, task }, address)
    }

    /// Lets time pass in steps of ten minutes; after each, waits until the exporter has looked at all that is due, as
    /// far as it can.
    pub(crate) async fn pass(&self, exporter: &Running, minutes: u64) {
        self.pass_in(exporter, minutes, 10).await;
    }

    /// The same in steps of so many minutes.
    pub(crate) async fn pass_in(&self, exporter: &Running, minutes: u64, step: u64) {
        for _ in 0..minutes.div_ceil(step) {
            self.hand.advance(Duration::from_secs(step * 60));
            let now = self.clock.now().as_millisecond() as f64 / 1000.0;
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let page = exporter.page("/metrics").await;
                let oldest = page
                    .lines()
                    .find_map(|line| line.strip_prefix("basiq_exporter_oldest_due_poll_timestamp_seconds "));
                if oldest.and_then(|value| value.parse::<f64>().ok()).is_some_and(|oldest| oldest >= now) {
                    break;
                }
            }
        }
    }

    /// Lets time pass while nobody looks.
    pub(crate) fn skip(&self, minutes: u64) {
        self.hand.advance(Duration::from_secs(minutes * 60));
    }
}

impl Running {
    /// Stops it as a signal would.
    pub(crate) async fn stop(self) -> Result<(), Fatal> {
        self.context.stop.cancel();
        self.task.await.unwrap()
    }

    /// What it ended with by itself.
    pub(crate) async fn ended(self) -> Result<(), Fatal> {
        self.task.await.unwrap()
    }

    /// Ends it without a chance to store anything.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.context.stop.cancel();
        // Its tasks end on their own.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        reqwest::get(format!("http://{}{path}", self.address)).await.unwrap().text().await.unwrap()
    }

    /// Both pages.
    pub(crate) async fn samples(&self) -> Samples {
        let mut all = Samples::new();
        for path in ["/metrics", "/metrics/connections"] {
            let text = self.page(path).await;
            for sample in parse(&text) {
                assert!(all.insert(sample.0.clone(), sample.1).is_none(), "{:?} is there twice", sample.0);
            }
        }
        all
    }

    pub(crate) async fn until_warm(&self) -> Samples {
        self.until("warm", |samples| one(samples, "basiq_exporter_warm") == Some(1.0)).await
    }

    pub(crate) async fn forget(&self, user: &str) -> u16 {
        let url = format!("http://{}{}/{user}", self.address, basiq_exporter::USERS);
        reqwest::Client::new().delete(url).send().await.unwrap().status().as_u16()
    }

    /// Waits up to a minute for the pages to say something.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Samples) -> bool) -> Samples {
        let begun = std::time::Instant::now();
        loop {
            // It may not listen yet.
            if tokio::net::TcpStream::connect(self.address).await.is_ok() && !self.task.is_finished() {
                let samples = self.samples().await;
                if holds(&samples) {
                    return samples;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "not {what}: {}", brief(&samples));
            }
            assert!(
                !self.task.is_finished() || begun.elapsed() < Duration::from_secs(60),
                "ended before {what}"
            );
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    pub(crate) async fn hint(&self, body: &str) -> u16 {
        let client = reqwest::Client::new();
        let request = client.post(format!("http://{}{}", self.address, basiq_exporter::HINTS));
        request.body(body.to_owned()).send().await.unwrap().status().as_u16()
    }
}

/// A sample's name and labels, and its value.
type Sample = ((String, BTreeMap<String, String>), f64);

fn parse(text: &str) -> Vec<Sample> {
    let limits = exposition::Limits::default();
    let samples = exposition::parse::parse(text.as_bytes(), exposition::Format::Text, &limits).unwrap();
    let owned = samples.iter().map(|sample| {
        let labels = sample.labels().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        ((sample.name.clone().into_owned(), labels), sample.value)
    });
    owned.collect()
}

/// The only sample of a family without labels.
pub(crate) fn one(samples: &Samples, name: &str) -> Option<f64> {
    samples.get(&(name.to_owned(), BTreeMap::new())).copied()
}

/// The sum over the samples of a family that have these labels.
pub(crate) fn sum(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |found: &BTreeMap<String, String>| {
        labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
    };
    samples.iter().filter(|((found, all), _)| found == name && has(all)).map(|(_, value)| value).sum()
}

/// The label of the only sample of a family that has these labels.
pub(crate) fn label(samples: &Samples, name: &str, labels: &[(&str, &str)], wanted: &str) -> Option<String> {
    let has = |found: &BTreeMap<String, String>| {
        labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
    };
    let mut found = samples.keys().filter(|(found, all)| found == name && has(all));
    let label = found.next()?.1.get(wanted).cloned();
    assert!(found.next().is_none(), "{name} {labels:?} is there twice");
    label
}

/// The samples that are not 0, one a line.
fn brief(samples: &Samples) -> String {
    let telling = |name: &str| !name.contains("bucket") && !name.starts_with("basiq_connector");
    let lines = samples.iter().filter(|((name, _), value)| **value != 0.0 && telling(name));
    lines.map(|((name, labels), value)| format!("\n{name}{labels:?} {value}")).collect()
}
