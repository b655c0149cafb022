//! What was pushed and has not ended. Pure: alerts and the time come in, changes go out; what could not be
//! committed is taken back, as if it had never come.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use daemon::Timestamp;
use jiff::SignedDuration;
use promql::Labels;
use serde::{Deserialize, Serialize};

use super::alert::Received;
use crate::{
    demand::{Demand, StateRow, Subject},
    rules::{Ask, Changes, NOTHING, fingerprint},
    sources::Row,
};

/// How long the end of an alert is remembered: a batch that was on its way before it must not open it anew.
const REMEMBER: SignedDuration = SignedDuration::from_hours(1);
/// More alerts than any installation has firing.
const MAX_ALERTS: usize = 1_000_000;

/// One alert as it was sent last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
}

impl Entry {
    /// When something happens to it by itself: what has a connection ends when it was not sent again in time, and
    /// the end of any is forgotten. An alert without a connection is not ended by silence: whoever sent it may be
    /// down.
    fn due(&self) -> Option<Timestamp> {
        match self.ended {
            Some(ended) => ended.checked_add(REMEMBER).ok(),
            None => self.ends_at.filter(|_| matches!(subject(&self.labels), Subject::Connection { .. })),
        }
    }
}

/// All alerts that were pushed.
pub(super) struct Pushed {
    source: Arc<str>,
    templates: Arc<[String]>,
    entries: HashMap<u64, Entry>,
    /// [`Entry::due`] of all that have one.
    due: BTreeSet<(Timestamp, u64)>,
    /// What was there before the changes that are not kept yet.
    before: Vec<(u64, Option<Entry>)>,
}

impl Pushed {
    /// Puts back what the store kept.
    pub(super) fn restore(source: Arc<str>, templates: Arc<[String]>, rows: &[Row]) -> (Self, Changes) {
        let (entries, due, before) = (HashMap::new(), BTreeSet::new(), Vec::new());
        let mut pushed = Self { source, templates, entries, due, before };
        let mut changes = Changes::default();
        for (key, body) in rows {
            match (u64::from_str_radix(key, 16), serde_json::from_slice::<Entry>(body)) {
                (Ok(key), Ok(entry)) => pushed.set(key, Some(entry)),
                _ => changes.state.push(StateRow::new(key.clone(), None)),
            }
        }
        pushed.keep();
        (pushed, changes)
    }

    /// Keeps what was changed since the last call: it is durable.
    pub(super) fn keep(&mut self) {
        self.before.clear();
    }

    /// Takes back what was changed since the last [`Pushed::keep`].
    pub(super) fn take_back(&mut self) {
        for (key, entry) in std::mem::take(&mut self.before).into_iter().rev() {
            self.set(key, entry);
        }
        self.before.clear();
    }

    fn set(&mut self, key: u64, entry: Option<Entry>) {
        let due = entry.as_ref().and_then(Entry::due);
        let before = match entry {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        };
        if let Some(before) = before.as_ref().and_then(Entry::due) {
            self.due.remove(&(before, key));
        }
        self.due.extend(due.map(|due| (due, key)));
        self.before.push((key, before));
    }

    /// Takes a batch. What it says of one alert that is wrong is returned, and changes nothing.
    pub(super) fn receive(
        &mut self,
        batch: Vec<Result<Received, String>>,
        now: Timestamp,
    ) -> (Changes, Vec<String>) {
        let (mut changes, mut errors) = (Changes::default(), Vec::new());
        for (n, received) in batch.into_iter().enumerate() {
            match received {
                Err(reason) => errors.push(reason),
                Ok(received) if received.labels.get("action").is_none_or(|action| action == NOTHING) => {}
                Ok(received) => {
                    if let Err(reason) = self.one(received, now, &mut changes) {
                        errors.push(format!("alert {n}: {reason}"));
                    }
                }
            }
        }
        (changes, errors)
    }

