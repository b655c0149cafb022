//! What is really the case: connections that fail and heal, as Basiq would have it.

use std::sync::Arc;

use basiq_alerter::{
    evidence::{Facts, State},
    incidents::Class,
    plan::{Command, Person},
};
use daemon::Timestamp;
use jiff::SignedDuration;

use super::{STEP, Sim};

pub(super) const BANKS: usize = 12;

/// What nobody outside Basiq knows, as far as the alerter's decisions can tell it: the sandbox's switches of the same
/// names. Its others are about spellings, bodies and events, which client and exporter have dealt with before the alerter
/// sees anything; their tests go through them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    /// `QueuedSteps`, `QueuedUpdated`, `ExistingSteps`: when a queued job is seen to be one.
    pub(super) queue: Queue,
    /// `RefreshInvalid`: whether an invalid connection can be refreshed; 400 and 403 are one refusal here.
    pub(super) invalid: bool,
    /// `Readable`: whether a job's end after 7 days is seen; a day longer is as good as for good.
    pub(super) readable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// A step stays failed or `updated` moves.
    AtOnce,
    /// Only a refresh that is answered with the queued job's id says so.
    ByProbe,
    /// Between two tries its steps are pending and `updated` stands still: it looks like a job that runs, for which
    /// every refresh is withheld.
    Running,
    /// There is no queue.
    None,
}

impl Switches {
    /// Seeds go through all combinations.
    pub(super) fn of(seed: u64) -> Self {
        let queue = [Queue::AtOnce, Queue::ByProbe, Queue::None, Queue::Running][(seed % 4) as usize];
        Self { queue, invalid: (seed / 4).is_multiple_of(2), readable: (seed / 8).is_multiple_of(2) }
    }
}

/// What happens to a connection at a time; the number is the failure it belongs to, so that what comes too late
/// does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// Basiq's own job.
    Job(usize, u32),
    /// The job of our refresh.
    Refreshed(usize, u32),
    /// The user does what was asked.
    Acts(usize, u32),
    /// The retry queue gives up.
    Expires(usize, u32),
    /// Fails again soon after a success.
    Flaps(usize, u8),
    /// The exporter shows an end for 24 hours.
    Unshown(usize, u32),
}

pub(super) struct Failing {
    pub(super) scenario: &'static str,
    since: Timestamp,
    pub(super) last: Timestamp,
    jobs: u32,
    /// When what made it fail is gone.
    pub(super) heals: Timestamp,
    pub(super) queued: bool,
}

