//! The whole alerter, put together.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::{CancellationToken, Context, Fatal, Secret};
use exposition::Page;
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    channels::{
        Channel, Desk, Named, Operators, Parts, SettingsError,
        message::{Renderer, TEMPLATES},
        operators::{self, Lasting},
        refresh::AtBasiq,
    },
    config::{BasiqConfig, Config, Routes},
    demand::StateRow,
    digest,
    engine::{Ears, Engine, Parts as EngineParts},
    evidence::{self, Snapshot},
    metrics::Metrics,
    outbox::{Domains, Hands, Nudges, Outbox, Resolver, Share, Work},
    page::{self, Access, PageState},
    plan::Settings,
    rounds::Rounds,
    sources::{Measures, Sources, Wiring},
    store::{Standing, Store, StoreError},
};

/// How long, in real time, Basiq may take to say at the start whether it knows the key.
const GREETING: Duration = Duration::from_secs(5);
/// How often (real time) what is old is erased.
const TIDY: Duration = Duration::from_secs(3600);

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
    run.web.follow(&reload);

    let access = Access::new(config.page.clone())?;
    let store = config.store.chosen()?.open(file, clock.now()).await?;
    let Built { hands, routes, renderer, client } = build(&config, file, &clock, store.data)?;
    greet(&client).await?;
    let store: Arc<dyn Store> = store.store;
    let salt = store.salt().await.map_err(Fatal::running)?;
    let mut sources = Sources::load(&config.sources, &config.exporters, file, &TEMPLATES)?;
    let tidied = (store.clone(), clock.clone());
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, &config.actions).map_err(Fatal::running)?;
    for channel in hands.names() {
        metrics.serves(channel);
    }
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
    let (standing_sender, standing) = watch::channel(Standing::default());
    let (domains, nudges) = (Domains::default(), Nudges::default());
    let contacts = hands.contacts.clone();
    let resolver = Resolver {
        contacts: hands.contacts.clone(),
        clock: clock.clone(),
        salt: salt.clone(),
        needs_address,
        answers: people_sender,
        slots: Resolver::slots(),
        domains: domains.clone(),
    };
    let rounds = Rounds {
        store: store.clone(),
        desks: hands.desks.clone(),
        users: client,
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let digest_channel = config.digest.channel.as_ref().and_then(|name| hands.operators.get(name)).cloned();
    let (digest_store, digest_reports) = (store.clone(), report_sender.clone());
    let (lasting_sender, lasting) = watch::channel(Lasting::default());
    let repeated: Vec<_> = routes
        .operators
        .iter()
        .filter_map(|name| Some((name.clone(), hands.operators.get(name)?.clone())))
        .collect();
    let work = Work {
        store: store.clone(),
        evidence: evidence.clone(),
        clock: clock.clone(),
        hands,
        actions: config.actions,
        pauses: paused,
        limits: config.limits.clone(),
        pace: config.outbox.clone(),
        salt: salt.clone(),
        domains,
        standing: standing.clone(),
    };
    let outbox = Outbox::new(work, signal_sender);
    let names = sources.names();
    let (state_sender, state) = oneshot::channel();
    let page = PageState {
        commands: Arc::new(page::ToStore(store.clone())),
        store: store.clone(),
        contacts,
        evidence: evidence.clone(),
        access,
        renderer,
        clock: clock.clone(),
        environment: config.environment.as_str().into(),
        actions: config.actions,
    };
    let own = Page::new().with_registry(registry.clone());
    let router = router(&mut sources, page, registry, evidence.clone(), &reload);
    let wiring = Wiring {
        clock: clock.clone(),
        stop: stop.clone(),
        reload,
        reports: report_sender,
        state,
        evidence: evidence_sender,
        measures,
        own,
    };
    // A store of its own: this process plans, and its engine delivers. A shared one: it delivers beside others, and
    // plans once it has the lead.
    let sharing = CancellationToken::new();
    let (outbox, signals, share) = if store.replicas().is_some() {
        let share = Share {
            store: store.clone(),
            clock: clock.clone(),
            outbox,
            signals,
            pauses: pauses.clone(),
            standing: standing_sender,
            nudges: nudges.clone(),
        };
        let (guard, over) = (stop.clone().drop_guard(), sharing.clone());
        let share = tokio::spawn(async move {
            let _guard = guard;
            share.run(over).await
        });
        (None, mpsc::channel(1).1, Some(share))
    } else {
        standing_sender.send_replace(Standing { leads: true, alive: 1 });
        (Some(outbox), signals, None)
    };
    let parts = EngineParts {
        settings: Settings {
            environment: config.environment.clone(),
            limits: config.limits.clone(),
            actions: config.actions,
            routes,
            salt: salt.clone(),
        },
        store,
        clock: clock.clone(),
        outbox,
        nudges,
        resolver,
        pauses,
        metrics,
        lasting: lasting_sender,
        ears: Ears { reports, evidence, signals, people },
    };
    // What listens and reports ends first; the engine then lets what is in hand end.
    let serving = web::serve(run.listener, router, run.web, stop.clone());
    let digesting = digest::Task {
        settings: config.digest.clone(),
        utc_offset_hours: config.sender.utc_offset_hours,
        environment: config.environment.clone(),
        channel: digest_channel,
        store: digest_store,
        reports: digest_reports,
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let digesting = tokio::spawn({
        let (mut standing, stop) = (standing.clone(), stop.clone());
        async move {
            // Of several replicas the one that plans sends the digest.
            tokio::select! {
                () = stop.cancelled() => return,
                leads = standing.wait_for(|standing| standing.leads) => if leads.is_err() { return },
            }
            digesting.run().await;
        }
    });
    let rounds = tokio::spawn({
        let (mut standing, stop) = (standing.clone(), stop.clone());
        async move {
            // One replica is enough, and the one that plans is sure to be one.
            tokio::select! {
                () = stop.cancelled() => return,
                leads = standing.wait_for(|standing| standing.leads) => if leads.is_err() { return },
            }
            rounds.run().await;
        }
    });
    let repeating = tokio::spawn(operators::repeat(repeated, lasting, clock.clone(), stop.clone()));
    let planning = tokio::spawn({
        // An engine that ends, even by a fault of this program, takes the daemon with it: a page without anybody
        // who plans would look healthy.
        let (stop, guard) = (stop.clone(), stop.clone().drop_guard());
        async move {
            let _guard = guard;
            plan(parts, standing, names, state_sender, stop).await
        }
    });
    let tidying = tokio::spawn(tidy(tidied, stop.clone()));
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
    digesting.await.map_err(Fatal::running)?;
    repeating.await.map_err(Fatal::running)?;
    rounds.await.map_err(Fatal::running)?;
    tidying.abort();
    sharing.cancel();
    let shared = match share {
        Some(share) => share.await.map_err(Fatal::running)?,
        None => Ok(()),
    };
    served?;
    planned.map_err(Fatal::running)?;
    shared.map_err(Fatal::running)
}

/// What each source kept: keys and values, by the source's name.
type SourceStates = HashMap<Arc<str>, Vec<(String, Vec<u8>)>>;

/// Waits for the lead, and plans.
async fn plan(
    parts: EngineParts,
    mut standing: watch::Receiver<Standing>,
    sources: Vec<Arc<str>>,
    state: oneshot::Sender<SourceStates>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        leads = standing.wait_for(|standing| standing.leads) => if leads.is_err() { return Ok(()) },
    }
    let mut kept = HashMap::new();
    for name in sources {
        let rows = parts.store.state(&name).await?;
        kept.insert(
            name,
            rows.into_iter().map(StateRow::into_parts).filter_map(|(key, body)| Some((key, body?))).collect(),
        );
    }
    let engine = Engine::start(parts).await?;
    // Sources that are gone end the daemon.
    let _ = state.send(kept);
    engine.run(stop).await
}

