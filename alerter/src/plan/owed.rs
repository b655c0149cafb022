//! What an incident still owes when another of its connection takes its place: everyone who was told is told the end.

use std::sync::Arc;

use daemon::Timestamp;

use super::{
    Changes,
    draft::Draft,
    planner::{Planner, owes_end, unanswered},
};
use crate::incidents::{Incident, Message, Status};

impl Planner {
    /// `old` ended so long ago that the connection's new failure is another incident. Where its end could not be told
    /// yet, that is told with the end of the new one: one message then answers both. Where no rule has asked for
    /// anything yet, the old one stays what the connection's alerts belong to.
    pub(super) fn hand_over_owed(
        &mut self,
        connection: &Arc<str>,
        mut old: Draft,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Status::Ended { reason, .. } = &old.status else { return };
        if !owes_end(reason) {
            return;
        }
        // What is on its way or waits is about a health that is over.
        for closing in self.take_closings(&mut old) {
            self.withdraw(&closing, &old.reference, "it fails again", now, changes);
        }
        let (mut owed, kept): (Vec<_>, Vec<_>) = old.messages.drain(..).partition(unanswered);
        old.messages = kept;
        if owed.is_empty() {
            return;
        }
        let Some(successor) = self.current.get(connection).cloned() else {
            old.messages.append(&mut owed);
            self.current.insert(connection.clone(), old.name.clone());
            return self.put_back(old, now, changes);
        };
        let text = format!("fails again before its end could be told: told with the end of {successor}");
        changes.tell(&old.reference, now, "handed-over", text);
        let text = format!("the end of {} is told with the end of this one", old.reference);
        changes.tell(&successor, now, "owes", text);
        Self::let_go(old, now, changes);
        self.change(&successor, now, changes, |incident| {
            owed.iter_mut().for_each(|message| message.earlier = true);
            // What is told of this incident itself comes last: its thread is the one that is answered.
            owed.append(&mut incident.messages);
            incident.messages = owed;
        });
    }

    /// Takes from the incident's messages the closings that are not final.
    pub(super) fn take_closings(&self, incident: &mut Incident) -> Vec<String> {
        let waits = |message: &mut Message| {
            message.closing.take_if(|closing| self.effects.contains_key(closing.as_str()))
        };
        incident.messages.iter_mut().filter_map(waits).collect()
    }
}
