//! What was pushed and has not ended. Pure: alerts and the time come in, changes go out; what could not be
//! committed is taken back, as if it had never come.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use daemon::Timestamp;
use jiff::SignedDuration;
use promql::{Interner, Labels};
use serde::{Deserialize, Serialize};

use super::alert::Received;
use crate::{
    demand::{Annotations, Demand, StateRow, Subject},
    rules::{Ask, Changes, NOTHING, fingerprint},
    sources::Row,
};

/// How long the end of an alert is remembered: a batch that was on its way before it must not open it anew.
const REMEMBER: SignedDuration = SignedDuration::from_hours(1);
/// More alerts than any installation has firing.
const MAX_ALERTS: usize = 1_000_000;
/// Texts are let go of after so many alerts were forgotten, or as many as there are.
const SWEEP: usize = 1000;

/// One alert as it was sent last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "crate::demand::labels")]
    labels: Labels,
    annotations: Annotations,
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
    /// Most labels are those of many alerts.
    texts: Interner,
    /// How many were forgotten since texts that nobody holds were let go of.
    forgotten: usize,
    /// [`Entry::due`] of all that have one.
    due: BTreeSet<(Timestamp, u64)>,
    /// What was there before the changes that are not kept yet.
    before: Vec<(u64, Option<Entry>)>,
}

impl Pushed {
    /// Puts back what the store kept.
    pub(super) fn restore(source: Arc<str>, templates: Arc<[String]>, rows: &[Row]) -> (Self, Changes) {
        let (entries, due, before) = (HashMap::new(), BTreeSet::new(), Vec::new());
        let mut pushed =
            Self { source, templates, entries, texts: Interner::new(), forgotten: 0, due, before };
        let mut changes = Changes::default();
        for (key, body) in rows {
            match (u64::from_str_radix(key, 16), serde_json::from_slice::<Entry>(body)) {
                (Ok(key), Ok(mut entry)) => {
                    entry.labels = pushed.texts.labels(entry.labels.iter());
                    pushed.set(key, Some(entry));
                }
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
        // Of an alert that came twice the last word is kept.
        let mut seen = HashSet::with_capacity(changes.state.len());
        changes.state.reverse();
        changes.state.retain(|row| seen.insert(row.key().into_owned()));
        changes.state.reverse();
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
        let labels = self.texts.labels(&labels);
        let annotations = Annotations::from(annotations);
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
        changes.state.push(StateRow::new(format!("{key:016x}"), serde_json::to_vec(&entry).ok()));
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
                    self.forgotten += 1;
                }
                None => {
                    self.due.remove(&(due, key));
                }
            }
        }
        if self.forgotten > SWEEP.max(self.entries.len()) {
            self.forgotten = 0;
            self.texts.sweep();
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
        let annotations = entry.annotations.rendered();
        let annotation = |name: &str| annotations.get(name).map(String::as_str);
        let ask = Ask::read(entry.labels.get("action"), annotation, &templates).map_err(|errors| {
            let reasons: Vec<_> =
                errors.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            reasons.join("; ")
        })?;
        let ask = ask.ok_or("label action is missing")?;
        let rule = entry.labels.get_shared("alertname").ok_or("label alertname is missing")?;
        Ok(Demand {
            source: self.source.clone(),
            rule: rule.clone(),
            definition: Arc::default(),
            action: ask.action,
            subject: subject(&entry.labels),
            labels: entry.labels.clone(),
            annotations: entry.annotations.clone(),
            template: ask.template,
            closing_template: ask.closing_template,
            numbers: ask.numbers,
            starts_at: entry.starts_at,
            fingerprint: key,
        })
    }
}

fn subject(labels: &Labels) -> Subject {
    match (labels.get_shared("connection_id"), labels.get_shared("user_id")) {
        (Some(connection), Some(user)) => {
            Subject::Connection { connection: connection.clone(), user: user.clone() }
        }
        _ => Subject::Other,
    }
}
