//! What the templates are given.

use daemon::Timestamp;
use serde::Serialize;

use super::words::{self, Time};
use crate::{
    incidents::{Class, Incident, MessageState, Status, TicketState},
    store::{Effect, EffectState, Payload, TimelineEntry},
};

/// A word in a colour.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chip {
    pub tone: &'static str,
    pub text: String,
}

fn chip((tone, text): (&'static str, &str)) -> Chip {
    Chip { tone, text: text.to_owned() }
}

/// An incident in a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub reference: String,
    pub next_step: &'static str,
    pub ended: bool,
    pub institution: String,
    pub institution_name: String,
    pub scenario: String,
    pub words: String,
    pub open: bool,
    pub since: Time,
    pub connection: String,
    pub user: String,
    pub chips: Vec<Chip>,
}

impl Row {
    pub(super) fn new(incident: &Incident, now: Timestamp) -> Self {
        Self {
            reference: incident.reference.clone(),
            next_step: words::next_step(incident),
            ended: !incident.is_open(),
            institution: incident.institution.clone(),
            institution_name: incident.institution_name.clone(),
            scenario: incident.scenario.clone(),
            words: words::scenario(&incident.scenario).to_owned(),
            open: incident.is_open(),
            since: Time::new(incident.failing_since, now),
            connection: incident.connection.clone(),
            user: incident.user.clone(),
            chips: chips(incident),
        }
    }
}

fn chips(incident: &Incident) -> Vec<Chip> {
    let mut chips = Vec::new();
    if let Status::Ended { reason, .. } = &incident.status {
        chips.push(Chip { tone: "good", text: words::end(reason).to_owned() });
    }
    if incident.baseline.is_some() {
        chips.push(chip(("quiet", "baseline: no effects")));
    }
    if incident.hold.is_some() {
        chips.push(chip(("warn", "message held")));
    }
    if incident.outage.since.is_some() {
        chips.push(chip(("bad", "major outage")));
    }
    if incident.queued {
        chips.push(chip(("plain", "in Basiq's retry queue")));
    }
    chips.extend(incident.messages.iter().map(|message| chip(words::message(&message.state))));
    match incident.attempts.len() {
        0 => {}
        1 => chips.push(chip(("plain", "refreshed once"))),
        times => chips.push(Chip { tone: "plain", text: format!("refreshed {times} times") }),
    }
    if let Some(ticket) = &incident.ticket {
        chips.push(chip(words::ticket(ticket.state)));
    }
    chips
}

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fact {
    pub name: &'static str,
    pub value: String,
    pub time: Option<Time>,
}

/// One incident in full.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Whole {
    pub said: Option<&'static str>,
    pub row: Row,
    pub next_step: &'static str,
    pub facts: Vec<Fact>,
    pub timeline: Vec<Line>,
    pub effects: Vec<Out>,
    pub hold: Option<u64>,
    pub baseline: bool,
    /// The user can say that the bank's pop-up is dealt with.
    pub done: bool,
    /// Its ticket can have been closed by a person.
    pub ticket: bool,
}

/// One line of a story.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub at: Time,
    pub what: String,
    pub tone: &'static str,
    pub text: String,
    /// The message that it speaks of, which can be shown.
    pub effect: Option<String>,
}

impl Whole {
    pub(super) fn new(
        incident: &Incident,
        timeline: &[TimelineEntry],
        effects: &[Effect],
        now: Timestamp,
        said: Option<&'static str>,
    ) -> Self {
        let messages: Vec<&str> = effects
            .iter()
            .filter(|effect| matches!(effect.payload, Payload::Message(_)))
            .map(|effect| effect.key.as_str())
            .collect();
        let line = |entry: &TimelineEntry| Line {
            at: Time::new(entry.at, now),
            what: words::event(&entry.what).to_owned(),
            tone: words::event_tone(&entry.what),
            text: entry.text.clone(),
            effect: entry.effect.clone().filter(|key| messages.contains(&key.as_str())),
        };
        Self {
            said,
            row: Row::new(incident, now),
            next_step: words::next_step(incident),
            facts: facts(incident, now),
            timeline: timeline.iter().map(line).collect(),
            effects: effects.iter().map(|effect| Out::new(effect, now)).collect(),
            hold: incident.hold,
            baseline: incident.is_open() && incident.baseline.is_some(),
            done: incident.is_open() && incident.class == Class::BankAction && incident.done.is_none(),
            ticket: incident.is_open()
                && incident.ticket.as_ref().is_some_and(|ticket| ticket.state == TicketState::Filed),
        }
    }
}

