//! What goes into a step of the planner, and what comes out.

use std::{hash::Hash, sync::Arc};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::Set;
use crate::{
    demand::{Action, Demand},
    evidence::Snapshot,
    incidents::Incident,
    refresh::Refreshed,
    store::{Effect, TimelineEntry},
};

/// Everything that happened since the last step.
#[derive(Debug, Default)]
pub struct Input {
    /// What sources said, in the order in which they said it.
    pub said: Vec<Said>,
    /// Where this step stands in a trace, if traces are on: the effects planned in it go on from there.
    pub traceparent: Option<String>,
    /// A newer look at the exporters.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What became of effects.
    pub outcomes: Vec<Outcome>,
    /// Persons that were looked up.
    pub people: Vec<(String, Person)>,
    /// What people asked for.
    pub commands: Vec<Command>,
    /// Effects as they stand, of which people asked for another try ([`Command::Retry`]).
    pub retried: Vec<Effect>,
    /// Persons whose address a relay says does not exist, with its code.
    pub refused: Vec<(String, String)>,
    /// Channels that are at fault, with what they said, or that work again.
    pub circuits: Vec<(String, Option<String>)>,
}

/// What a source said at one time.
#[derive(Debug, Default)]
pub struct Said {
    /// Demands that fire.
    pub firing: Vec<Demand>,
    /// Demands that ended.
    pub ended: Vec<Demand>,
}

/// Who is behind a Basiq user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person {
    /// The keyed hash of the resolved address.
    Hash(String),
    /// There is no address: a message will end `unreachable`.
    Nobody,
}

/// What became of an effect, with the effect as the outbox left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The effect; its state, reason, attempts and times are new.
    pub effect: Effect,
    /// Of a message that was delivered or went through dry run: the incidents it spoke of. Others of
    /// the effect had ended by then.
    pub spoke_of: Vec<String>,
    /// Of a refresh that was answered.
    pub refreshed: Option<Refreshed>,
    /// Of a refresh: the newest failure that the evidence showed just before it was asked for.
    pub failed_before: Option<Timestamp>,
}

/// What a person asks for through the page or the tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Plan and deliver nothing of this kind until resumed.
    Pause(Pause),
    /// Undo exactly this pause.
    Resume(Pause),
    /// The user dealt with the bank's pop-up: one refresh follows.
    Done {
        /// Basiq's connection id.
        connection: String,
    },
    /// Send what this hold keeps back, as far as it still holds.
    Release {
        /// The hold's number.
        hold: u64,
    },
    /// Never send what this hold keeps back.
    Discard {
        /// The hold's number.
        hold: u64,
    },
    /// Let incidents of the baseline have their effects.
    ReleaseBaseline {
        /// Only of this institution.
        institution: Option<String>,
        /// Only in this scenario.
        scenario: Option<String>,
        /// At most so many, longest failing first.
        number: Option<u32>,
    },
    /// Try this effect now, also if it ended without having been taken.
    Retry {
        /// Its key.
        effect: String,
    },
    /// Never do what waits.
    Cancel {
        /// The effect's key.
        effect: String,
    },
    /// Forget a user: cancel what waits, erase what names them.
    Forget {
        /// Basiq's user id.
        user: String,
    },
    /// A person closed the ticket of this incident. What is known already changes nothing.
    TicketClosed {
        /// The incident's reference.
        incident: String,
        /// "Won't fix": final for the incident.
        wont_fix: bool,
    },
    /// The ticket of this incident, which a person had closed, is open again.
    TicketOpened {
        /// The incident's reference.
        incident: String,
    },
}

/// What is paused; every field that is `None` means any. All `None` pauses everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// This action.
    pub action: Option<Action>,
    /// What this rule asked for.
    pub rule: Option<String>,
    /// Connections of this institution.
    pub institution: Option<String>,
    /// Connections of this user.
    pub user: Option<String>,
}

impl Pause {
    /// Whether it covers an effect of this kind.
    pub fn covers(&self, action: Action, rule: &str, institution: &str, user: &str) -> bool {
        self.action.is_none_or(|paused| paused == action)
            && self.rule.as_deref().is_none_or(|paused| paused == rule)
            && self.institution.as_deref().is_none_or(|paused| paused == institution)
            && self.user.as_deref().is_none_or(|paused| paused == user)
    }
}

/// A user who is forgotten: whatever else the store holds of them must lose its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Basiq's user id.
    pub user: String,
    /// The keyed hash of their address, where it is known.
    pub person: Option<String>,
    /// References of their incidents of which the planner knew; older ones are found by the user's id.
    pub incidents: Vec<String>,
}

