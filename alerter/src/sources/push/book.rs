//! What was pushed and has not ended. Pure: alerts and the time come in, changes go out; what could not be
//! committed is taken back, as if it had never come.
//!
//! What is not sent again in time is no longer asked for if it has a connection: the evidence says whether that one
//! fails. Without a connection nothing else says that it is over: it becomes unknown, lasts, and operators hear of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use daemon::Timestamp;
use jiff::SignedDuration;
use promql::{Interner, Labels};
use serde::{Deserialize, Serialize};

use super::alert::Received;
use crate::{
    demand::{Action, Annotations, Demand, Numbers, StateRow, Subject},
    rules::{Ask, Changes, NOTHING, fingerprint},
    sources::Row,
};

/// How long the end of an alert is remembered: a batch that was on its way before it must not open it anew.
const REMEMBER: SignedDuration = SignedDuration::from_hours(1);
/// After a start nothing counts as not sent again for so long: Prometheus sends every minute what fires
/// (`--rules.alert.resend-delay`), and what it sent meanwhile was lost.
const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// More alerts than any installation has firing.
const MAX_ALERTS: usize = 1_000_000;
/// Texts are let go of after so many alerts were forgotten, or as many as there are.
const SWEEP: usize = 1000;
/// The notice that tells operators of what became unknown.
pub(super) const SILENT: &str = "BasiqAlerterSenderSilent";
/// Of so many rules the notice gives the names.
const NAMED: usize = 10;

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
    /// Since when it has not been sent again in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silent: Option<Timestamp>,
}

impl Entry {
    /// When something happens to it by itself: it was not sent again in time, which counts from `listening` on, or
    /// its end is forgotten.
    fn due(&self, listening: Timestamp) -> Option<Timestamp> {
        match (self.ended, self.silent) {
            (Some(ended), _) => ended.checked_add(REMEMBER).ok(),
            (None, Some(_)) => None,
            (None, None) => self.ends_at.map(|at| at.max(listening)),
        }
    }

    /// Whether nobody knows if it is over.
    fn unknown(&self) -> bool {
        self.ended.is_none() && self.silent.is_some()
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
    /// From when on silence counts.
    listening: Timestamp,
    /// [`Entry::unknown`].
    unknown: BTreeSet<u64>,
    /// What was there before the changes that are not kept yet.
    before: Vec<(u64, Option<Entry>)>,
}

impl Pushed {
    /// Puts back what the store kept, to take alerts from `now` on.
    pub(super) fn restore(
        source: Arc<str>,
        templates: Arc<[String]>,
        rows: &[Row],
        now: Timestamp,
    ) -> (Self, Changes) {
        let mut pushed = Self {
            source,
            templates,
            entries: HashMap::new(),
            texts: Interner::new(),
            forgotten: 0,
            due: BTreeSet::new(),
            listening: now.saturating_add(GRACE).unwrap_or(now),
            unknown: BTreeSet::new(),
            before: Vec::new(),
        };
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
        let due = entry.as_ref().and_then(|entry| entry.due(self.listening));
        if entry.as_ref().is_some_and(Entry::unknown) {
            self.unknown.insert(key);
        } else {
            self.unknown.remove(&key);
        }
        let before = match entry {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        };
        if let Some(before) = before.as_ref().and_then(|before| before.due(self.listening)) {
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
        let quiet = self.unknown.is_empty();
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
        self.tell_silence(quiet, now, &mut changes);
        (changes, errors)
    }

    fn one(&mut self, received: Received, now: Timestamp, changes: &mut Changes) -> Result<(), String> {
        let Received { labels, annotations, starts_at, ends_at, resolved } = received;
        let key = fingerprint(labels.iter().map(|(name, value)| (&**name, &**value)));
        let known = self.entries.get(&key);
        let starts_at = starts_at.or(known.map(|known| known.starts_at)).unwrap_or(now);
        let over = resolved || ends_at.is_some_and(|at| at <= now);
        // Batches overtake each other: of an alert that ended, only one that began later is news; and an end of
        // what had begun earlier does not end what has begun since. What ended because it was not sent again is
        // there again once it is.
        match known {
            Some(known) if known.ended.is_some() && known.silent.is_some() && !over => {}
            Some(known) if known.ended.is_some() && starts_at <= known.starts_at => return Ok(()),
            Some(known) if known.ended.is_none() && starts_at < known.starts_at => return Ok(()),
            None if over => return Ok(()),
            None if self.entries.len() >= MAX_ALERTS => return Err("too many alerts".to_owned()),
            _ => {}
        }
        let labels = self.texts.labels(&labels);
        let annotations = Annotations::from(annotations);
        let entry =
            Entry { labels, annotations, starts_at, ends_at, ended: over.then_some(now), silent: None };
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

    /// Ends what was not sent again in time or makes it unknown, and forgets what ended long ago.
    pub(super) fn expire(&mut self, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let quiet = self.unknown.is_empty();
        while let Some((due, key)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            match self.entries.get(&key).cloned() {
                Some(entry) if entry.ended.is_none() => {
                    let connection = matches!(subject(&entry.labels), Subject::Connection { .. });
                    if connection {
                        changes.ended.extend(self.demand(key, &entry));
                    }
                    let ended = connection.then_some(now);
                    self.put(key, Entry { ended, silent: Some(now), ..entry }, &mut changes);
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
        self.tell_silence(quiet, now, &mut changes);
        changes
    }

    /// Says that the first alert became unknown, or that none is any more.
    fn tell_silence(&self, quiet: bool, now: Timestamp, changes: &mut Changes) {
        match (quiet, self.unknown.is_empty()) {
            (true, false) => changes.firing.push(self.silence(now)),
            (false, true) => changes.ended.push(self.silence(now)),
            _ => {}
        }
    }

    /// The demand that operators hear of what is unknown.
    fn silence(&self, now: Timestamp) -> Demand {
        let unknown = || self.unknown.iter().filter_map(|key| self.entries.get(key));
        let rules: BTreeSet<&str> = unknown().filter_map(|entry| entry.labels.get("alertname")).collect();
        let named: Vec<&str> = rules.iter().copied().take(NAMED).collect();
        let more = if rules.len() > NAMED { ", and others" } else { "" };
        let texts = [
            ("summary", "Alerts are not sent any more, and nobody said that they are over".to_owned()),
            (
                "description",
                format!(
                    "{}{more}. Each lasts until it is sent again or resolved. See whether what sends alerts to \
                     the source {} still runs and reaches it.",
                    named.join(", "),
                    self.source
                ),
            ),
        ];
        let texts: BTreeMap<String, String> =
            texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let labels = Labels::new([("alertname", SILENT), ("severity", "warning"), ("source", &*self.source)]);
        Demand {
            source: self.source.clone(),
            rule: SILENT.into(),
            definition: Arc::default(),
            action: Action::NotifyOperator,
            subject: Subject::Other,
            fingerprint: fingerprint(labels.iter()),
            labels,
            annotations: texts.into(),
            template: None,
            closing_template: None,
            numbers: Arc::new(Numbers::default()),
            starts_at: unknown().filter_map(|entry| entry.silent).min().unwrap_or(now),
        }
    }

    /// When there is next something for [`Pushed::expire`] to do.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Everything that fires, or whose end nobody knows.
    pub(super) fn firing(&self, now: Timestamp) -> Vec<Demand> {
        let open = self.entries.iter().filter(|(_, entry)| entry.ended.is_none());
        let open = open.filter_map(|(key, entry)| self.demand(*key, entry).ok());
        open.chain((!self.unknown.is_empty()).then(|| self.silence(now))).collect()
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
