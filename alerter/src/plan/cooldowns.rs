//! Cooldowns: how long a person is left in peace after a message (behaviour, section 5).

use daemon::Timestamp;

use super::{
    Changes, Person, Row,
    planner::{Planner, after, digest, since},
};
use crate::store::{Effect, Payload};

/// How long a person is left in peace by messages of one template.
#[derive(Clone, Debug)]
pub(super) struct Cooldown {
    pub(super) until: Timestamp,
    /// The effect that began it; while that is on its way, nothing else of the kind is planned.
    pub(super) effect: String,
}

impl Planner {
    /// The cooldown of this person for messages of this template.
    pub(super) fn cooldown_of(&self, person: &Person, template: &str) -> Option<&Cooldown> {
        let Person::Hash(hash) = person else { return None };
        self.cooldowns.get(&(hash.clone(), family(template).to_owned()))
    }

    /// Ends the cooldown that began with a message which then was not sent. One of unknown outcome may have been: its
    /// person is left in peace as if it was.
    pub(super) fn free_cooldown(&mut self, effect: &Effect, changes: &mut Changes) {
        if effect.unknowns > 0 {
            self.begin_cooldown(effect, changes);
        } else {
            self.drop_cooldown(&effect.key, changes);
        }
    }

    /// Ends the cooldown that began with this message.
    pub(super) fn drop_cooldown(&mut self, effect: &str, changes: &mut Changes) {
        if let Some(key) = self.cooled_by.remove(effect)
            && self.cooldowns.remove(&key).is_some()
        {
            changes.rows.push(cooldown_row(&key, None));
        }
    }

    /// A cooldown is measured from the time at which the message was taken, not from when it was planned.
    pub(super) fn begin_cooldown(&mut self, effect: &Effect, changes: &mut Changes) {
        let waited = since(effect.changed, effect.created);
        if let Some(key) = self.cooled_by.get(&effect.key) {
            let Some(cooldown) = self.cooldowns.get_mut(key) else { return };
            cooldown.until = after(cooldown.until, waited);
            if cooldown.until <= effect.changed {
                return self.drop_cooldown(&effect.key, changes);
            }
            return changes.rows.push(cooldown_row(key, Some((cooldown.until, &effect.key))));
        }
        // It was withdrawn while it was on its way, and was taken all the same.
        let Payload::Message(message) = &effect.payload else { return };
        let Some((Person::Hash(hash), _)) = self.people.get(&message.user) else { return };
        let key = (hash.clone(), family(&message.template).to_owned());
        self.start_cooldown(key, after(effect.changed, self.settings.limits.cooldown), &effect.key, changes);
    }

    pub(super) fn start_cooldown(
        &mut self,
        key: (String, String),
        until: Timestamp,
        effect: &str,
        changes: &mut Changes,
    ) {
        changes.rows.push(cooldown_row(&key, Some((until, effect))));
        self.cooled_by.insert(effect.to_owned(), key.clone());
        self.cooldowns.insert(key, Cooldown { until, effect: effect.to_owned() });
    }
}

/// "Delayed" and "outage" are one message to the person, and share a cooldown.
pub(super) fn family(template: &str) -> &str {
    if template == "outage" { "delayed" } else { template }
}

/// The row of a cooldown: until when, and which effect began it.
pub(super) fn cooldown_row(key: &(String, String), body: Option<(Timestamp, &str)>) -> Row {
    let body = body.and_then(|(until, effect)| serde_json::to_string(&(&key.0, &key.1, until, effect)).ok());
    Row { kind: "cooldown", key: digest(&format!("{}/{}", key.0, key.1)), body }
}
