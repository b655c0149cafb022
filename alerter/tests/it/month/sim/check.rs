//! What must never happen, held against the truth at each delivery.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use basiq_alerter::{
    incidents::Class,
    plan::Person,
    store::{Effect, Payload, Phase},
};
use daemon::Timestamp;
use jiff::SignedDuration;

use super::{STEP, Sim, truth};

/// How far the alerter's clock may be off, and a step: no promise is kept to the minute.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) connection: String,
    at: Timestamp,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.at, self.connection, self.what)
    }
}

/// What was done so far, as the world outside saw it.
#[derive(Default)]
pub(super) struct Ledger {
    /// When a person last got a message of each kind, its Message-ID, and the user it was for.
    last: HashMap<(String, String), (Timestamp, String, String)>,
    /// Keys of mails whose outcome was known.
    answered: HashSet<String>,
    /// Tickets at the desk, by what they are searched by.
    desk: HashSet<String>,
    /// Tickets of each incident.
    pub(super) tickets: BTreeMap<String, BTreeSet<String>>,
    /// Refreshes that were answered 202, by incident.
    pub(super) started: BTreeMap<String, u32>,
}

impl Sim {
    pub(super) fn violation(&self, connection: &str, what: impl Into<String>) -> Violation {
        let state = self.connections.get(Self::place(connection)).map_or(String::new(), |of| {
            let failing = of.failing.as_ref().map_or("no", |failing| failing.scenario);
            format!(" (fails: {failing}, since {}, ended {:?})", of.began, of.ended)
        });
        Violation { connection: connection.to_owned(), at: self.now, what: format!("{}{state}", what.into()) }
    }

    /// Whoever gets notices as alerts knows them by their labels alone: the end of one must not be that of another.
    pub(super) fn notices_are_told_apart(&self) -> Result<(), Violation> {
        let mut labels = BTreeSet::new();
        match self.planner.lasting().into_iter().find(|notice| !labels.insert(notice.labels.clone())) {
            Some(twin) => Err(self.violation("", format!("two notices have the labels {:?}", twin.labels))),
            None => Ok(()),
        }
    }

    /// Somebody outside took it; `known` says whether the alerter heard so.
    pub(super) fn taken(
        &mut self,
        effect: &Effect,
        spoke_of: &[String],
        known: bool,
    ) -> Result<(), Violation> {
        match (&effect.payload, effect.phase) {
            (Payload::Message(_), _) => self.message(effect, spoke_of, known),
            (Payload::Refresh { connection, .. }, _) => {
                self.counts.refreshes += 1;
                self.may_refresh(connection, effect)
            }
            (Payload::Ticket { ticket, .. }, _) => {
                // A desk that is searched by key has it once, however often it is asked.
                if self.ledger.desk.insert(ticket.key.clone()) {
                    self.counts.tickets += 1;
                }
                for incident in &effect.incidents {
                    let of = self.ledger.tickets.entry(incident.clone()).or_default();
                    of.insert(ticket.key.clone());
                    if of.len() > 1 {
                        let connection = ticket.connections.first().cloned().unwrap_or_default();
                        return Err(self.violation(&connection, format!("{incident} has two tickets")));
                    }
                }
                Ok(())
            }
            (Payload::Comment { .. }, _) => {
                self.counts.comments += 1;
                Ok(())
            }
            (Payload::Notice(_), _) => {
                self.counts.notices += 1;
                Ok(())
            }
        }
    }

    fn message(&mut self, effect: &Effect, spoke_of: &[String], known: bool) -> Result<(), Violation> {
        let Payload::Message(message) = &effect.payload else { return Ok(()) };
        let of = effect.incidents.iter().zip(&message.connections);
        let connections: Vec<_> =
            of.filter(|(incident, _)| spoke_of.contains(incident)).map(|(_, it)| it).collect();
        let Some(first) = connections.first() else { return Ok(()) };
        if !self.ledger.answered.insert(effect.key.clone()) && effect.unknowns == 0 {
            return Err(self.violation(&first.connection, "the same message twice"));
        }
        if !known {
            self.ledger.answered.remove(&effect.key);
        }
        if self.platform_in_sight() {
            return Err(
                self.violation(&first.connection, "a user was told something while Basiq is the cause")
            );
        }
        for connection in &connections {
            if effect.phase == Phase::Closing {
                self.counts.closings += 1;
                self.may_close(&connection.connection)?;
            } else {
                self.counts.openings += 1;
                self.may_open(&connection.connection, &connection.scenario)?;
            }
        }
        if effect.phase == Phase::Closing {
            return Ok(());
        }
        let family = if message.template == "outage" { "delayed" } else { &message.template };
        if let Person::Hash(person) = truth::person(&message.user) {
            let now = (self.now, message.message_id.clone(), message.user.clone());
            if let Some((before, id, _)) = self.ledger.last.insert((person, family.to_owned()), now)
                && id != message.message_id
                && self.now.duration_since(before) + SLACK < SignedDuration::from_hours(24)
            {
                return Err(
                    self.violation(&first.connection, format!("told of {family} twice, first at {before}"))
                );
            }
        }
        Ok(())
    }

