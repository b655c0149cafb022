//! Who watches: an exporter, through its page; and the naive poller.

use std::{net::SocketAddr, path::Path, time::Duration};

use basiq::{Client, ClientConfig, KeySource, NewSubscription, Priority, Quota};
use basiq_exporter::{Config, Exporter};
use basiq_sandbox::Handle;
use daemon::{Clock, Context, Fatal, Secret, Timestamp};
use futures_util::StreamExt as _;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Failure,
    wave::{Seen, Wave},
};

/// How often a page is read. Real time.
const READ_EVERY: Duration = Duration::from_millis(100);

/// A running exporter.
pub(crate) struct Watcher {
    pub(crate) address: SocketAddr,
    context: Context,
    task: JoinHandle<Result<(), Fatal>>,
}

impl Watcher {
    pub(crate) async fn start(
        config: Config,
        basiq: &Handle,
        clock: &Clock,
        public: Option<TcpListener>,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let context = Context::new(clock.clone());
        let api_key = Some(Secret::new(basiq.api_key.clone()));
        let exporter = Exporter { config, api_key, listener, public, web_config_file: None };
        let task = tokio::spawn(basiq_exporter::run(exporter, context.clone()));
        Ok(Self { address, context, task })
    }

    async fn page(&self, path: &str) -> Result<String, Failure> {
        Ok(reqwest::get(format!("http://{}{path}", self.address)).await?.text().await?)
    }

    pub(crate) async fn until_warm(&self) -> Result<(), Failure> {
        loop {
            if self.task.is_finished() {
                return Err("the exporter ended before it was warm; see its log".into());
            }
            if let Ok(page) = self.page("/metrics").await
                && page.contains("\nbasiq_exporter_warm 1")
            {
                return Ok(());
            }
            tokio::time::sleep(READ_EVERY * 5).await;
        }
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.context.stop.cancel();
        Ok(self.task.await??)
    }

    /// Notes when each failure of the wave is first on the page, until all are or `cut`.
    pub(crate) async fn watch(&self, clock: &Clock, wave: &Wave, cut: Timestamp) -> Result<Seen, Failure> {
        let mut seen = Seen::new();
        while seen.len() < wave.len() && clock.now() < cut {
            tokio::time::sleep(READ_EVERY).await;
            let page = self.page("/metrics/connections").await?;
            let now = clock.now();
            let lines = page
                .lines()
                .filter(|line| line.starts_with("basiq_connection_failing_since_timestamp_seconds{"));
            for line in lines {
                let user = line.split_once("user_id=\"").and_then(|(_, rest)| rest.split_once('"'));
                if let Some((user, _)) = user
                    && !seen.contains_key(user)
                    && wave.has(user)
                {
                    seen.insert(user.to_owned(), now);
                }
            }
        }
        Ok(seen)
    }
}

/// All requests that the sandbox has had.
pub(crate) fn requests(basiq: &Handle) -> u64 {
    basiq.truth().requests.values().map(|route| route.requests).sum()
}

fn client(basiq: &Handle, clock: &Clock, quota: Quota) -> Result<Client, Failure> {
    let mut config = ClientConfig::new(KeySource::value(Secret::new(basiq.api_key.clone())));
    config.base_url = basiq.base_url();
    config.clock = clock.clone();
    config.quota = quota;
    Ok(Client::new(config)?)
}

/// Subscribes to what the exporter wants to hear: the listener, and its section of the settings.
pub(crate) async fn subscribe(
    basiq: &Handle,
    clock: &Clock,
    folder: &Path,
) -> Result<(TcpListener, String), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hooks", listener.local_addr()?);
    let events = [
        "user.created",
        "user.deleted",
        "connection.created",
        "connection.deleted",
        "connection.invalidated",
        "connection.activated",
        "consent.revoked",
    ];
    let new = NewSubscription {
        name: "detection".to_owned(),
        url: url.clone(),
        subscribed_events: events.map(str::to_owned).to_vec(),
        ..NewSubscription::default()
    };
    let made = client(basiq, clock, Quota::default())?.subscribe(&new, Priority::Effect).await?;
    let secret = folder.join("webhook-secret");
    std::fs::write(&secret, made.secret.ok_or("no secret")?.expose())?;
    let section = format!(", webhooks: [{{url: '{url}', secret_file: '{}'}}]", secret.display());
    Ok((listener, section))
}

/// Lists the jobs of every user in turn, as fast as the quota allows. What it saw, and what it asked.
pub(crate) async fn naive(
    basiq: &Handle,
    clock: &Clock,
    ids: &[String],
    wave: &Wave,
    quota: f64,
    cut: Timestamp,
) -> Result<(Seen, u64), Failure> {
    let quota =
        Quota { per_second: quota, burst: (quota * 2.0) as u32, per_day: u64::MAX / 200, concurrency: 64 };
    let client = client(basiq, clock, quota)?;
    let (begun, mut seen, mut asked) = (clock.now(), Seen::new(), 0);
    let looks = futures_util::stream::iter(ids.iter().cycle()).map(|user| {
        let client = client.clone();
        async move { (user, client.jobs(user, None, Priority::Routine).await) }
    });
    let mut looks = std::pin::pin!(looks.buffer_unordered(64));
    while let Some((user, jobs)) = looks.next().await {
        asked += 1;
        let now = clock.now();
        let failed = jobs.is_ok_and(|jobs| {
            jobs.iter().any(|job| {
                job.steps.iter().any(|step| step.status == basiq::StepStatus::Failed)
                    && job.created.is_some_and(|at| at >= begun)
            })
        });
        if failed && wave.has(user) {
            seen.entry(user.clone()).or_insert(now);
        }
        if seen.len() >= wave.len() || now >= cut {
            break;
        }
    }
    Ok((seen, asked))
}