pub(super) struct Connection {
    pub(super) id: Arc<str>,
    pub(super) user: Arc<str>,
    pub(super) bank: usize,
    pub(super) failing: Option<Failing>,
    pub(super) ended: Option<(Timestamp, &'static str)>,
    /// Counts failures.
    pub(super) episode: u32,
    /// When it last stopped failing, and when it last began.
    pub(super) stopped: Timestamp,
    pub(super) began: Timestamp,
    /// When its class last changed, and what it was.
    pub(super) turned: (Timestamp, &'static str),
    /// A job of our refresh runs.
    pub(super) runs: bool,
    gone: bool,
}

pub(super) fn bank_id(bank: usize) -> Arc<str> {
    format!("AU{:05}", bank + 1).into()
}

/// Of fifty users two are one person, and one of two hundred has no address.
pub(super) fn person(user: &str) -> Person {
    let number: usize = user.trim_start_matches('u').parse().unwrap_or_default();
    match number % 200 {
        199 => Person::Nobody,
        _ if number % 50 == 1 => Person::Hash(format!("p{}", number - 1)),
        _ => Person::Hash(format!("p{number}")),
    }
}

impl Connection {
    /// Every tenth user has two connections.
    pub(super) fn new(n: usize) -> Self {
        let owner = if n % 11 == 10 { n - 1 } else { n };
        Self {
            id: format!("c{n}").into(),
            user: format!("u{owner}").into(),
            bank: n % BANKS,
            failing: None,
            ended: None,
            episode: 0,
            stopped: Timestamp::MIN,
            began: Timestamp::MIN,
            turned: (Timestamp::MIN, ""),
            runs: false,
            gone: false,
        }
    }

    /// What the exporter says of it, once it has looked.
    pub(super) fn facts(&self) -> Option<Facts> {
        let state = match (&self.failing, self.ended) {
            (Some(failing), _) => State::Failing {
                scenario: failing.scenario.into(),
                failed_jobs: failing.jobs,
                since: failing.since,
                last_failure: failing.last,
                baseline: false,
                never_succeeded: false,
            },
            (None, Some((at, reason))) => State::Ended { reason: reason.into(), at },
            (None, None) => return None,
        };
        Some(Facts { user: self.user.clone(), institution: bank_id(self.bank), method: "web".into(), state })
    }
}

impl Sim {
    /// Puts an event a random number of minutes away.
    pub(super) fn later(&mut self, minutes: std::ops::Range<usize>, event: Event) {
        let away = self.between(minutes.start, minutes.end).div_ceil(5).max(1);
        if let Some(slot) = self.calendar.get_mut(self.step + away) {
            slot.push(event);
        }
    }

    pub(super) fn truth_moves(&mut self) {
        for event in std::mem::take(&mut self.calendar[self.step]) {
            self.happens(event);
        }
    }

    fn happens(&mut self, event: Event) {
        let (place, episode) = match event {
            Event::Flaps(place, left) => return self.flaps(place, left),
            Event::Job(place, episode)
            | Event::Refreshed(place, episode)
            | Event::Acts(place, episode)
            | Event::Expires(place, episode)
            | Event::Unshown(place, episode) => (place, episode),
        };
        if matches!(event, Event::Refreshed(..)) {
            self.connections[place].runs = false;
        }
        let connection = &self.connections[place];
        if connection.episode != episode {
            return;
        }
        let Some(failing) = &connection.failing else {
            if matches!(event, Event::Unshown(..)) {
                self.connections[place].ended = None;
                self.dirty.insert(place);
            }
            return;
        };
        let (heals, queued, service) =
            (failing.heals <= self.now, failing.queued, Class::of(failing.scenario) == Class::Service);
        match event {
            Event::Job(..) | Event::Refreshed(..) if service && heals => self.stops(place, "recovered"),
            Event::Refreshed(..) => self.again(place),
            Event::Job(..) => {
                self.again(place);
                let wait = if queued { 60..70 } else { 1440..1500 };
                self.later(wait, Event::Job(place, episode));
            }
            Event::Acts(..) if failing.scenario == "user-action-required" => {
                let connection = self.connections[place].id.to_string();
                self.turn_heals(place);
                self.commands.push(Command::Done { connection });
            }
            Event::Acts(..) => self.stops(place, "recovered"),
            Event::Expires(..) if queued => {
                self.set_queued(place, false);
                if self.switches.readable {
                    self.turns(place, "retry-expired");
                } else {
                    self.turns(place, "service-unavailable");
                }
            }
            Event::Expires(..) | Event::Unshown(..) | Event::Flaps(..) => {}
        }
    }

    fn turn_heals(&mut self, place: usize) {
        let now = self.now;
        if let Some(failing) = &mut self.connections[place].failing {
            failing.heals = now;
        }
    }

    fn set_queued(&mut self, place: usize, queued: bool) {
        if let Some(failing) = &mut self.connections[place].failing {
            failing.queued = queued;
        }
    }

    /// A connection begins to fail; what made it lasts so many minutes more.
    pub(super) fn fails(&mut self, place: usize, scenario: &'static str, lasts: usize) {
        let now = self.now;
        let connection = &mut self.connections[place];
        if connection.failing.is_some() || connection.gone {
            return;
        }
        connection.episode += 1;
        let episode = connection.episode;
        let heals = now + SignedDuration::from_mins(lasts as i64);
        connection.failing = Some(Failing { scenario, since: now, last: now, jobs: 1, heals, queued: false });
        connection.began = now;
        connection.turned = (now, scenario);
        let bank = connection.bank;
        self.counts.failures += 1;
        self.dirty.insert(place);
        if Class::of(scenario) == Class::Service {
            self.weather.failed[bank].0.push_back(now);
            self.weather.failed[bank].1.push_back(now);
            self.later(1440..1500, Event::Job(place, episode));
            if self.switches.queue != Queue::None && self.chance(0.3) {
                self.set_queued(place, true);
                self.later(60..70, Event::Job(place, episode));
                self.later(10_080..10_081, Event::Expires(place, episode));
                if self.switches.queue == Queue::AtOnce {
                    self.turns(place, "retry-queued");
                }
            }
        } else if self.chance(0.85) {
            self.later(30..4_000, Event::Acts(place, episode));
        }
    }

    /// Another job of it fails.
    pub(super) fn again(&mut self, place: usize) {
        let now = self.now;
        let connection = &mut self.connections[place];
        let Some(failing) = &mut connection.failing else { return };
        failing.jobs += 1;
        failing.last = now;
        if Class::of(failing.scenario) == Class::Service {
            self.weather.failed[connection.bank].1.push_back(now);
        }
        self.dirty.insert(place);
    }

    /// It goes on failing, as something else.
    pub(super) fn turns(&mut self, place: usize, into: &'static str) {
        let now = self.now;
        let connection = &mut self.connections[place];
        let Some(failing) = &mut connection.failing else { return };
        if Class::of(failing.scenario) != Class::of(into) {
            connection.turned = (now, failing.scenario);
        }
        failing.scenario = into;
        self.dirty.insert(place);
    }

    /// It fails no more.
    pub(super) fn stops(&mut self, place: usize, reason: &'static str) {
        let now = self.now;
        let connection = &mut self.connections[place];
        if connection.failing.take().is_none() {
            return;
        }
        connection.ended = Some((now, reason));
        connection.stopped = now;
        connection.gone = matches!(reason, "deleted" | "consent-ended");
        let episode = connection.episode;
        self.dirty.insert(place);
        self.later(1440..1441, Event::Unshown(place, episode));
    }

    fn flaps(&mut self, place: usize, left: u8) {
        if self.connections[place].failing.is_some() {
            self.stops(place, "recovered");
        } else {
            self.fails(place, "service-unavailable", 20);
        }
        if left > 0 {
            self.later(10..90, Event::Flaps(place, left - 1));
        }
    }

    /// Whether what the planner could know at most `lag` ago still showed it failing.
    pub(super) fn failed_lately(&self, place: usize, lag: SignedDuration) -> bool {
        let connection = &self.connections[place];
        connection.failing.is_some() || self.now.duration_since(connection.stopped) <= lag
    }

    /// The longest time for which evidence may be behind the truth: two looks.
    pub(super) fn lag(&self) -> SignedDuration {
        STEP * 2
    }
}
