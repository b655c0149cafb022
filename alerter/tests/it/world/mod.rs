//! A world without I/O: connections, banks and time, the demands that the shipped rules would make of
//! them, the planner, and an outbox that delivers at once what the evidence bears out.

mod facts;
mod outbox;
mod rules;
mod seen;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use basiq_alerter::{
    channels::UserMessage,
    config::{Actions, Mode, Routes},
    demand::{Demand, Numbers},
    evidence::{Bank, Connector, Facts, Snapshot, Traffic},
    incidents::Incident,
    plan::{Changes, Command, Forgotten, Input, Limits, Person, Planner, Saved, Settings},
    refresh::Refreshed,
    store::{Effect, EffectState, Payload, TimelineEntry},
};
use daemon::Timestamp;
use jiff::SignedDuration;

pub(crate) const BANK: &str = "AU00001";

/// What was sent, filed, commented, noticed or refreshed.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) at: Timestamp,
    pub(crate) effect: Effect,
    /// Connections that the message spoke of.
    pub(crate) spoke_of: Vec<String>,
}

impl Done {
    pub(crate) fn message(&self) -> &UserMessage {
        let Payload::Message(message) = &self.effect.payload else { panic!("no message: {:?}", self.effect) };
        message
    }
}

/// How the world answers what is handed to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It takes everything.
    Takes,
    /// It ends everything in this state.
    Ends(EffectState),
    /// Nothing is delivered: the outbox is away.
    Nothing,
}

/// What a refresh of a connection leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refresh {
    /// A job that fails a minute later.
    Fails,
    /// A job that succeeds a minute later.
    Heals,
    /// This answer.
    Says(Refreshed),
}

pub(crate) struct World {
    pub(crate) planner: Planner,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) facts: BTreeMap<String, Facts>,
    pub(crate) banks: BTreeMap<(String, String), String>,
    pub(crate) people: HashMap<String, Person>,
    /// Whether anybody says who users are; until then they are asked.
    pub(crate) contacts: bool,
    asked: Vec<String>,
    /// What rules are called, by the name that they shipped with.
    pub(crate) renamed: BTreeMap<String, String>,
    pub(crate) answer: Answer,
    pub(crate) refresh: Refresh,
    /// Where the desk says that comments went, if not to the ticket itself.
    pub(crate) moved: Option<String>,
    /// Whether the exporter can be scraped.
    pub(crate) exporter: bool,
    /// Whether rules look at the exporter as well as the evidence does.
    pub(crate) rules: bool,
    pub(crate) done: Vec<Done>,
    /// All timeline entries.
    pub(crate) story: Vec<TimelineEntry>,
    /// The newest version of every effect.
    pub(crate) effects: BTreeMap<String, Effect>,
    /// What the store would hold.
    pub(crate) incidents: BTreeMap<String, Arc<Incident>>,
    pub(crate) rows: BTreeMap<(String, String), String>,
    /// What the jobs of the last half hour say of banks.
    pub(crate) traffic: HashMap<Bank, Traffic>,
    /// What rules evaluate, by name, where it is not what they shipped with.
    pub(crate) definitions: BTreeMap<String, String>,
    /// What every rule asks for, where it is not what they shipped with.
    pub(crate) asks: Option<Numbers>,
    /// What every alert is annotated with.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Persons to suppress.
    pub(crate) suppressed: Vec<(String, Timestamp)>,
    /// Users to erase.
    pub(crate) forgotten: Vec<Forgotten>,
    born: Timestamp,
    start: Timestamp,
    claims: BTreeMap<String, String>,
    firing: BTreeMap<String, Demand>,
    jobs: Vec<(Timestamp, String, bool)>,
    last_snapshot: Arc<Snapshot>,
}

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

