//! The whole alerter, put together.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::{Context, Fatal, Secret};
use exposition::Page;
use prometheus::Registry;
use tokio::{net::TcpListener, sync::mpsc, sync::watch};

use crate::{
    channels::{
        Named, Parts, SettingsError,
        message::{Renderer, TEMPLATES},
        refresh::AtBasiq,
    },
    config::{BasiqConfig, Config, Routes},
    engine::{Ears, Engine, Parts as EngineParts},
    evidence::Snapshot,
    metrics::Metrics,
    outbox::{Hands, Outbox, Resolver, Work},
    page::{self, PageState},
    plan::Settings,
    sources::{Measures, Sources, Wiring},
    store::{Sqlite, Store},
};

/// How long, in real time, Basiq may take to say at the start whether it knows the key.
const GREETING: Duration = Duration::from_secs(5);

/// What a run needs beside its configuration.
pub struct Run {
    /// The configuration file, to whose folder paths in it are relative.
    pub file: Option<PathBuf>,
    /// Where metrics and the page are served.
    pub listener: TcpListener,
    /// TLS and authentication of that listener.
    pub web: web::WebConfig,
}

/// Runs the alerter until it is asked to stop.
///
/// # Errors
/// A setting that cannot work, or a failure that it cannot go on from.
pub async fn run(config: Config, run: Run, context: Context) -> Result<(), Fatal> {
    let Context { clock, stop, reload } = context;
    let file = run.file.as_deref();
    let address = run.listener.local_addr().map_err(Fatal::running)?;
    run.web.require_authentication(address, &page::PRIVATE)?;

    let store = open_store(&config, file, &clock).await?;
    let Built { hands, routes, renderer, client } = build(&config, file, &clock, store.data)?;
    greet(&client).await?;
    let store: Arc<dyn Store> = store.store;
    let salt = store.salt().await.map_err(Fatal::running)?;
    let mut sources = Sources::load(&config.sources, &config.exporters, file, &TEMPLATES)?;
    let mut kept = HashMap::new();
    for name in sources.names() {
        let rows = store.state(&name).await.map_err(Fatal::running)?;
        let rows = rows.into_iter().filter_map(|row| Some((row.key, row.body?))).collect();
        kept.insert(name, rows);
    }

    let registry = Registry::new();
    let metrics = Metrics::new(&registry, &config.actions).map_err(Fatal::running)?;
    let measures = Measures::new(&registry).map_err(Fatal::running)?;
    let (evidence_sender, evidence) = watch::channel(Arc::new(Snapshot::default()));
    let (pauses, paused) = watch::channel(Arc::default());
    let (signal_sender, signals) = mpsc::channel(1024);
    let (people_sender, people) = mpsc::channel(256);
    let (report_sender, reports) = mpsc::channel(16);
    let needs_address = routes
        .user
        .as_ref()
        .and_then(|name| hands.channels.get(name))
        .is_none_or(|channel| channel.needs_address());
    let resolver = Resolver {
        contacts: hands.contacts.clone(),
        clock: clock.clone(),
        salt: salt.clone(),
        needs_address,
        answers: people_sender,
        slots: Resolver::slots(),
    };
    let work = Work {
        store: store.clone(),
        evidence: evidence.clone(),
        clock: clock.clone(),
        hands,
        actions: config.actions,
        pauses: paused,
        limits: config.limits.clone(),
        pace: config.outbox.clone(),
        salt,
    };
    let engine = Engine::start(EngineParts {
        settings: Settings {
            environment: config.environment.clone(),
            limits: config.limits.clone(),
            actions: config.actions,
            routes,
        },
        store: store.clone(),
        clock: clock.clone(),
        outbox: Outbox::new(work, signal_sender),
        resolver,
        pauses,
        metrics,
        ears: Ears { reports, evidence: evidence.clone(), signals, people },
    })
    .await
    .map_err(Fatal::running)?;

    let state = PageState {
        commands: Arc::new(page::ToStore(store.clone())),
        store,
        renderer,
        clock: clock.clone(),
        environment: config.environment.as_str().into(),
        actions: config.actions,
    };
    let router = router(&mut sources, state, registry, evidence, &reload);
    let wiring = Wiring {
        clock,
        stop: stop.clone(),
        reload,
        reports: report_sender,
        state: kept,
        evidence: evidence_sender,
        measures,
    };
    // What listens and reports ends first; the engine then lets what is in hand end.
    let serving = web::serve(run.listener, router, run.web, stop.clone());
    let planning = tokio::spawn({
        // An engine that ends, even by a fault of this program, takes the daemon with it: a page without anybody
        // who plans would look healthy.
        let (stop, guard) = (stop.clone(), stop.clone().drop_guard());
        async move {
            let _guard = guard;
            engine.run(stop).await
        }
    });
    let (served, ()) = tokio::join!(
        async {
            let served = serving.await;
            stop.cancel();
            served
        },
        sources.run(wiring)
    );
    stop.cancel();
    let planned = planning.await.map_err(Fatal::running)?;
    served?;
    planned.map_err(Fatal::running)
}

