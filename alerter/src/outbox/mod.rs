//! Workers that do what was planned, once.
//!
//! Each channel, desk and operators' channel has a line of its own, so that one that is slow or broken
//! holds up no other. A line takes what is due, asks the evidence, marks it in the store as being
//! attempted, hands it over, and reports what became of it; the planner's next commit keeps that.
//!
//! Where several alerters share a store, each has lines of its own: [`Share`] claims for them what is due.

mod attempt;
mod circuit;
mod domains;
mod line;
mod people;
mod places;
mod policy;
mod queue;
mod rate;
mod share;
mod verify;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use daemon::{Clock, Secret, Timestamp};
pub use domains::Domains;
pub use people::{Resolver, person};
use places::{Places, Ticket};
pub use policy::{Told, after_unknown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use share::{Nudges, Share};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
pub use verify::{Verdict, verify};

use crate::{
    channels::{Channel, Contacts, Desk, Operators},
    config::Actions,
    demand::Action,
    evidence::Snapshot,
    plan::{Limits, Outcome, Stops},
    refresh::{CaseFacts, Refresher},
    store::{Effect, EffectState, Standing, Store},
};

/// How fast lines work.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Attempts at a time in one line.
    pub concurrency: usize,
    /// Attempts a second in one line, in real time.
    pub rate: f64,
    /// Attempts at once after a pause.
    pub burst: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { concurrency: 8, rate: 10.0, burst: 20.0 }
    }
}

/// Whom effects are handed to.
#[derive(Clone)]
pub struct Hands {
    /// Channels to users, by name.
    pub channels: HashMap<String, Arc<dyn Channel>>,
    /// Desks, by name.
    pub desks: HashMap<String, Arc<dyn Desk>>,
    /// Operators' channels, by name.
    pub operators: HashMap<String, Arc<dyn Operators>>,
    /// Who knows how to reach users.
    pub contacts: Arc<dyn Contacts>,
    /// Who refreshes connections.
    pub refresher: Arc<dyn Refresher>,
    /// Who knows the facts of failed jobs.
    pub cases: Arc<dyn CaseFacts>,
}

impl Hands {
    /// The names of all channels that effects may go through, with the action that goes there.
    pub fn names(&self) -> impl Iterator<Item = (&str, Action)> {
        let users = self.channels.keys().map(|name| (name.as_str(), Action::NotifyUser));
        let desks = self.desks.keys().map(|name| (name.as_str(), Action::FileTicket));
        let operators = self.operators.keys().map(|name| (name.as_str(), Action::NotifyOperator));
        users.chain(desks).chain(operators).chain([(crate::plan::BASIQ, Action::RefreshConnection)])
    }
}

/// What all lines share.
#[derive(Clone)]
pub struct Work {
    /// Marks what is attempted; knows who is suppressed.
    pub store: Arc<dyn Store>,
    /// The newest look at the exporters.
    pub evidence: watch::Receiver<Arc<Snapshot>>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Whom effects are handed to.
    pub hands: Hands,
    /// The switches.
    pub actions: Actions,
    /// What stops for now.
    pub stops: watch::Receiver<Arc<Stops>>,
    /// How old evidence may be.
    pub limits: Limits,
    /// How fast lines work.
    pub pace: Pace,
    /// What addresses are hashed with.
    pub salt: Secret,
    /// Which users share a mail domain.
    pub domains: Domains,
    /// Among how many replicas the rates are shared.
    pub standing: watch::Receiver<Standing>,
}

impl Work {
    /// How many replicas share the rates.
    fn alive(&self) -> u32 {
        self.standing.borrow().alive.max(1)
    }

    /// How many effects one line of this replica takes up at a time: what it does in a second.
    fn reach(&self) -> u32 {
        let second = self.pace.rate / f64::from(self.alive());
        (second.clamp(0.0, 400.0).ceil() as u32)
            + u32::try_from(self.pace.concurrency.min(100)).unwrap_or(100)
    }
}

/// What lines report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Signal {
    /// What became of an effect.
    Outcome(Box<Outcome>),
    /// A user's address does not exist.
    Suppress {
        /// The keyed hash of the address.
        person: String,
        /// The relay's enhanced status code.
        code: String,
    },
    /// A channel is at fault, or works again.
    Circuit {
        /// The channel's name.
        channel: String,
        /// What it said; `None` once it works again.
        open: Option<String>,
    },
}

/// The lines of all channels.
pub struct Outbox {
    lines: HashMap<String, Handle>,
    tasks: JoinSet<()>,
    work: Work,
    signals: mpsc::Sender<Signal>,
    stop: CancellationToken,
}

/// A running line.
struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    /// How many effects it would take up from a store that is shared.
    room: Arc<AtomicU32>,
    places: Arc<Places>,
    /// Keys of effects that it was given and that have not ended, as far as is committed.
    given: HashSet<String>,
}

