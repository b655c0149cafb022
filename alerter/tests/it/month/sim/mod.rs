//! A month of a whole installation as state machines only: connections, banks, Basiq, the exporter, the rules, the
//! planner, relay and desk, in steps of five minutes. Nothing here knows how the planner decides; what it may
//! never do is checked at each delivery.

mod alerts;
mod check;
mod delivery;
mod end;
mod truth;
mod weather;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use alerts::Protos;
use basiq_alerter::{
    config::{Actions, Mode, Routes},
    demand::Demand,
    evidence::{Bank, Connections, Connector, Snapshot, Traffic},
    incidents::Incident,
    plan::{Command, Input, Limits, Outcome, Person, Planner, Said, Saved, Settings},
    store::{Effect, TimelineEntry},
};
use check::Ledger;
pub(crate) use check::Violation;
use daemon::Timestamp;
use jiff::SignedDuration;
use rand::{RngExt, SeedableRng, rngs::StdRng};
pub(crate) use truth::Switches;
use truth::{BANKS, Connection, Event};
use weather::Weather;

pub(crate) const STEP: SignedDuration = SignedDuration::from_mins(5);
const STEPS_A_DAY: usize = 288;

/// What to simulate.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) users: usize,
    pub(crate) days: usize,
    /// How many times as often as usual something goes wrong around.
    pub(crate) faults: f64,
    /// The connection whose story is kept.
    pub(crate) watch: Option<String>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) failures: usize,
    pub(crate) openings: usize,
    pub(crate) closings: usize,
    pub(crate) refreshes: usize,
    pub(crate) tickets: usize,
    pub(crate) comments: usize,
    pub(crate) notices: usize,
    pub(crate) held: usize,
    pub(crate) restarts: usize,
    pub(crate) unknown: usize,
    /// A digest of what became of every effect, in its order: a seed repeats itself.
    pub(crate) history: u64,
}

pub(crate) struct Sim {
    random: StdRng,
    faults: f64,
    switches: Switches,
    settings: Settings,
    planner: Planner,
    /// The true time. The alerter's clock is `skew` beside it.
    now: Timestamp,
    skew: SignedDuration,
    start: Timestamp,
    step: usize,
    connections: Vec<Connection>,
    calendar: Vec<Vec<Event>>,
    weather: Weather,
    /// What the exporter shows, and which connections changed since it last looked.
    shown: Connections,
    dirty: BTreeSet<usize>,
    snapshot: Arc<Snapshot>,
    protos: Protos,
    firing: BTreeMap<usize, Vec<Demand>>,
    said: Said,
    /// What the store holds.
    incidents: BTreeMap<String, Arc<Incident>>,
    effects: BTreeMap<String, Effect>,
    waiting: BTreeSet<(Timestamp, String)>,
    rows: BTreeMap<(String, String), String>,
    died: Vec<Outcome>,
    commands: Vec<Command>,
    ledger: Ledger,
    history: DefaultHasher,
    pub(crate) counts: Counts,
    watch: Option<Arc<str>>,
    pub(crate) story: Vec<TimelineEntry>,
}

impl Sim {
    pub(crate) fn new(setup: &Setup) -> Self {
        let live = Mode::Live;
        let settings = Settings {
            environment: "month".into(),
            limits: Limits::default(),
            actions: Actions { notify_user: live, refresh_connection: live, file_ticket: live },
            routes: Routes {
                user: Some("mail".into()),
                desk: Some("desk".into()),
                operators: vec!["ops".into()],
                ..Routes::default()
            },
            salt: daemon::Secret::new("salt"),
        };
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap_or_default();
        let saved = Saved { born: start - SignedDuration::from_hours(48), ..Saved::default() };
        let Ok(planner) = Planner::load(settings.clone(), saved) else { unreachable!("nothing is loaded") };
        Self {
            random: StdRng::seed_from_u64(setup.seed),
            faults: setup.faults,
            switches: Switches::of(setup.seed),
            settings,
            planner,
            now: start,
            skew: SignedDuration::ZERO,
            start,
            step: 0,
            connections: (0..setup.users).map(Connection::new).collect(),
            calendar: vec![Vec::new(); (setup.days + 10) * STEPS_A_DAY],
            weather: Weather::fine(),
            shown: Connections::default(),
            dirty: BTreeSet::new(),
            snapshot: Arc::default(),
            protos: Protos::new(),
            firing: BTreeMap::new(),
            said: Said::default(),
            incidents: BTreeMap::new(),
            effects: BTreeMap::new(),
            waiting: BTreeSet::new(),
            rows: BTreeMap::new(),
            died: Vec::new(),
            commands: Vec::new(),
            ledger: Ledger::default(),
            history: DefaultHasher::new(),
            counts: Counts::default(),
            watch: setup.watch.as_deref().map(Into::into),
            story: Vec::new(),
        }
    }