fn router(
    sources: &mut Sources,
    state: PageState,
    registry: Registry,
    evidence: watch::Receiver<Arc<Snapshot>>,
    reload: &daemon::Reload,
) -> axum::Router {
    let metrics = Arc::new(Page::new().with_registry(registry));
    let ready = web::Ready::new(move || match evidence.borrow().as_of {
        Some(_) => Ok(()),
        None => Err("no exporter has answered yet".to_owned()),
    });
    let standard = web::standard_routes(web::StandardPages {
        name: "basiq-alerter",
        version: env!("CARGO_PKG_VERSION"),
        description: "Acts on alert rules about Basiq connections: messages, refreshes, tickets.",
        links: page::LINKS.iter().map(|&(path, text, _)| web::Link { path, text }).collect(),
        ready,
        page: metrics,
        reload: reload.clone(),
    });
    let own = standard.merge(page::router(state));
    match sources.router() {
        Some(router) => own.merge(router),
        None => own,
    }
}

/// Reads all that the configuration names, without running anything.
///
/// # Errors
/// A setting that cannot work.
pub fn check(config: &Config, file: Option<&Path>, clock: &daemon::Clock) -> Result<(), Fatal> {
    build(config, file, clock, PathBuf::new())?;
    Sources::load(&config.sources, &config.exporters, file, &TEMPLATES)?;
    Ok(())
}

struct Opened {
    store: Arc<dyn Store>,
    /// The folder beside it, for what has no folder of its own.
    data: PathBuf,
}

/// The store of the configuration. The tools open it beside a running daemon.
///
/// # Errors
/// It cannot be opened.
pub async fn store(
    config: &Config,
    file: Option<&Path>,
    clock: &daemon::Clock,
) -> Result<Arc<dyn Store>, Fatal> {
    Ok(open_store(config, file, clock).await?.store)
}

async fn open_store(config: &Config, file: Option<&Path>, clock: &daemon::Clock) -> Result<Opened, Fatal> {
    let path = daemon::config::relative_to(file, &config.store.sqlite.path);
    let store = Sqlite::open(&path, clock.now()).await.map_err(|error| {
        Fatal::settings(format!(
            "store.sqlite.path: {}: {error}; name a file in a folder that exists and can be written",
            path.display()
        ))
    })?;
    let data = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Opened { store: Arc::new(store), data })
}

struct Built {
    hands: Hands,
    routes: Routes,
    renderer: Arc<Renderer>,
    client: basiq::Client,
}

