//! The daemon: everything wired together, from settings to listener.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use basiq::{Client, ClientConfig, ErrorKind, KeySource, Quota};
use daemon::{Context, Fatal, Secret};
use tokio::{net::TcpListener, sync::mpsc};
use web::{Limits, Link, Ready, StandardPages, WebConfig};

use crate::{
    api,
    config::Config,
    core::{Core, Message},
    discovery::Reporter,
    ledger::{Id, Ledger, Ms, Settings},
    metrics::{Metrics, Own},
    store::{self, Notes, Store, StoreError},
};

/// Messages that wait for the core at most; whoever sends more waits.
const WAITING: usize = 1024;
/// What anybody may ask of the public listener.
const PUBLIC: Limits = Limits {
    connections: 64,
    headers: Duration::from_secs(5),
    idle: Duration::from_secs(75),
    header_bytes: 16 * 1024,
    request: Duration::from_secs(30),
    body_bytes: 64 * 1024,
    drain: Duration::from_secs(5),
};
/// How often, and how long apart, Basiq is tried at the start.
const FIRST_TRIES: (u32, Duration) = (3, Duration::from_secs(1));

/// What the exporter is started with.
#[derive(Debug)]
pub struct Exporter {
    /// The configuration file.
    pub config: Config,
    /// The API key, if the configuration names no file with it.
    pub api_key: Option<Secret>,
    /// Where it listens.
    pub listener: TcpListener,
    /// Where Basiq's webhooks come in; nothing else is served there.
    pub public: Option<TcpListener>,
    /// The file of `--web.config.file`.
    pub web_config_file: Option<PathBuf>,
}

/// Runs the exporter until it is stopped.
///
/// # Errors
/// Wrong settings; a key that Basiq does not know, or a Basiq that is not there, at the start; a ledger's file
/// that cannot be used.
pub async fn run(exporter: Exporter, context: Context) -> Result<(), Fatal> {
    let Exporter { config, api_key, listener, public, web_config_file } = exporter;
    config.check()?;
    let web_config = WebConfig::load(web_config_file.as_deref())?;
    let address = listener.local_addr().map_err(Fatal::running)?;
    web_config.require_authentication(address, &["/metrics/connections", api::HINTS, api::USERS])?;
    web_config.follow(&context.reload);
    let metrics = Metrics::new().map_err(Fatal::running)?;
    let client = client(&config, api_key, &metrics, &context)?;
    if !first_contact(&client, &config, &context).await? {
        return Ok(());
    }
    let settings = Settings {
        expected_refresh: config
            .poll
            .expected_refresh
            .map(|period| Ms::try_from(period.0.as_millis()).unwrap_or(Ms::MAX / 4)),
        shown: config.metrics.connections,
    };
    let (store, ledger, notes) = open(&config, settings, &context).await?;
    client.resume(&notes.spent);
    let (sender, receiver) = mpsc::channel(WAITING);
    let router = web::standard_routes(StandardPages {
        name: "basiq-exporter",
        version: env!("CARGO_PKG_VERSION"),
        description: "Metrics of Basiq's jobs, connections and connectors.",
        links: vec![Link { path: "/metrics/connections", text: "connections that need attention" }],
        ready: Ready::always(),
        page: Arc::clone(&metrics.page),
        reload: context.reload.clone(),
    })
    .route("/metrics/connections", web::page_route(Arc::clone(&metrics.connections)))
    .merge(api::routes(sender.clone()));
    let mut tasks = Tasks::new();
    let public_router = tasks.start(&config, &client, &sender, &context, &metrics.own, &notes);
    let public = public_side(public, public_router)?;
    let core = Core::new(ledger, (store, notes), metrics, client, &config, context.clone());
    tracing::info!(address = %address, users = core.users(), "started");
    let serving = tokio::spawn(web::serve(listener, router, web_config, context.stop.clone()));
    let serving_public = public.map(|(listener, router)| {
        tokio::spawn(web::serve_with(listener, router, WebConfig::open(), PUBLIC, context.stop.clone()))
    });
    let result = core.run(receiver).await;
    context.stop.cancel();
    tasks.stop().await;
    let served = serving.await.map_err(Fatal::running)?;
    if let Some(serving) = serving_public {
        serving.await.map_err(Fatal::running)??;
    }
    result.and(served)
}

/// The public listener with what it serves: both or neither.
fn public_side(
    listener: Option<TcpListener>,
    router: Option<Router>,
) -> Result<Option<(TcpListener, Router)>, Fatal> {
    match (listener, router) {
        (Some(listener), Some(router)) => Ok(Some((listener, router))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Fatal::settings(
            "discovery.webhooks: nothing listens for them; give an address with --web.public-address",
        )),
        (Some(_), None) => Err(Fatal::settings(
            "--web.public-address: nothing would be served there; set discovery.webhooks or leave it out",
        )),
    }
}

/// The tasks that ask and find.
struct Tasks(tokio::task::JoinSet<()>);

impl Tasks {
    fn new() -> Self {
        Self(tokio::task::JoinSet::new())
    }

    /// Starts all; what the sources serve on the public listener.
    fn start(
        &mut self,
        config: &Config,
        client: &Client,
        core: &mpsc::Sender<Message>,
        context: &Context,
        own: &Own,
        notes: &Notes,
    ) -> Option<Router> {
        let Self(tasks) = self;
        let mut public: Option<Router> = None;
        for source in config.discovery.sources() {
            let name = source.name();
            let mark = notes.marks.get(&name).copied();
            let reporter =
                Reporter::new(name, core.clone(), client.clone(), context.clone(), own.clone(), mark);
            if let Some(router) = source.public(&reporter) {
                public = Some(public.unwrap_or_default().merge(router));
            }
            tasks.spawn(source.run(reporter));
        }
        tasks.spawn(crate::core::poll_connectors(
            client.clone(),
            config.poll.connectors.0,
            core.clone(),
            context.clone(),
        ));
        public
    }

