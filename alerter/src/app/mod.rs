//! The whole alerter, put together.
//!
//! `build` makes what the configuration names, `leader` is what only one of several replicas does, and here everything is
//! wired and runs until it is asked to stop.

mod build;
mod leader;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::{CancellationToken, Context, Fatal};
use exposition::Page;
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};

use self::build::{Built, build, greet};
pub(crate) use self::build::{data, plugins};
use crate::{
    channels::{
        message::TEMPLATES,
        operators::{self, Lasting},
    },
    config::Config,
    digest,
    engine::{Ears, Parts as EngineParts},
    evidence::Snapshot,
    metrics::Metrics,
    outbox::{Domains, Nudges, Outbox, Resolver, Share, Work},
    page::{self, Access, PageState},
    plan::Settings,
    rounds::Rounds,
    sources::{self, Measures, Sources, Wiring},
    store::{Standing, Store},
};

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
    for (channel, action) in hands.names() {
        metrics.serves(channel, action);
    }
    let measures = Measures::new(&registry).map_err(Fatal::running)?;
    let (evidence_sender, evidence) = watch::channel(Arc::new(Snapshot::default()));
    let (stops, stopped) = watch::channel(Arc::default());
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
        stops: stopped,
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
            stops: stops.clone(),
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
        stops,
        metrics,
        lasting: lasting_sender,
        ears: Ears { reports, evidence, signals, people },
    };
    // What listens and reports ends first; the engine then lets what is in hand end.
    let limits = web::Limits { body_bytes: sources::MAX_BODY, ..web::Limits::default() };
    let serving = web::serve_with(run.listener, router, run.web, limits, stop.clone());
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
    let digesting = tokio::spawn(leader::once_leading(standing.clone(), stop.clone(), digesting.run()));
    let rounds = tokio::spawn(leader::once_leading(standing.clone(), stop.clone(), rounds.run()));
    let repeating = tokio::spawn(operators::repeat(repeated, lasting, clock.clone(), stop.clone()));
    let planning = tokio::spawn({
        // An engine that ends, even by a fault of this program, takes the daemon with it: a page without anybody
        // who plans would look healthy.
        let (stop, guard) = (stop.clone(), stop.clone().drop_guard());
        async move {
            let _guard = guard;
            leader::plan(parts, standing, names, state_sender, stop).await
        }
    });
    let tidying = tokio::spawn(leader::tidy(tidied, stop.clone()));
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