fn build(config: &Config, file: Option<&Path>, clock: &daemon::Clock, data: PathBuf) -> Result<Built, Fatal> {
    let settings = |error: SettingsError| Fatal::settings(error);
    let templates = config.templates.as_ref().map(|path| daemon::config::relative_to(file, path));
    let renderer = Arc::new(Renderer::new(config.sender.clone(), templates.as_deref()).map_err(settings)?);
    let parts = Parts {
        data,
        clock: clock.clone(),
        renderer: renderer.clone(),
        environment: config.environment.as_str().into(),
    };
    let channels = config.channels.clone().build(&parts).map_err(settings)?;
    let desks = config.desks.clone().build(&parts).map_err(settings)?;
    let operators = config.operators.clone().build(&parts).map_err(settings)?;
    let routes = Routes {
        user: Some(one("routes.user", "channels", config.routes.user.as_deref(), &channels)?),
        desk: Some(one("routes.desk", "desks", config.routes.desk.as_deref(), &desks)?),
        operators: match config.routes.operators.as_slice() {
            [] => operators.iter().map(|(name, _)| name.to_string()).collect(),
            named => {
                for name in named {
                    operators.require("routes.operators", name).map_err(settings)?;
                }
                named.to_vec()
            }
        },
    };
    let client = basiq_client(&config.basiq, file, clock)?;
    let exporters: Vec<String> = config.exporters.iter().map(|exporter| exporter.url.clone()).collect();
    let at_basiq = Arc::new(
        AtBasiq::new(client.clone(), clock.clone(), &exporters, config.refresh.clone()).map_err(settings)?,
    );
    let hands = Hands {
        channels: by_name(&channels),
        desks: by_name(&desks),
        operators: by_name(&operators),
        contacts: config.contacts.clone().build(&client).map_err(settings)?,
        refresher: at_basiq.clone(),
        cases: at_basiq,
    };
    Ok(Built { hands, routes, renderer, client })
}

/// The route that is named, or the only one there is.
fn one<T: ?Sized>(route: &str, section: &str, name: Option<&str>, named: &Named<T>) -> Result<String, Fatal> {
    let mut names = named.iter().map(|(name, _)| name.to_string());
    match (name, names.next(), names.next()) {
        (Some(name), ..) => {
            named.require(route, name).map_err(Fatal::settings)?;
            Ok(name.to_owned())
        }
        (None, Some(only), None) => Ok(only),
        _ => Err(Fatal::settings(format!("{route}: {section} has several entries; name the one to use"))),
    }
}

fn by_name<T: ?Sized>(named: &Named<T>) -> HashMap<String, Arc<T>> {
    named.iter().map(|(name, made)| (name.to_string(), made.clone())).collect()
}

/// Finds out at the start whether Basiq knows the key. A Basiq that does not answer keeps nobody from
/// starting: what is due and needs it waits, and the rest is delivered.
async fn greet(client: &basiq::Client) -> Result<(), Fatal> {
    match tokio::time::timeout(GREETING, client.check_key()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => match &error.kind {
            basiq::ErrorKind::KeyRefused => {
                return Err(Fatal::running(format!("{error}; see basiq.api_key_file and basiq.url")));
            }
            basiq::ErrorKind::KeyUnreadable(_) => {
                return Err(Fatal::settings(format!("basiq.api_key_file: {error}")));
            }
            _ => tracing::warn!(%error, "Basiq does not answer; what needs it waits"),
        },
        Err(_) => tracing::warn!("Basiq does not answer in time; what needs it waits"),
    }
    Ok(())
}

fn basiq_client(
    config: &BasiqConfig,
    file: Option<&Path>,
    clock: &daemon::Clock,
) -> Result<basiq::Client, Fatal> {
    let keys = match &config.api_key_file {
        Some(path) => {
            let path = daemon::config::relative_to(file, path);
            daemon::config::secret_from("basiq.api_key_file", &path)?;
            basiq::KeySource::file(path)
        }
        None => match std::env::var("BASIQ_API_KEY") {
            Ok(key) if !key.trim().is_empty() => basiq::KeySource::value(Secret::new(key.trim())),
            _ => {
                return Err(Fatal::settings(
                    "basiq.api_key_file is not set and neither is BASIQ_API_KEY; give the API key of Basiq's dashboard",
                ));
            }
        },
    };
    let quota = basiq::Quota {
        per_second: config.requests_per_second,
        per_day: config.requests_per_day,
        ..basiq::Quota::default()
    };
    basiq::Client::new(basiq::ClientConfig {
        base_url: config.url.clone(),
        quota: quota.share(0.2),
        clock: clock.clone(),
        user_agent: concat!("basiq-alerter/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..basiq::ClientConfig::new(keys)
    })
    .map_err(|error| Fatal::settings(format!("basiq: {error}")))
}