/// What the planner keeps beside incidents and effects: a kind, a key within it, and JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `demand`, `rule`, `cooldown`, `storm`, `hold`, `pause`, `mode`, `trouble`, `tombstone`, …
    pub kind: &'static str,
    /// Unique within the kind.
    pub key: String,
    /// `None` deletes the row.
    pub body: Option<String>,
}

/// What a step decided. Committed as one before anything of it is acted on.
#[derive(Debug, Default)]
pub struct Changes {
    /// Incidents that are new or changed.
    pub incidents: Vec<Arc<Incident>>,
    /// Effects that are new or changed.
    pub effects: Vec<Effect>,
    /// What to tell about it.
    pub timeline: Vec<TimelineEntry>,
    /// What else changed.
    pub rows: Vec<Row>,
    /// Persons to suppress, with the relay's code.
    pub suppressed: Vec<(String, String)>,
    /// Users to erase, after all of the above was written.
    pub forgotten: Vec<Forgotten>,
    /// Users whose person the planner must know before it can go on.
    pub unresolved: Vec<String>,
}

impl Changes {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
            && self.effects.is_empty()
            && self.timeline.is_empty()
            && self.rows.is_empty()
            && self.suppressed.is_empty()
            && self.forgotten.is_empty()
    }

    /// Adds what was decided after this, to be committed with it.
    pub fn and(&mut self, later: Self) {
        self.incidents.extend(later.incidents);
        self.effects.extend(later.effects);
        self.timeline.extend(later.timeline);
        self.rows.extend(later.rows);
        self.suppressed.extend(later.suppressed);
        self.forgotten.extend(later.forgotten);
        self.unresolved.extend(later.unresolved);
        self.dedup();
    }

    /// Keeps the last version of what changed several times in one step.
    pub(super) fn dedup(&mut self) {
        fn last<'a, T, K: Eq + Hash>(items: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<bool> {
            let mut seen = Set::with_capacity_and_hasher(items.len(), Default::default());
            let mut kept: Vec<bool> = items.iter().rev().map(|item| seen.insert(key(item))).collect();
            kept.reverse();
            kept
        }
        fn keep<T>(items: &mut Vec<T>, kept: Vec<bool>) {
            let mut kept = kept.into_iter();
            items.retain(|_| kept.next().unwrap_or(true));
        }
        let kept = last(&self.incidents, |incident| incident.reference.as_str());
        keep(&mut self.incidents, kept);
        let kept = last(&self.effects, |effect| effect.key.as_str());
        keep(&mut self.effects, kept);
        let kept = last(&self.rows, |row| (row.kind, row.key.as_str()));
        keep(&mut self.rows, kept);
        self.unresolved.sort();
        self.unresolved.dedup();
    }

    pub(super) fn tell(&mut self, incident: &str, at: Timestamp, what: &str, text: String) {
        self.timeline.push(TimelineEntry {
            incident: incident.to_owned(),
            at,
            effect: None,
            what: what.to_owned(),
            text,
        });
    }

    /// Adds the effect, and a line to the story of each of its incidents.
    pub(super) fn effect(&mut self, effect: Effect, at: Timestamp) {
        self.tell_effect(&effect, at);
        self.effects.push(effect);
    }

    /// Adds a line to the story of each of the effect's incidents.
    pub(super) fn tell_effect(&mut self, effect: &Effect, at: Timestamp) {
        let nobody = [String::new()];
        let incidents: &[String] = if effect.incidents.is_empty() { &nobody } else { &effect.incidents };
        for incident in incidents {
            self.timeline.push(TimelineEntry {
                incident: incident.clone(),
                at,
                effect: Some(effect.key.clone()),
                what: effect.state.as_str().to_owned(),
                text: format!("{} {}: {}", effect.phase.as_str(), effect.state, effect.reason),
            });
        }
    }
}

/// What a planner starts from: the rows of the store.
#[derive(Debug, Default)]
pub struct Saved {
    /// When the store was born.
    pub born: Timestamp,
    /// Open incidents, and ended ones of the last days.
    pub incidents: Vec<Arc<Incident>>,
    /// Effects that are not final.
    pub effects: Vec<Effect>,
    /// All rows, by kind and key.
    pub rows: Vec<(String, String, String)>,
    /// When persons were suppressed, of the last hour, the oldest first.
    pub suppressed: Vec<Timestamp>,
}
