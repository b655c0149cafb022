//! What is not attempted for now, although it was planned: what people paused, and what stops while Basiq itself
//! is at fault (behaviour, sections 3 and 8). The planner says it, and every line of the outbox heeds it.

use std::collections::BTreeSet;

use super::{
    Pause, Planner,
    causes::{Fault, Trouble},
};
use crate::{
    demand::Action,
    evidence::Snapshot,
    store::{Effect, Payload},
};

/// What stops effects that are planned already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// What people paused.
    pub pauses: BTreeSet<Pause>,
    /// Basiq itself is at fault: messages to users and refreshes stop.
    pub platform: bool,
}

/// Why an effect is not attempted for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Until a person resumes it.
    Paused,
    /// Until Basiq works again.
    Platform,
}

impl Stop {
    /// As a sentence, for the effect's reason.
    pub fn why(self) -> &'static str {
        match self {
            Self::Paused => "paused by a person",
            Self::Platform => "Basiq itself is at fault: it waits until Basiq works",
        }
    }
}

impl Stops {
    /// From rows of the planner as a store keeps them: kind and body. Rows of other kinds say nothing.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn read(rows: &[(String, String)]) -> Result<Self, serde_json::Error> {
        let mut stops = Self::default();
        for (kind, body) in rows {
            match kind.as_str() {
                "pause" => {
                    stops.pauses.insert(serde_json::from_str(body)?);
                }
                "trouble" => {
                    let trouble: Trouble = serde_json::from_str(body)?;
                    stops.platform |= trouble.fault == Fault::Platform && trouble.ended.is_none();
                }
                _ => {}
            }
        }
        Ok(stops)
    }

    /// Why this effect is not attempted for now; `None` if nothing stops it.
    pub fn of(&self, effect: &Effect, snapshot: &Snapshot) -> Option<Stop> {
        if self.pauses.iter().any(|pause| covers(pause, effect, snapshot)) {
            return Some(Stop::Paused);
        }
        let stops = matches!(effect.action, Action::NotifyUser | Action::RefreshConnection);
        (self.platform && stops).then_some(Stop::Platform)
    }
}

/// Whether the pause covers anything of the effect. What speaks of several connections waits for the last of them.
fn covers(pause: &Pause, effect: &Effect, snapshot: &Snapshot) -> bool {
    let covers = |institution: &str, user: &str| pause.covers(effect.action, &effect.rule, institution, user);
    match &effect.payload {
        Payload::Message(message) => {
            // Users of one address share a message.
            message.connections.iter().any(|of| {
                let user = if of.user.is_empty() { &message.user } else { &of.user };
                covers(&of.institution, user)
            })
        }
        Payload::Refresh { user, connection, .. } => {
            let facts = snapshot.connections.get(connection.as_str());
            covers(facts.map_or("", |facts| &facts.institution), user)
        }
        // A ticket about many is about none of them alone.
        Payload::Ticket { ticket, cases } => {
            let user = cases.first().filter(|_| cases.len() == 1).map_or("", |(user, ..)| user);
            covers(&ticket.institution, user)
        }
        Payload::Comment { institution, user, .. } => covers(institution, user),
        Payload::Notice(_) => covers("", ""),
    }
}

impl Planner {
    /// What stops effects that are planned already.
    pub fn stops(&self) -> Stops {
        Stops { pauses: self.pauses.clone(), platform: self.platform().is_some() }
    }
}