fn facts(incident: &Incident, now: Timestamp) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut say = |name, value: &str| facts.push(Fact { name, value: value.to_owned(), time: None });
    say("Connection", &incident.connection);
    say("User", &incident.user);
    say("Institution", &format!("{} ({})", incident.institution_name, incident.institution));
    say("Method", &incident.method);
    say("Scenario", &incident.scenario);
    say("Fault lies with", words::cause(incident.cause));
    say("Failed jobs in a row", &incident.failed_jobs.to_string());
    let mut optional = |name, value: &Option<String>| {
        if let Some(value) = value {
            say(name, value);
        }
    };
    optional("Baseline", &incident.baseline);
    optional("Last refresh withheld", &incident.withheld);
    optional("No more refreshes", &incident.refresh_refused);
    if let Some(ticket) = &incident.ticket {
        say("Ticket", ticket.remote.as_deref().unwrap_or(&ticket.key));
    }
    for message in &incident.messages {
        if let MessageState::Failed { why } = &message.state {
            say("Message failed", why);
        }
    }
    let mut date = |name, at| facts.push(Fact { name, value: String::new(), time: Some(Time::new(at, now)) });
    date("Fails since", incident.failing_since);
    date("Newest failure", incident.last_failure);
    date("Opened", incident.opened);
    if let Some(since) = incident.outage.since {
        date("Major outage since", since);
    }
    if let Status::Ended { at, .. } = incident.status {
        date("Ended", at);
    }
    facts
}

/// Something that went out, or shall.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Out {
    pub key: String,
    pub what: &'static str,
    pub title: String,
    pub state: Chip,
    pub reason: String,
    pub channel: String,
    pub rule: String,
    pub remote: Option<String>,
    pub attempts: u32,
    pub changed: Time,
    /// When it is tried next, while it waits.
    pub next: Option<Time>,
    pub incidents: Vec<String>,
    /// It is a message that can be shown.
    pub message: bool,
    /// It can be tried now.
    pub retry: bool,
    /// It can be withdrawn.
    pub cancel: bool,
    /// The text of a ticket, comment or notice.
    pub text: Option<String>,
}

impl Out {
    pub(super) fn new(effect: &Effect, now: Timestamp) -> Self {
        let (title, text) = match &effect.payload {
            Payload::Message(message) => (format!("“{}”", message.template), None),
            Payload::Refresh { connection, .. } => (connection.clone(), None),
            Payload::Ticket { ticket, .. } => (ticket.subject.clone(), Some(ticket.body.clone())),
            Payload::Comment { text, .. } => (String::new(), Some(text.clone())),
            Payload::Notice(notice) => (notice.summary.clone(), Some(notice.description.clone())),
        };
        let waits =
            matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Unknown);
        Self {
            key: effect.key.clone(),
            what: words::phase(effect.phase),
            title,
            state: chip((words::tone(effect.state), effect.state.as_str())),
            reason: effect.reason.clone(),
            channel: effect.channel.clone(),
            rule: effect.rule.clone(),
            remote: effect.remote.clone(),
            attempts: effect.attempts,
            changed: Time::new(effect.changed, now),
            next: waits.then(|| Time::new(effect.next_attempt, now)),
            incidents: effect.incidents.clone(),
            message: matches!(effect.payload, Payload::Message(_)),
            retry: waits
                || matches!(
                    effect.state,
                    EffectState::Held
                        | EffectState::Dead
                        | EffectState::Expired
                        | EffectState::Unreachable
                        | EffectState::Cancelled
                ),
            cancel: waits || effect.state == EffectState::Held,
            text,
        }
    }
}
