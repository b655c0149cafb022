//! Webhooks: who subscribed, what is still to be told, and the sender that tells it.
//!
//! Signed as Standard Webhooks, retried on Basiq's schedule, and disabled when the schedule is used up.

mod sender;
mod sweep;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use sender::run;

use crate::draw::Draw;

/// Basiq's waits between attempts; when they are used up, the endpoint is disabled.
const WAITS: [SignedDuration; 7] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(10),
    SignedDuration::from_hours(10),
];
/// Messages kept for each subscription, oldest dropped first.
const MOST_MESSAGES: usize = 10_000;

/// A delivery that an honest Basiq would not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trick {
    /// A message of the right form with a wrong signature.
    Forged,
    /// The last message, rightly signed with a time ten minutes ago.
    Late,
    /// The last message again, every byte the same.
    Replayed,
    /// The last event again under a new message id.
    Duplicated,
}

/// One subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) secret: String,
    pub(crate) disabled: bool,
    created: Timestamp,
    pub(crate) messages: VecDeque<Message>,
}

/// One message to one subscription.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) event_id: String,
    pub(crate) body: String,
    /// When it was tried, and what the endpoint answered (0: nothing).
    pub(crate) attempts: Vec<(Timestamp, u16)>,
    /// When it is tried next; nothing once it was taken or given up.
    next: Option<Timestamp>,
    under_way: bool,
}

/// All subscriptions of the sandbox.
#[derive(Debug, Default)]
pub(crate) struct Webhooks(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) subscriptions: Vec<Subscription>,
    /// The next event of each held user that was not announced.
    announced: HashMap<u32, u32>,
    /// Up to when generated users were swept.
    swept: Option<Timestamp>,
    /// Dishonest deliveries to make.
    tricks: VecDeque<Trick>,
    made: u64,
}

/// Why a subscription is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NotAUrl,
    UnknownEvent,
    AlreadySubscribed,
    UrlTaken,
}

impl Webhooks {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trick(&self, trick: Trick) {
        self.state().tricks.push_back(trick);
    }
}

impl State {
    fn uuid(&mut self, seed: u64, purpose: &str) -> String {
        self.made += 1;
        let draw = Draw::new(seed, purpose).with(self.made);
        let (a, b) = (draw.bits(), draw.with(1).bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0xfff,
            b & 0xffff_ffff_ffff
        )
    }

    /// Adds a subscription (`id` none) or changes one; its id.
    pub(crate) fn put(
        &mut self,
        seed: u64,
        now: Timestamp,
        id: Option<&str>,
        name: &str,
        url: &str,
        events: Vec<String>,
    ) -> Result<String, Refused> {
        let known = |event: &String| crate::world::events::TYPES.iter().any(|(kind, _)| kind == event);
        if !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(Refused::NotAUrl);
        }
        if !events.iter().all(known) {
            return Err(Refused::UnknownEvent);
        }
        let others = || self.subscriptions.iter().filter(|other| Some(other.id.as_str()) != id);
        if others().any(|other| other.url == url) {
            return Err(Refused::UrlTaken);
        }
        if others().any(|other| other.events.iter().any(|event| events.contains(event))) {
            return Err(Refused::AlreadySubscribed);
        }
        if let Some(existing) =
            self.subscriptions.iter_mut().find(|existing| Some(existing.id.as_str()) == id)
        {
            existing.name = name.to_owned();
            existing.url = url.to_owned();
            existing.events = events;
            existing.disabled = false;
            return Ok(existing.id.clone());
        }
        let id = self.uuid(seed, "webhook");
        let key: Vec<u8> = (0..3)
            .flat_map(|part| {
                Draw::new(seed, "webhook secret").with(self.made).with(part).bits().to_be_bytes()
            })
            .collect();
        self.subscriptions.push(Subscription {
            id: id.clone(),
            name: name.to_owned(),
            url: url.to_owned(),
            events,
            secret: format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key)),
            disabled: false,
            created: now,
            messages: VecDeque::new(),
        });
        Ok(id)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.id == id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.id != id);
        self.subscriptions.len() < before
    }

    /// Plans a message about an event to whoever subscribed to its type before it happened.
    pub(crate) fn announce(&mut self, seed: u64, now: Timestamp, event: &Announced) {
        for index in 0..self.subscriptions.len() {
            let id = self.uuid(seed, "message");
            let subscription = &mut self.subscriptions[index];
            if subscription.disabled
                || event.at < subscription.created
                || !subscription.events.contains(&event.kind)
            {
                continue;
            }
            subscription.push(Message {
                id,
                kind: event.kind.clone(),
                event_id: event.id.clone(),
                body: event.body.clone(),
                attempts: Vec::new(),
                next: Some(now),
                under_way: false,
            });
        }
    }
}

/// An event as messages carry it.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) body: String,
}

impl Subscription {
    fn push(&mut self, message: Message) {
        if self.messages.len() >= MOST_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}

impl Message {
    /// Notes how an attempt ended; true if the endpoint is to be disabled.
    fn attempted(&mut self, at: Timestamp, status: u16) -> bool {
        self.under_way = false;
        self.attempts.push((at, status));
        if (200..300).contains(&status) {
            self.next = None;
            return false;
        }
        self.next = WAITS.get(self.attempts.len() - 1).map(|wait| at + *wait);
        self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_retried_on_basiqs_schedule_and_then_given_up() {
        let mut message = Message {
            id: String::new(),
            kind: String::new(),
            event_id: String::new(),
            body: String::new(),
            attempts: Vec::new(),
            next: None,
            under_way: true,
        };
        let mut at = Timestamp::UNIX_EPOCH;
        for wait in WAITS {
            assert!(!message.attempted(at, 500));
            assert_eq!(message.next, Some(at + wait));
            at += wait;
        }
        assert!(message.attempted(at, 0), "the endpoint is disabled after the last");
    }
}