    /// The whole month and the days after it, in which everything heals.
    pub(crate) fn run(&mut self, days: usize) -> Result<Counts, Violation> {
        for _ in 0..days * STEPS_A_DAY {
            self.weather_changes();
            self.advance()?;
        }
        self.end()?;
        Ok(Counts { history: self.history.finish(), ..self.counts })
    }

    fn chance(&mut self, share: f64) -> bool {
        self.random.random_bool(share.min(1.0))
    }

    /// Whether something goes wrong that usually does in this share of steps.
    fn strikes(&mut self, share: f64) -> bool {
        self.chance(share * self.faults)
    }

    fn between(&mut self, from: usize, to: usize) -> usize {
        self.random.random_range(from..to)
    }

    /// The alerter's clock.
    fn clock(&self) -> Timestamp {
        self.now + self.skew
    }

    /// Five minutes.
    fn advance(&mut self) -> Result<(), Violation> {
        self.now += STEP;
        self.step += 1;
        self.truth_moves();
        if !self.weather.alerter {
            return Ok(());
        }
        let mut input = Input {
            outcomes: std::mem::take(&mut self.died),
            commands: std::mem::take(&mut self.commands),
            ..Input::default()
        };
        if self.weather.exporter {
            self.look();
            input.snapshot = Some(self.snapshot.clone());
            input.said.push(std::mem::take(&mut self.said));
        }
        let mut last = Vec::new();
        for _ in 0..12 {
            let changes = self.planner.step(self.clock(), input);
            input = Input::default();
            for user in &changes.unresolved {
                input.people.push((user.clone(), truth::person(user)));
            }
            self.keep(changes);
            self.notices_are_told_apart()?;
            input.outcomes = self.deliver()?;
            for Outcome { effect, .. } in &input.outcomes {
                (&effect.key, effect.state, &effect.reason, self.step).hash(&mut self.history);
            }
            last.clone_from(&input.outcomes);
            if input.people.is_empty() && input.outcomes.is_empty() {
                self.operator();
                return Ok(());
            }
        }
        let last = self.died.iter().chain(&last).map(|outcome| {
            format!("{} {}: {}", outcome.effect.key, outcome.effect.state, outcome.effect.reason)
        });
        let last: Vec<String> = last.collect();
        Err(self.violation("", format!("the planner does not come to rest: {last:?}")))
    }

    fn keep(&mut self, changes: basiq_alerter::plan::Changes) {
        if let Some(watched) = &self.watch {
            let (known, connections) = (&self.incidents, &self.connections);
            // Also of the person's other connections: their messages bear on each other.
            let behind = |connection: &str| {
                let of = connections.get(Self::place(connection))?;
                Some(truth::person(&of.user)).filter(|person| *person != Person::Nobody)
            };
            let person = behind(watched).or(Some(Person::Nobody));
            let of = |entry: &&TimelineEntry| {
                let new = changes.incidents.iter().find(|incident| incident.reference == entry.incident);
                new.or_else(|| known.get(&entry.incident))
                    .is_some_and(|it| *it.connection == **watched || behind(&it.connection) == person)
            };
            self.story.extend(changes.timeline.iter().filter(of).cloned());
        }
        for incident in changes.incidents {
            self.incidents.insert(incident.reference.clone(), incident);
        }
        for effect in changes.effects {
            if let Some(old) = self.effects.remove(&effect.key) {
                self.waiting.remove(&(old.next_attempt, old.key));
            }
            if !effect.state.is_final() {
                self.waiting.insert((effect.next_attempt, effect.key.clone()));
                self.effects.insert(effect.key.clone(), effect);
            }
        }
        for forgotten in changes.forgotten {
            self.forgets(&forgotten.user);
        }
        for row in changes.rows {
            let key = (row.kind.to_owned(), row.key);
            match row.body {
                Some(body) => self.rows.insert(key, body),
                None => self.rows.remove(&key),
            };
        }
    }