    fn one(&mut self, received: Received, now: Timestamp, changes: &mut Changes) -> Result<(), String> {
        let Received { labels, annotations, starts_at, ends_at, resolved } = received;
        let key = fingerprint(labels.iter().map(|(name, value)| (&**name, &**value)));
        let known = self.entries.get(&key);
        let starts_at = starts_at.or(known.map(|known| known.starts_at)).unwrap_or(now);
        let over = resolved || ends_at.is_some_and(|at| at <= now);
        // Batches overtake each other: of an alert that ended, only one that began later is news; and an end of
        // what had begun earlier does not end what has begun since.
        match known {
            Some(known) if known.ended.is_some() && starts_at <= known.starts_at => return Ok(()),
            Some(known) if known.ended.is_none() && starts_at < known.starts_at => return Ok(()),
            None if over => return Ok(()),
            None if self.entries.len() >= MAX_ALERTS => return Err("too many alerts".to_owned()),
            _ => {}
        }
        let entry = Entry { labels, annotations, starts_at, ends_at, ended: over.then_some(now) };
        let demand = self.demand(key, &entry)?;
        if over {
            changes.ended.push(demand);
        } else if known.is_none_or(|known| known.ended.is_some() || known.annotations != entry.annotations) {
            changes.firing.push(demand);
        }
        self.put(key, entry, changes);
        Ok(())
    }

    fn put(&mut self, key: u64, entry: Entry, changes: &mut Changes) {
        let row = format!("{key:016x}");
        changes.state.retain(|earlier| earlier.key() != row);
        changes.state.push(StateRow::new(row, serde_json::to_vec(&entry).ok()));
        self.set(key, Some(entry));
    }

    /// Ends what was not sent again in time, and forgets what ended long ago.
    pub(super) fn expire(&mut self, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        while let Some((due, key)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            match self.entries.get(&key).cloned() {
                Some(entry) if entry.ended.is_none() => {
                    changes.ended.extend(self.demand(key, &entry));
                    self.put(key, Entry { ended: Some(now), ..entry }, &mut changes);
                }
                Some(_) => {
                    changes.state.push(StateRow::new(format!("{key:016x}"), None));
                    self.set(key, None);
                }
                None => {
                    self.due.remove(&(due, key));
                }
            }
        }
        changes
    }

    /// When there is next something for [`Pushed::expire`] to do.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Everything that fires.
    pub(super) fn firing(&self) -> Vec<Demand> {
        let open = self.entries.iter().filter(|(_, entry)| entry.ended.is_none());
        open.filter_map(|(key, entry)| self.demand(*key, entry).ok()).collect()
    }

    fn demand(&self, key: u64, entry: &Entry) -> Result<Demand, String> {
        let templates: Vec<&str> = self.templates.iter().map(String::as_str).collect();
        let annotation = |name: &str| entry.annotations.get(name).map(String::as_str);
        let action = entry.labels.get("action").map(String::as_str);
        let ask = Ask::read(action, annotation, &templates).map_err(|errors| {
            let reasons: Vec<_> =
                errors.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            reasons.join("; ")
        })?;
        let ask = ask.ok_or("label action is missing")?;
        let rule = entry.labels.get("alertname").ok_or("label alertname is missing")?;
        Ok(Demand {
            source: self.source.clone(),
            rule: rule.as_str().into(),
            definition: Arc::default(),
            action: ask.action,
            subject: subject(&entry.labels),
            labels: Labels::new(&entry.labels),
            annotations: entry.annotations.clone().into(),
            template: ask.template,
            closing_template: ask.closing_template,
            numbers: ask.numbers,
            starts_at: entry.starts_at,
            fingerprint: key,
        })
    }
}

fn subject(labels: &BTreeMap<String, String>) -> Subject {
    match (labels.get("connection_id"), labels.get("user_id")) {
        (Some(connection), Some(user)) => {
            Subject::Connection { connection: connection.as_str().into(), user: user.as_str().into() }
        }
        _ => Subject::Other,
    }
}
