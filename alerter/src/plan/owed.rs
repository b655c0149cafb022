//! What an incident still owes when another of its connection takes its place: everyone who was told is told the end.

use std::sync::Arc;

use daemon::Timestamp;

use super::{
    Changes,
    planner::{Planner, owes_end, unanswered},
};
use crate::incidents::{Incident, Status};

impl Planner {
    /// `old` ended so long ago that the connection's new failure is another incident. Where its end could not be told
    /// yet, that is told with the end of the new one: one message then answers both. Where no rule has asked for
    /// anything yet, the old one stays what the connection's alerts belong to.
    pub(super) fn hand_over_owed(
        &mut self,
        connection: &Arc<str>,
        mut old: Box<Incident>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let before = old.clone();
        let Status::Ended { reason, .. } = &old.status else { return };
        if !owes_end(reason) {
            return;
        }
        for message in &mut old.messages {
            // One that is on its way or waits is about a health that is over.
            let waits = message.closing.take_if(|closing| self.effects.contains_key(closing));
            if let Some(closing) = waits {
                self.withdraw(&closing, &old.reference, "it fails again", now, changes);
            }
        }
        let (mut owed, kept): (Vec<_>, Vec<_>) = old.messages.drain(..).partition(unanswered);
        old.messages = kept;
        if owed.is_empty() {
            return;
        }
        let Some(successor) = self.current.get(connection).cloned() else {
            old.messages.append(&mut owed);
            self.current.insert(connection.clone(), old.reference.as_str().into());
            return self.put_back(before, old, now, changes);
        };
        let text = format!("fails again before its end could be told: told with the end of {successor}");
        changes.tell(&old.reference, now, "handed-over", text);
        let text = format!("the end of {} is told with the end of this one", old.reference);
        changes.tell(&successor, now, "owes", text);
        old.changed = now;
        changes.incidents.push(*old);
        self.change(&successor, now, changes, |incident| {
            owed.iter_mut().for_each(|message| message.earlier = true);
            // What is told of this incident itself comes last: its thread is the one that is answered.
            owed.append(&mut incident.messages);
            incident.messages = owed;
        });
    }
}