    async fn stop(&mut self) {
        self.0.shutdown().await;
    }
}

fn client(
    config: &Config,
    api_key: Option<Secret>,
    metrics: &Metrics,
    context: &Context,
) -> Result<Client, Fatal> {
    let mut keys = match (&config.basiq.api_key_file, api_key) {
        (Some(path), _) => KeySource::file(path),
        (None, Some(key)) => KeySource::value(key),
        (None, None) => {
            return Err(Fatal::settings(
                "no API key: name a file with basiq.api_key_file, or set the environment variable BASIQ_API_KEY",
            ));
        }
    };
    if let Some(next) = &config.basiq.next_api_key_file {
        keys = keys.with_next_file(next);
    }
    let quota = config.basiq.quota;
    let mut settings = ClientConfig::new(keys);
    settings.base_url.clone_from(&config.basiq.url);
    settings.quota = Quota {
        per_second: quota.per_second,
        burst: quota.burst,
        per_day: quota.per_day,
        // Slow answers hold no place of the quick ones; see `core`.
        concurrency: quota.concurrency.saturating_mul(crate::core::SLOW),
    };
    settings.clock = context.clock.clone();
    settings.observer = Arc::new(metrics.own.clone());
    settings.user_agent = format!("basiq-exporter/{}", env!("CARGO_PKG_VERSION"));
    Client::new(settings).map_err(|error| Fatal::Settings(format!("basiq.url: {error}")))
}

/// At the start a key that Basiq does not know is a wrong setting, and a Basiq that is not there most likely a
/// wrong address; later both are states that `basiq_up` shows. Whether to go on: `false` if stopped meanwhile.
async fn first_contact(client: &Client, config: &Config, context: &Context) -> Result<bool, Fatal> {
    let (tries, pause) = FIRST_TRIES;
    let mut tried = 0;
    loop {
        let answer = tokio::select! {
            () = context.stop.cancelled() => return Ok(false),
            answer = client.check_key() => answer,
        };
        let Err(error) = answer else { return Ok(true) };
        tried += 1;
        match &error.kind {
            ErrorKind::KeyRefused => {
                return Err(Fatal::Running(format!("{error}; see basiq.api_key_file and basiq.url")));
            }
            ErrorKind::KeyUnreadable(_) => {
                return Err(Fatal::Settings(format!("basiq.api_key_file: {error}")));
            }
            // It is there, and wants to be asked later.
            ErrorKind::Throttled { .. } | ErrorKind::QuotaExhausted { .. } => return Ok(true),
            _ if tried == tries => {
                return Err(Fatal::Running(format!(
                    "{error}; check that {} is right and can be reached from here (basiq.url)",
                    config.basiq.url
                )));
            }
            _ => tracing::warn!(%error, "Basiq does not answer yet"),
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn open(
    config: &Config,
    settings: Settings,
    context: &Context,
) -> Result<(Store, Ledger, Notes), Fatal> {
    let path = &config.store.path;
    let now = context.clock.now().as_millisecond();
    match Store::open(path, settings.clone(), now).await {
        Ok(opened) => Ok(opened),
        Err(StoreError::Damaged { reason, .. }) => {
            let aside = store::move_aside(path, now).map_err(|error| {
                Fatal::Running(format!("{}: damaged, and cannot be moved: {error}", path.display()))
            })?;
            tracing::error!(
                reason,
                moved_to = %aside.display(),
                "the ledger is damaged; it is rebuilt from Basiq, and counters begin anew"
            );
            Store::open(path, settings, now).await.map_err(Fatal::running)
        }
        Err(StoreError::InUse(path)) => Err(Fatal::running(StoreError::InUse(path))),
        Err(error) => Err(Fatal::running(error)),
    }
}

/// Forgets a user in the ledger's file, while no exporter runs on it.
///
/// # Errors
/// The id is none; the file is in use or cannot be written.
pub async fn forget(config: &Config, user: &str, context: &Context) -> Result<(), Fatal> {
    let user = Id::parse(user).ok_or_else(|| Fatal::settings("forget: that is not an id of Basiq"))?;
    let now = context.clock.now().as_millisecond();
    let opened = Store::open(&config.store.path, Settings::default(), now).await;
    let (mut store, mut ledger, _) = opened.map_err(|error| match error {
        StoreError::InUse(path) => Fatal::Running(format!(
            "{}: an exporter runs on it; ask that one: DELETE {}/<user id>",
            path.display(),
            api::USERS
        )),
        other => Fatal::running(other),
    })?;
    ledger.forget(&user, now);
    store.commit(&store::Batch::take(&mut ledger)).await.map_err(Fatal::running)?;
    store.close().await;
    Ok(())
}

/// Has Basiq send what the configured sources listen for, and keeps the secrets that it shows once.
///
/// # Errors
/// No source listens; Basiq refuses; a secret cannot be written; there is one already and it is not to be replaced.
pub async fn subscribe(
    config: &Config,
    api_key: Option<Secret>,
    replace: bool,
    context: &Context,
) -> Result<(), Fatal> {
    let metrics = Metrics::new().map_err(Fatal::running)?;
    let client = client(config, api_key, &metrics, context)?;
    let mut any = false;
    for source in config.discovery.sources() {
        any |= source.subscribe(&client, replace).await.map_err(Fatal::Running)?;
    }
    if any {
        Ok(())
    } else {
        Err(Fatal::settings(
            "subscribe: nothing listens; configure discovery.webhooks with url and secret_file",
        ))
    }
}

/// Where the exporter listens unless it is told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9765";
