//! An incident while it is looked at: copied when it is changed, and only then.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use daemon::Timestamp;

use super::{Changes, planner::Planner};
use crate::incidents::Incident;

/// An incident that was taken out of the planner. Reading it costs nothing; the first write copies it.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its reference.
    pub(super) name: Arc<str>,
    before: Arc<Incident>,
    after: Arc<Incident>,
}

impl Deref for Draft {
    type Target = Incident;

    fn deref(&self) -> &Incident {
        &self.after
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Incident {
        Arc::make_mut(&mut self.after)
    }
}

impl Draft {
    /// The incident as it is now, if it is another than before.
    fn news(&mut self, now: Timestamp) -> Option<Arc<Incident>> {
        if Arc::ptr_eq(&self.before, &self.after) || self.before == self.after {
            return None;
        }
        self.changed = now;
        Some(self.after.clone())
    }
}

impl Planner {
    /// Takes an incident out, to look at it and to change it.
    pub(super) fn take_out(&mut self, reference: &str) -> Option<Draft> {
        let (name, before) = self.incidents.remove_entry(reference)?;
        let after = before.clone();
        Some(Draft { name, before, after })
    }

    /// Puts an incident back that was taken out, and reports it if it was changed.
    pub(super) fn put_back(&mut self, mut draft: Draft, now: Timestamp, changes: &mut Changes) {
        changes.incidents.extend(draft.news(now));
        self.incidents.insert(draft.name, draft.after);
    }

    /// Lets go of an incident that was taken out, and reports it if it was changed.
    pub(super) fn let_go(mut draft: Draft, now: Timestamp, changes: &mut Changes) {
        changes.incidents.extend(draft.news(now));
    }

    /// Adds one that is new, or that the store has.
    pub(super) fn add_incident(&mut self, incident: Arc<Incident>) -> Arc<str> {
        let name: Arc<str> = incident.reference.as_str().into();
        self.incidents.insert(name.clone(), incident);
        name
    }

    /// Changes one incident and reports it if it changed.
    pub(super) fn change(
        &mut self,
        reference: &str,
        now: Timestamp,
        changes: &mut Changes,
        change: impl FnOnce(&mut Incident),
    ) {
        let Some(mut draft) = self.take_out(reference) else { return };
        change(&mut draft);
        self.touched.insert(draft.connection.as_str().into());
        self.put_back(draft, now, changes);
    }
}