/// What a line is to take up.
#[derive(Default)]
struct Order {
    /// New ones, and changed ones that replace what it has.
    effects: Vec<Effect>,
    /// What the commit that planned it marked as being attempted.
    begun: Vec<Begun>,
}

/// An effect that has a place in its line, and whose next commit says that it is being attempted.
pub struct Begun {
    effect: Effect,
    ticket: Ticket,
}

impl Outbox {
    /// An outbox without work. Lines begin with their first effect.
    pub fn new(work: Work, signals: mpsc::Sender<Signal>) -> Self {
        let (lines, tasks, stop) = (HashMap::new(), JoinSet::new(), CancellationToken::new());
        Self { lines, tasks, work, signals, stop }
    }

    /// Gives those of `effects` a place that are planned for now and could begin at once, and marks them as being
    /// attempted: the commit that keeps the plan keeps that, too. To be called with what is about to be committed, where
    /// the store is this process's own; [`Outbox::submit`] must follow.
    pub fn begin(&self, effects: &mut [Effect], stops: &Stops, now: Timestamp) -> Vec<Begun> {
        let snapshot = self.work.evidence.borrow().clone();
        let mut begun = Vec::new();
        for effect in effects {
            let Some(line) = self.lines.get(&effect.channel) else { continue };
            let new = effect.state == EffectState::Planned && !line.given.contains(&effect.key);
            if !new || effect.next_attempt > now || effect.expires <= now {
                continue;
            }
            let holds = || {
                stops.of(effect, &snapshot).is_none()
                    && matches!(verify(effect, &snapshot, now, &self.work.limits), Verdict::Go(_))
            };
            if !holds() {
                continue;
            }
            let Some(ticket) = line.places.reserve(effect, self.work.domains.of_effect(effect)) else {
                continue;
            };
            effect.marks += 1;
            begun.push(Begun { effect: effect.clone(), ticket });
            effect.state = EffectState::Attempting;
        }
        begun
    }

    /// Takes effects that were committed: new ones, and changed ones that replace what the line has. `begun` are those
    /// that [`Outbox::begin`] gave of them.
    pub fn submit(&mut self, effects: Vec<Effect>, begun: Vec<Begun>) {
        let mut by_line: HashMap<String, Order> = HashMap::new();
        let alone = self.work.store.replicas().is_none();
        for effect in effects {
            let line = self.line(&effect.channel);
            if effect.state.is_final() {
                line.given.remove(&effect.key);
            } else if alone {
                line.given.insert(effect.key.clone());
            }
            if effect.state != EffectState::Attempting {
                by_line.entry(effect.channel.clone()).or_default().effects.push(effect);
            }
        }
        for begun in begun {
            by_line.entry(begun.effect.channel.clone()).or_default().begun.push(begun);
        }
        for (name, order) in by_line {
            let line = self.line(&name);
            let taken = u32::try_from(order.effects.len()).unwrap_or(u32::MAX);
            line.room.fetch_sub(taken.min(line.room.load(Ordering::Relaxed)), Ordering::Relaxed);
            // A line ends only when the outbox does.
            let _ = line.orders.send(order);
        }
    }

    /// The line of this channel, which begins with its first effect.
    fn line(&mut self, name: &str) -> &mut Handle {
        match self.lines.entry(name.to_owned()) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(vacant) => {
                let (orders, receiver) = mpsc::unbounded_channel();
                let (room, places) = (Arc::new(AtomicU32::new(0)), Arc::new(Places::new(&self.work.pace)));
                let (work, signals) = (self.work.clone(), self.signals.clone());
                let line = line::Line::new(name.to_owned(), work, signals, room.clone(), places.clone());
                self.tasks.spawn(watch(line, receiver, self.stop.clone()));
                vacant.insert(Handle { orders, room, places, given: HashSet::new() })
            }
        }
    }

    /// How many effects the line of this channel would take up now.
    fn room(&self, channel: &str) -> u32 {
        self.lines.get(channel).map_or_else(|| self.work.reach(), |line| line.room.load(Ordering::Relaxed))
    }

    /// Begins nothing more, and waits until what is in hand has ended or `patience` (real time) is over.
    /// What has no outcome by then is `unknown` at the next start.
    pub async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        self.lines.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("some attempts had no outcome in time; they are looked after at the next start");
            self.tasks.abort_all();
        }
    }
}

/// Runs a line. One that ends by a fault of this program is not silent: its channel counts as at fault.
async fn watch(line: line::Line, orders: mpsc::UnboundedReceiver<Order>, stop: CancellationToken) {
    let (name, signals) = (line.name().to_owned(), line.signals());
    // Ends with whoever waits for it.
    let line = AbortOnDropHandle::new(tokio::spawn(line.run(orders, stop)));
    if let Err(error) = line.await {
        tracing::error!(channel = name, reason = %error, "a line of the outbox ended by a fault of this program");
        let open = Some("the line ended by a fault of this program; restart the alerter".to_owned());
        let _ = signals.send(Signal::Circuit { channel: name, open }).await;
    }
}
