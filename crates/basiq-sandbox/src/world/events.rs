//! Basiq's events of one user: what `/events` lists and webhooks announce.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::job::DAYS_7;

/// All types that Basiq knows (`GET /events/types`, and `connection.updated` of its webhooks guide), and what each says.
pub(crate) const TYPES: [(&str, &str); 16] = [
    ("account.updated", "when an account is updated"),
    ("connection.activated", "when a connection is activated"),
    ("connection.created", "when a connection is created"),
    ("connection.deleted", "when a connection is deleted"),
    ("connection.invalidated", "when a connection is invalidated"),
    ("connection.updated", "when a connection is updated"),
    ("consent.created", "when a consent is created"),
    ("consent.expired", "when a consent is expired"),
    ("consent.reminder", "when a consent has been active for 90 days since the last update"),
    ("consent.revoked", "when a consent is revoked"),
    ("consent.updated", "when a consent is updated"),
    ("consent.warning", "when a consent is about to expire"),
    ("transactions.updated", "when transactions are updated"),
    ("user.created", "when an user is created"),
    ("user.deleted", "when an user is deleted"),
    ("user.updated", "when an user is updated"),
];

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Counts up for each user.
    pub(crate) number: u32,
    pub(crate) at: Timestamp,
    /// One of [`TYPES`].
    pub(crate) kind: &'static str,
    /// The connection it is about, if not the user.
    pub(crate) connection: Option<u8>,
}

impl Event {
    pub(crate) fn entity(&self) -> &'static str {
        self.kind.split_once('.').map_or(self.kind, |(entity, _)| entity)
    }

    pub(crate) fn event_type(&self) -> &'static str {
        self.kind.split_once('.').map_or("", |(_, event_type)| event_type)
    }
}

/// The events of one user, oldest first; those over 7 days old are dropped, as Basiq does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    events: VecDeque<Event>,
    next: u32,
}

impl Log {
    pub(crate) fn add(&mut self, at: Timestamp, kind: &'static str, connection: Option<u8>) {
        self.events.push_back(Event { number: self.next, at, kind, connection });
        self.next += 1;
        while self.events.front().is_some_and(|first| at.duration_since(first.at) >= DAYS_7) {
            self.events.pop_front();
        }
    }

    /// Those of the last 7 days.
    pub(crate) fn recent(&self, now: Timestamp) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.at <= now && now.duration_since(event.at) < DAYS_7)
    }

    /// Those from a number on, for who announces them.
    pub(crate) fn from(&self, number: u32) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.number >= number)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Event> {
        self.events.iter().find(|event| event.number == number)
    }

    /// The number that the next event gets.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }
}
