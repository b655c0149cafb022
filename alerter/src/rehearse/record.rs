//! What was played: one by one, and counted by day and rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use daemon::Timestamp;
use serde::Serialize;

use crate::store::{Effect, EffectState, Payload, Phase};

/// How much of an id is shown.
const SHOWN: usize = 4;

/// One thing that would have been done, or would have ended without.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Played {
    /// When.
    pub at: Timestamp,
    /// What it is: an opening, a refresh, a ticket, ….
    pub phase: Phase,
    /// How it ended.
    pub state: EffectState,
    /// The rule that asked for it.
    pub rule: String,
    /// The template of a message, the subject of a ticket.
    pub what: String,
    /// About whom, ids cut to their first characters.
    pub about: String,
    /// How many connections it speaks of.
    pub connections: usize,
    /// Why it ended so, unless it was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Played {
    pub(super) fn of(at: Timestamp, effect: &Effect) -> Self {
        let mut played = Self {
            at,
            phase: effect.phase,
            state: effect.state,
            rule: effect.rule.clone(),
            what: String::new(),
            about: String::new(),
            connections: effect.incidents.len(),
            reason: if done(effect.state) { String::new() } else { effect.reason.clone() },
        };
        match &effect.payload {
            Payload::Message(message) => {
                played.what.clone_from(&message.template);
                let banks: BTreeSet<&str> =
                    message.connections.iter().map(|connection| connection.institution.as_str()).collect();
                let banks = Vec::from_iter(banks).join(", ");
                played.about = format!("user {} at {banks}", redacted(&message.user));
            }
            Payload::Refresh { user, connection, .. } => {
                played.about = format!("connection {} of user {}", redacted(connection), redacted(user));
            }
            Payload::Ticket { cases, .. } => {
                played.about = match cases.as_slice() {
                    [(user, connection, _)] => {
                        format!("connection {} of user {}", redacted(connection), redacted(user))
                    }
                    cases => format!("{} connections", cases.len().max(effect.incidents.len())),
                };
            }
            Payload::Comment { .. } => "on a ticket".clone_into(&mut played.about),
            Payload::Notice(notice) => {
                played.what = notice.labels.get("alertname").cloned().unwrap_or_default();
                "operators".clone_into(&mut played.about);
                if notice.ended.is_some() {
                    played.what.push_str(" (over)");
                }
            }
        }
        played
    }
}

/// The first characters of an id: enough to find it, too little to use it.
pub(super) fn redacted(id: &str) -> String {
    let shown: String = id.chars().take(SHOWN).collect();
    format!("{shown}…")
}

fn done(state: EffectState) -> bool {
    matches!(state, EffectState::Delivered | EffectState::DryRun)
}

/// Everything that was played.
#[derive(Clone, Debug, Default)]
pub struct Record {
    played: Vec<Played>,
    /// Messages held back, by day.
    held: BTreeMap<String, usize>,
}

impl Record {
    /// One by one, in order.
    pub fn played(&self) -> &[Played] {
        &self.played
    }

    /// How many messages were held back.
    pub fn all_held(&self) -> usize {
        self.held.values().sum()
    }

    pub(super) fn play(&mut self, played: Played) {
        self.played.push(played);
    }

    pub(super) fn hold(&mut self, at: Timestamp) {
        *self.held.entry(day(at)).or_default() += 1;
    }

    /// By day (UTC) and rule: how much of each kind was done, and how much ended without.
    pub fn days(&self) -> Vec<Day> {
        let mut days: BTreeMap<(String, String), Day> = BTreeMap::new();
        for played in &self.played {
            let key = (day(played.at), played.rule.clone());
            let row =
                days.entry(key.clone()).or_insert_with(|| Day { day: key.0, rule: key.1, ..Day::default() });
            row.count(played);
        }
        for (day, number) in &self.held {
            let key = (day.clone(), String::new());
            let row = days.entry(key).or_insert_with(|| Day { day: day.clone(), ..Day::default() });
            row.held += number;
        }
        days.into_values().collect()
    }

    /// The table of [`Record::days`], and its sums.
    pub fn table(&self) -> String {
        let days = self.days();
        let wide = days.iter().map(|day| day.rule.len()).max().unwrap_or(0).max(10);
        let mut text = format!(
            "{:<10}  {:<wide$}  {:>8}  {:>9}  {:>7}  {:>8}  {:>7}  {:>6}  {:>8}\n",
            "day", "rule", "messages", "refreshes", "tickets", "comments", "notices", "held", "not done"
        );
        let mut all = Day { day: "all".to_owned(), ..Day::default() };
        for day in &days {
            all.messages += day.messages;
            all.refreshes += day.refreshes;
            all.tickets += day.tickets;
            all.comments += day.comments;
            all.notices += day.notices;
            all.held += day.held;
            all.not_done += day.not_done;
        }
        for row in days.iter().chain([&all]) {
            let rule = if row.rule.is_empty() { "-" } else { &row.rule };
            let _ = writeln!(
                text,
                "{:<10}  {rule:<wide$}  {:>8}  {:>9}  {:>7}  {:>8}  {:>7}  {:>6}  {:>8}",
                row.day,
                row.messages,
                row.refreshes,
                row.tickets,
                row.comments,
                row.notices,
                row.held,
                row.not_done
            );
        }
        text
    }

    /// One line each.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for played in &self.played {
            let Played { at, phase, state, rule, what, about, connections, reason } = played;
            let state = if *state == EffectState::Delivered { "" } else { state.as_str() };
            let more = if *connections > 1 { format!(" ({connections} connections)") } else { String::new() };
            let line = format!("{at:.0}  {:<8}  {what:<14}  {about}{more}  {rule}  {state}", phase.as_str());
            let _ = write!(text, "{}", line.trim_end());
            let _ = if reason.is_empty() { writeln!(text) } else { writeln!(text, ": {reason}") };
        }
        text
    }
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// One row of the count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The day, in UTC.
    pub day: String,
    /// The rule; empty for what no rule asked for.
    pub rule: String,
    /// Openings, closings and last words.
    pub messages: usize,
    /// Refreshes asked for.
    pub refreshes: usize,
    /// Tickets filed.
    pub tickets: usize,
    /// Comments on them.
    pub comments: usize,
    /// Notices to operators.
    pub notices: usize,
    /// Messages held back for a person to decide.
    pub held: usize,
    /// Planned, and ended without having been done.
    pub not_done: usize,
}

impl Day {
    fn count(&mut self, played: &Played) {
        let number = match played.phase {
            _ if !done(played.state) => &mut self.not_done,
            Phase::Opening | Phase::GaveUp | Phase::Closing => &mut self.messages,
            Phase::Refresh => &mut self.refreshes,
            Phase::Ticket => &mut self.tickets,
            Phase::Comment => &mut self.comments,
            Phase::Notice => &mut self.notices,
        };
        *number += 1;
    }
}