    /// Nobody knows any more what was said to a user who was forgotten, also not to whoever has the same address.
    pub(super) fn forgets(&mut self, user: &str) {
        self.ledger.last.retain(|_, (.., told)| told != user);
    }

    /// Nobody is told of a trouble that was over, nor of another than there is.
    fn may_open(&self, id: &str, scenario: &str) -> Result<(), Violation> {
        let place = Self::place(id);
        if !self.failed_lately(place, self.lag()) {
            return Err(self.violation(id, "told of a trouble that was over"));
        }
        let connection = &self.connections[place];
        let class = Class::of(scenario);
        let is = connection.failing.as_ref().is_some_and(|failing| Class::of(failing.scenario) == class);
        let was = self.now.duration_since(connection.turned.0) <= self.lag() + STEP;
        if !is && !was && connection.failing.is_some() {
            return Err(self.violation(id, format!("told of {scenario}, which it is not")));
        }
        Ok(())
    }

    /// Nobody is told of a recovery that did not happen.
    fn may_close(&self, id: &str) -> Result<(), Violation> {
        let connection = &self.connections[Self::place(id)];
        if connection.failing.is_some() && self.now.duration_since(connection.began) > self.lag() {
            return Err(self.violation(id, "told of a recovery that did not happen"));
        }
        // Its end may no longer be shown; it is well all the same.
        let Some((at, reason)) = connection.ended.filter(|_| connection.failing.is_none()) else {
            return Ok(());
        };
        if !matches!(reason, "recovered" | "superseded") {
            return Err(self.violation(id, format!("told of a recovery when it was {reason}")));
        }
        // It failed and ended again while nobody could look.
        let unseen = self.now.duration_since(connection.began) <= self.lag();
        if !unseen && self.now.duration_since(at) + SLACK < SignedDuration::from_mins(30) {
            return Err(self.violation(id, "told of a recovery within half an hour"));
        }
        Ok(())
    }

    /// No refresh that section 6 forbids.
    fn may_refresh(&self, id: &str, effect: &Effect) -> Result<(), Violation> {
        let place = Self::place(id);
        let connection = &self.connections[place];
        if self.platform_in_sight() {
            return Err(self.violation(id, "a refresh while Basiq is the cause"));
        }
        let major = self.snapshot.major_outage(&truth::bank_id(connection.bank), &"web".into());
        if major == Some(true) {
            return Err(self.violation(id, "a refresh into a major outage"));
        }
        let incident = effect.incidents.first().map(String::as_str).unwrap_or_default();
        let more =
            effect.rule != "done" && self.ledger.started.get(incident).is_some_and(|started| *started >= 2);
        if more {
            return Err(self.violation(id, "a third refresh"));
        }
        let Some(failing) = &connection.failing else {
            return if self.failed_lately(place, self.lag()) {
                Ok(())
            } else {
                Err(self.violation(id, "a refresh of what does not fail"))
            };
        };
        let lately = self.now.duration_since(connection.turned.0) <= self.lag() + STEP;
        let class = Class::of(failing.scenario);
        if !matches!(class, Class::Service | Class::BankAction) && !lately {
            return Err(self.violation(id, format!("a refresh of {}", failing.scenario)));
        }
        if class == Class::BankAction && failing.heals > self.now && !lately {
            return Err(self.violation(id, "a refresh before the user said that it is done"));
        }
        let age = self.now.duration_since(failing.last);
        if class == Class::Service && age > self.lag() && age + STEP < SignedDuration::from_mins(10) {
            return Err(self.violation(id, "a refresh within ten minutes of the newest failure"));
        }
        Ok(())
    }

    /// What the alerter was shown says that Basiq itself fails: five banks and 30 %.
    fn platform_in_sight(&self) -> bool {
        let over = self.snapshot.traffic.values().filter(|traffic| {
            traffic.newly_failing >= 10.0 && traffic.newly_failing >= 0.2 * traffic.finished
        });
        over.count() >= 5
    }
}
