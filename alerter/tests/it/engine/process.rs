//! One process of the alerter without its listeners: the engine, and what delivers, over a store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use basiq_alerter::{
    channels::{Channel, Desk, Operators, operators::Lasting},
    config::{Actions, Mode, Routes},
    demand::Report,
    engine::{Ears, Engine, Parts},
    evidence::Snapshot,
    metrics::Metrics,
    outbox::{Domains, Hands, Nudges, Outbox, Pace, Resolver, Share, Work},
    plan::{Limits, Settings},
    store::{EffectFilter, EffectState, Standing, Store, StoreError},
};
use daemon::{CancellationToken, Clock, Hand};
use prometheus::Registry;
use tokio::sync::{mpsc, oneshot, watch};

use super::Remembers;
use crate::{
    store::Place,
    world::{World, minutes},
};

/// One process of the alerter over the store of a place.
pub(crate) struct Process {
    pub(crate) store: Arc<dyn Store>,
    sharing: CancellationToken,
    share: Option<tokio::task::JoinHandle<()>>,
    reports: mpsc::Sender<Report>,
    evidence: watch::Sender<Arc<Snapshot>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), StoreError>>,
}

pub(super) async fn start(place: &Place, clock: &Clock, hands: &Arc<Remembers>) -> Process {
    start_with(place, clock, hands, hands.clone()).await
}

/// As [`start`], with this desk.
pub(crate) async fn start_with(
    place: &Place,
    clock: &Clock,
    hands: &Arc<Remembers>,
    desk: Arc<dyn Desk>,
) -> Process {
    let pace = Pace { concurrency: 8, rate: 100_000.0, burst: 100_000.0 };
    start_paced(place, clock, hands, desk, pace).await
}

pub(super) async fn start_paced(
    place: &Place,
    clock: &Clock,
    hands: &Arc<Remembers>,
    desk: Arc<dyn Desk>,
    pace: Pace,
) -> Process {
    let dynamic = place.open(clock.now()).await;
    let store = dynamic.clone();
    let live = Mode::Live;
    let actions = Actions { notify_user: live, refresh_connection: live, file_ticket: live };
    let (evidence, seen) = watch::channel(Arc::new(Snapshot::default()));
    let (stops, stopped) = watch::channel(Arc::default());
    let (signals, heard) = mpsc::channel(64);
    let (answers, people) = mpsc::channel(64);
    let (reports, reported) = mpsc::channel(4);
    let salt = dynamic.salt().await.unwrap();
    let (stands, mut standing) = watch::channel(Standing { leads: true, alive: 1 });
    let (nudges, domains) = (Nudges::default(), Domains::default());
    let work = Work {
        store: dynamic.clone(),
        evidence: seen.clone(),
        clock: clock.clone(),
        hands: Hands {
            channels: HashMap::from([("mail".to_owned(), hands.clone() as Arc<dyn Channel>)]),
            desks: HashMap::from([("desk".to_owned(), desk)]),
            operators: HashMap::from([("ops".to_owned(), hands.clone() as Arc<dyn Operators>)]),
            contacts: hands.clone(),
            refresher: hands.clone(),
            cases: hands.clone(),
        },
        actions,
        stops: stopped,
        limits: Limits::default(),
        pace,
        salt: salt.clone(),
        domains: domains.clone(),
        standing: standing.clone(),
    };
    let resolver = Resolver {
        contacts: hands.clone(),
        clock: clock.clone(),
        salt,
        needs_address: true,
        answers,
        slots: Resolver::slots(),
        domains: domains.clone(),
    };
    let (outbox, sharing) = (Outbox::new(work, signals), CancellationToken::new());
    let (outbox, heard, share) = if dynamic.replicas().is_some() {
        stands.send_replace(Standing::default());
        let share = Share {
            store: dynamic.clone(),
            clock: clock.clone(),
            outbox,
            signals: heard,
            stops: stops.clone(),
            standing: stands,
            nudges: nudges.clone(),
        };
        let over = sharing.clone();
        let share = tokio::spawn(async move { share.run(over).await.unwrap() });
        standing.wait_for(|standing| standing.leads).await.unwrap();
        (None, mpsc::channel(1).1, Some(share))
    } else {
        (Some(outbox), heard, None)
    };
    let engine = Engine::start(Parts {
        settings: Settings {
            salt: daemon::Secret::new("salt"),
            environment: "test".into(),
            // Many fail in the first evaluation that the rules ever have.
            limits: Limits { hold_new_rule: Some(1000), ..Limits::default() },
            actions,
            routes: Routes {
                user: Some("mail".into()),
                desk: Some("desk".into()),
                operators: vec!["ops".into()],
                ..Routes::default()
            },
        },
        store: dynamic,
        clock: clock.clone(),
        outbox,
        nudges,
        resolver,
        stops,
        metrics: Metrics::new(&Registry::new(), &actions).unwrap(),
        lasting: watch::channel(Lasting::default()).0,
        ears: Ears { reports: reported, evidence: seen, signals: heard, people },
    })
    .await
    .unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { engine.run(stop).await }
    });
    Process { store, sharing, share, reports, evidence, stop, task }
}

impl Process {
    /// Shows the world to it, as sources and evidence would, and waits until it is committed.
    pub(super) async fn shows(&self, world: &mut World) {
        let (snapshot, said) = world.shows();
        self.evidence.send_replace(snapshot);
        let (committed, answer) = oneshot::channel();
        let report = Report {
            source: "embedded".into(),
            at: world.now,
            firing: said.firing,
            ended: said.ended,
            state: Vec::new(),
            traceparent: daemon::traces::traceparent(&tracing::Span::current()),
            committed: Some(committed),
        };
        self.reports.send(report).await.unwrap();
        answer.await.unwrap();
    }

    pub(crate) async fn ends(self) {
        self.stops().await.unwrap();
    }

    /// Asks it to stop, and waits for what it says in the end.
    pub(super) async fn stops(self) -> Result<(), StoreError> {
        self.stop.cancel();
        let said = self.task.await.unwrap();
        self.sharing.cancel();
        if let Some(share) = self.share {
            share.await.unwrap();
        }
        said
    }

    /// Dies without a word, as by kill -9.
    pub(crate) async fn dies(self) {
        self.task.abort();
        let _ = self.task.await;
        if let Some(share) = self.share {
            share.abort();
            let _ = share.await;
        }
        // A dead process writes nothing more; here a commit that was under way still could.
        self.store.import(&[], &[]).await.unwrap();
    }

    pub(crate) async fn count(&self, state: EffectState) -> usize {
        let filter = EffectFilter { state: Some(state), limit: 1000, ..EffectFilter::default() };
        self.store.effects(&filter).await.unwrap().len()
    }
}

/// Waits (real time) until `check` holds.
pub(super) async fn until<F: AsyncFn() -> bool>(what: &str, check: F) {
    for _ in 0..6000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// The world, its clock, and one minute of both.
pub(crate) fn begin() -> (World, Clock, Hand) {
    let world = World::born_now();
    let (clock, hand) = Clock::manual(world.now);
    (world, clock, hand)
}

pub(crate) async fn pass(process: &Process, world: &mut World, hand: &Hand, minutes_to_pass: i64) {
    for _ in 0..minutes_to_pass {
        world.now += minutes(1);
        hand.set(world.now);
        process.shows(world).await;
    }
}