    /// The exporter looks, and the rules are evaluated over what it shows.
    fn look(&mut self) {
        if self.weather.warm {
            for place in std::mem::take(&mut self.dirty) {
                let connection = &self.connections[place];
                match connection.facts() {
                    Some(facts) => self.shown.insert(connection.id.clone(), facts),
                    None => self.shown.remove(&connection.id),
                }
                self.say(place);
            }
        }
        let connectors = self.weather.statuses.iter().enumerate().map(|(n, status)| {
            let bank: Bank = (truth::bank_id(n), "web".into());
            (bank, Connector { status: (*status).into(), name: truth::bank_id(n) })
        });
        self.snapshot = Arc::new(Snapshot {
            as_of: Some(self.clock()),
            warm: self.weather.warm,
            connections: self.shown.clone(),
            connectors: connectors.collect(),
            traffic: self.traffic(),
            ..Snapshot::default()
        });
    }

    fn traffic(&mut self) -> HashMap<Bank, Traffic> {
        let now = self.now;
        let usually = self.connections.len() as f64 / BANKS as f64 / 48.0;
        let mut traffic = HashMap::new();
        for (n, (newly, failed)) in self.weather.failed.iter_mut().enumerate() {
            for list in [&mut *newly, &mut *failed] {
                while list.front().is_some_and(|at| now.duration_since(*at) > SignedDuration::from_mins(30)) {
                    list.pop_front();
                }
            }
            let (newly_failing, failed) = (newly.len() as f64, failed.len() as f64);
            let finished = usually.max(1.0).round() + failed;
            let of = Traffic { finished, failed, newly_failing, usual: Some(0.01) };
            traffic.insert((truth::bank_id(n), "web".into()), of);
        }
        traffic
    }

    /// Stops the alerter and starts it again from what was kept.
    fn restart(&mut self) {
        self.counts.restarts += 1;
        let old = self.now - SignedDuration::from_hours(96);
        self.incidents.retain(|_, incident| incident.is_open() || incident.changed >= old);
        let saved = Saved {
            born: self.start - SignedDuration::from_hours(48),
            incidents: self.incidents.values().cloned().collect(),
            effects: self.effects.values().cloned().collect(),
            rows: self
                .rows
                .iter()
                .map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()))
                .collect(),
            suppressed: Vec::new(),
        };
        match Planner::load(self.settings.clone(), saved) {
            Ok(planner) => self.planner = planner,
            Err(why) => unreachable!("what the planner wrote cannot be read: {why}"),
        }
        // A source says everything that fires once more.
        self.said.firing = self.firing.values().flatten().cloned().collect();
    }

    /// A person looks at what is held, within the hour.
    fn operator(&mut self) {
        let clock = self.clock();
        let old = |hold: &&basiq_alerter::plan::Hold| {
            clock.duration_since(hold.since) >= SignedDuration::from_hours(1)
        };
        let due: Vec<u64> = self.planner.holds().filter(old).map(|hold| hold.number).collect();
        for hold in due {
            self.counts.held += 1;
            let command =
                if self.chance(0.8) { Command::Release { hold } } else { Command::Discard { hold } };
            self.commands.push(command);
        }
    }
}

/// One seed; a violation comes with the story of its connection.
pub(crate) fn simulate(setup: &Setup) -> Result<Counts, String> {
    let violation = match Sim::new(setup).run(setup.days) {
        Ok(counts) => return Ok(counts),
        Err(violation) => violation,
    };
    let mut again = Sim::new(&Setup { watch: Some(violation.connection.clone()), ..setup.clone() });
    let same = again.run(setup.days);
    let Setup { seed, users, .. } = setup;
    let mut text = format!("seed {seed}, {users} users, {:?}: {violation}\n", Switches::of(*seed));
    for entry in &again.story {
        text.push_str(&format!("  {}  {}  {:<12} {}\n", entry.at, entry.incident, entry.what, entry.text));
    }
    if same.is_ok() {
        text.push_str("  (the second run of the seed did not show it)\n");
    }
    Err(text)
}