/// Erases what is old, once an hour.
async fn tidy((store, clock): (Arc<dyn Store>, daemon::Clock), stop: CancellationToken) {
    loop {
        match store.tidy(clock.now()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old variables and rows were erased"),
            Err(error) => {
                tracing::error!(reason = %error, "old rows could not be erased; trying again in an hour")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TIDY) => {}
        }
    }
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
    Access::new(config.page.clone())?;
    Sources::load(&config.sources, &config.exporters, file, &TEMPLATES)?;
    Ok(())
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
    Ok(config.store.chosen()?.open(file, clock.now()).await?.store)
}

struct Built {
    hands: Hands,
    routes: Routes,
    renderer: Arc<Renderer>,
    client: basiq::Client,
}

/// What channels, desks and operators' channels the configuration has.
pub(crate) struct Plugins {
    pub(crate) channels: Named<dyn Channel>,
    pub(crate) desks: Named<dyn Desk>,
    pub(crate) operators: Named<dyn Operators>,
    pub(crate) renderer: Arc<Renderer>,
    pub(crate) parts: Parts,
}

/// The folder beside the store.
pub(crate) fn data(config: &Config, file: Option<&Path>) -> PathBuf {
    let named = config.store.sqlite.as_ref().map(|sqlite| sqlite.path.clone());
    let path = daemon::config::relative_to(file, &named.unwrap_or_else(|| "alerter.db".into()));
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// Makes them.
///
/// # Errors
/// A setting that cannot work.
pub(crate) fn plugins(
    config: &Config,
    file: Option<&Path>,
    clock: &daemon::Clock,
    data: PathBuf,
) -> Result<Plugins, Fatal> {
    let settings = |error: SettingsError| Fatal::settings(error);
    let templates = config.templates.as_ref().map(|path| daemon::config::relative_to(file, path));
    let renderer = Arc::new(Renderer::new(config.sender.clone(), templates.as_deref()).map_err(settings)?);
    let parts = Parts {
        file: file.map(Path::to_owned),
        data,
        clock: clock.clone(),
        renderer: renderer.clone(),
        environment: config.environment.as_str().into(),
    };
    let mut channels = config.channels.clone().build(&parts).map_err(settings)?;
    channels.wrap(|channel| config.recipients.guard(&config.environment, channel)).map_err(settings)?;
    let desks = config.desks.clone().build(&parts).map_err(settings)?;
    let operators = config.operators.clone().build(&parts).map_err(settings)?;
    Ok(Plugins { channels, desks, operators, renderer, parts })
}

fn build(config: &Config, file: Option<&Path>, clock: &daemon::Clock, data: PathBuf) -> Result<Built, Fatal> {
    let settings = |error: SettingsError| Fatal::settings(error);
    let Plugins { channels, desks, operators, renderer, parts } = plugins(config, file, clock, data)?;
    if let Some(channel) = &config.digest.channel {
        operators.require("digest.channel", channel).map_err(settings)?;
    }
    config.digest.check()?;
    let daily = desks.iter().filter_map(|(name, desk)| Some((name.to_string(), desk.daily()?))).collect();
    let routes = Routes {
        daily,
        user: Some(one("routes.user", "channels", config.routes.user.as_deref(), &channels)?),
        desk: Some(one("routes.desk", "desks", config.routes.desk.as_deref(), &desks)?),
        desks: config.routes.desks.clone(),
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
    for route in &routes.desks {
        desks.require("routes.desks", &route.desk).map_err(settings)?;
    }
    let client = basiq_client(&config.basiq, file, clock)?;
    let hints = evidence::hints(&config.exporters, file)?;
    let at_basiq = Arc::new(
        AtBasiq::new(client.clone(), clock.clone(), hints, config.refresh.clone()).map_err(settings)?,
    );
    let hands = Hands {
        channels: by_name(&channels),
        desks: by_name(&desks),
        operators: by_name(&operators),
        contacts: config.contacts.clone().build(&client, &parts).map_err(settings)?,
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