impl World {
    /// Everything live, with the defaults of behaviour; the store is a day old.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let live = Mode::Live;
        let mut settings = Settings {
            environment: "test".into(),
            salt: daemon::Secret::new("salt"),
            limits: Limits::default(),
            actions: Actions { notify_user: live, refresh_connection: live, file_ticket: live },
            routes: Routes {
                user: Some("mail".into()),
                desk: Some("desk".into()),
                operators: vec!["ops".into()],
                ..Routes::default()
            },
        };
        change(&mut settings);
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let born = now - hours(24);
        let planner = Planner::load(settings.clone(), Saved { born, ..Saved::default() }).unwrap();
        Self {
            planner,
            settings,
            now,
            facts: BTreeMap::new(),
            banks: BTreeMap::from([((BANK.to_owned(), "web".to_owned()), "operational".to_owned())]),
            people: HashMap::new(),
            contacts: true,
            asked: Vec::new(),
            renamed: BTreeMap::new(),
            answer: Answer::Takes,
            refresh: Refresh::Fails,
            moved: None,
            exporter: true,
            rules: true,
            done: Vec::new(),
            story: Vec::new(),
            effects: BTreeMap::new(),
            incidents: BTreeMap::new(),
            rows: BTreeMap::new(),
            traffic: HashMap::new(),
            definitions: BTreeMap::new(),
            asks: None,
            annotations: BTreeMap::new(),
            suppressed: Vec::new(),
            forgotten: Vec::new(),
            born,
            start: now,
            claims: BTreeMap::new(),
            firing: BTreeMap::new(),
            jobs: Vec::new(),
            last_snapshot: Arc::default(),
        }
    }

    /// A world whose store is born now.
    pub(crate) fn born_now() -> Self {
        let mut world = Self::new();
        world.born = world.now;
        let saved = Saved { born: world.now, ..Saved::default() };
        world.planner = Planner::load(world.settings.clone(), saved).unwrap();
        world.start = world.now;
        world
    }

    /// Stops the alerter and starts it again from what was kept; effects that are on their way are as the
    /// store has them.
    pub(crate) fn restart(&mut self) {
        let saved = Saved {
            born: self.born,
            incidents: self
                .incidents
                .values()
                .filter(|incident| {
                    incident.is_open() || self.now.duration_since(incident.changed) < hours(96)
                })
                .cloned()
                .collect(),
            effects: self.effects.values().filter(|effect| !effect.state.is_final()).cloned().collect(),
            rows: self
                .rows
                .iter()
                .map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()))
                .collect(),
            suppressed: self.suppressed.iter().map(|(_, at)| *at).collect(),
        };
        self.planner = Planner::load(self.settings.clone(), saved).unwrap();
        self.asked.clear();
    }

    /// Lets time pass, a minute at a time.
    pub(crate) fn pass(&mut self, time: SignedDuration) {
        let until = self.now + time;
        loop {
            self.step(Vec::new());
            if self.now >= until {
                return;
            }
            self.now += minutes(1);
        }
    }

    /// A relay refuses the addresses of these persons.
    pub(crate) fn refuses(&mut self, people: &[&str]) {
        let refused = people.iter().map(|person| ((*person).to_owned(), "5.1.1".to_owned())).collect();
        let changes = self.planner.step(self.now, Input { refused, ..Input::default() });
        self.keep(&changes);
    }

    pub(crate) fn obey(&mut self, command: Command) {
        self.step(vec![command]);
    }

    fn step(&mut self, commands: Vec<Command>) {
        self.run_jobs();
        let retried = commands.iter().filter_map(|command| match command {
            Command::Retry { effect } => self.effects.get(effect).cloned(),
            _ => None,
        });
        let mut input = Input { retried: retried.collect(), commands, ..Input::default() };
        if self.exporter {
            self.look();
            input.snapshot = Some(self.last_snapshot.clone());
            if self.rules {
                input.said.push(self.rules_say());
            }
        }
        // Outcomes and persons come back in the same minute.
        for _ in 0..10 {
            let changes = self.planner.step(self.now, input);
            input = Input::default();
            self.keep(&changes);
            self.asked.extend(changes.unresolved.iter().cloned());
            input.people = self.say_who();
            input.outcomes = self.deliver();
            if input.people.is_empty() && input.outcomes.is_empty() {
                return;
            }
        }
        panic!("the planner does not come to rest");
    }

    fn say_who(&mut self) -> Vec<(String, Person)> {
        if !self.contacts {
            return Vec::new();
        }
        let hash = |user: &String| Person::Hash(format!("p-{user}"));
        let person = |user: &String| self.people.get(user).cloned().unwrap_or_else(|| hash(user));
        let said = self.asked.iter().map(|user| (user.clone(), person(user))).collect();
        self.asked.clear();
        said
    }

    fn keep(&mut self, changes: &Changes) {
        self.story.extend(changes.timeline.iter().cloned());
        self.suppressed.extend(changes.suppressed.iter().map(|(person, _)| (person.clone(), self.now)));
        self.forgotten.extend(changes.forgotten.iter().cloned());
        for effect in &changes.effects {
            self.effects.insert(effect.key.clone(), effect.clone());
        }
        for incident in &changes.incidents {
            self.incidents.insert(incident.reference.clone(), incident.clone());
        }
        for row in &changes.rows {
            let key = (row.kind.to_owned(), row.key.clone());
            match &row.body {
                Some(body) => self.rows.insert(key, body.clone()),
                None => self.rows.remove(&key),
            };
        }
    }

    fn look(&mut self) {
        let snapshot = Snapshot {
            as_of: Some(self.now),
            warm: true,
            connections: self.facts.iter().map(|(id, facts)| (id.as_str().into(), facts.clone())).collect(),
            connectors: self
                .banks
                .iter()
                .map(|((bank, method), status)| {
                    let connector = Connector { status: status.as_str().into(), name: "Hooli".into() };
                    ((bank.as_str().into(), method.as_str().into()), connector)
                })
                .collect(),
            traffic: self.traffic.clone(),
            ..Snapshot::default()
        };
        self.last_snapshot = Arc::new(snapshot);
    }
}
