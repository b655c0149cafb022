//! What people and desks do with a ticket that is filed: they close it, open it again, or go on in another one.

use daemon::Timestamp;

use super::{
    Changes, Row,
    draft::Draft,
    planner::{Next, Planner, after},
};
use crate::{
    channels::News,
    incidents::{Incident, TicketLink, TicketState},
    store::{Effect, EffectState, Payload},
};

impl Planner {
    /// A person closed a ticket. Hearing of it again changes nothing, but that it is final now.
    pub(super) fn ticket_closed(
        &mut self,
        reference: &str,
        wont_fix: bool,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let link = self.incidents.get(reference).and_then(|incident| incident.ticket.clone());
        let known = |link: &TicketLink| link.state == TicketState::WontFix || (link.closed && !wont_fix);
        let Some(link) = link.filter(|link| !known(link)) else { return };
        let what =
            if wont_fix { "closed as won't fix: final for the incident" } else { "closed by a person" };
        changes.tell(reference, now, "ticket-closed", format!("the ticket was {what}"));
        let lead = if link.storm { self.storm_closed(&link.key, wont_fix) } else { None };
        let sharers = self.sharers(&link, reference);
        // One that still fails is looked at in a day; the storm's first may be long gone by then.
        let fails = |member: &&String| self.incident(member).is_some_and(Incident::is_open);
        let lead = sharers.iter().find(fails).cloned().or(lead).unwrap_or_else(|| reference.to_owned());
        for member in sharers {
            if member != lead && self.closed.remove(&member).is_some() {
                changes.rows.push(closed_row(&member, None));
            }
            self.change(&member, now, changes, |incident| {
                if let Some(link) = &mut incident.ticket {
                    link.closed = true;
                    link.state = if wont_fix { TicketState::WontFix } else { link.state };
                }
            });
        }
        let at = (!wont_fix).then_some(now);
        if at.is_some() || self.closed.contains_key(&lead) {
            changes.rows.push(closed_row(&lead, at));
        }
        match at {
            Some(now) => self.closed.insert(lead.clone(), now),
            None => self.closed.remove(&lead),
        };
        self.change(&lead, now, changes, |_| {});
    }

    /// A ticket that a person had closed is open again: nobody need be reminded.
    pub(super) fn ticket_opened(&mut self, reference: &str, now: Timestamp, changes: &mut Changes) {
        let link = self.incidents.get(reference).and_then(|incident| incident.ticket.clone());
        let Some(link) = link.filter(|link| link.closed && link.state != TicketState::WontFix) else {
            return;
        };
        changes.tell(reference, now, "ticket-opened", "the ticket was opened again".to_owned());
        if link.storm {
            self.storm_opened(&link.key);
        }
        for member in self.sharers(&link, reference) {
            self.change(&member, now, changes, |incident| {
                if let Some(link) = &mut incident.ticket {
                    link.closed = false;
                }
            });
            if self.closed.remove(&member).is_some() {
                changes.rows.push(closed_row(&member, None));
            }
        }
    }

    /// The incident is forgotten: another one of its storm that still fails is looked at for the reminder.
    pub(super) fn pass_reminder(
        &mut self,
        incident: &Incident,
        closed: Timestamp,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(link) = incident.ticket.as_ref().filter(|link| link.storm) else { return };
        let sharers = self.sharers(link, &incident.reference);
        let fails = |member: &&String| self.incident(member).is_some_and(Incident::is_open);
        if let Some(heir) = sharers.iter().find(fails) {
            changes.rows.push(closed_row(heir, Some(closed)));
            self.closed.insert(heir.clone(), closed);
            self.change(heir, now, changes, |_| {});
        }
    }

    /// The incidents that share this incident's ticket, itself included.
    fn sharers(&self, link: &TicketLink, reference: &str) -> Vec<String> {
        let members = if link.storm { self.storm_members(&link.effect) } else { None };
        members.unwrap_or_else(|| vec![reference.to_owned()])
    }

    /// What was said went to another ticket than the one that was filed, because that one is closed for good:
    /// it speaks for the failure from now on.
    pub(super) fn comment_ended(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        let (Payload::Comment { ticket, remote, .. }, Some(went_to)) = (&effect.payload, &effect.remote)
        else {
            return;
        };
        if effect.state != EffectState::Delivered || went_to == remote {
            return;
        }
        let mut members = self.storm_moved(ticket, went_to);
        members.extend(effect.incidents.iter().cloned());
        for member in members {
            self.change(&member, now, changes, |incident| {
                if let Some(link) = incident.ticket.as_mut().filter(|link| link.key == *ticket) {
                    link.remote = Some(went_to.clone());
                    link.closed = false;
                }
            });
        }
    }

    /// Closed by a person while it still fails: after a day one comment says so, on which a desk reopens the
    /// ticket where its window allows.
    pub(super) fn remind(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        next: &mut Next,
        changes: &mut Changes,
    ) {
        let Some(closed) = self.closed.get(&incident.reference).copied() else { return };
        let due = after(closed, self.settings.limits.closed_ticket);
        if due > now {
            return next.at(Some(due));
        }
        self.closed.remove(&incident.reference);
        changes.rows.push(closed_row(&incident.reference, None));
        let storm = incident.ticket.as_ref().filter(|link| link.storm);
        let (failing, all) = match storm.and_then(|link| self.storm_failing(&link.key)) {
            Some(counts) => counts,
            None => (usize::from(incident.is_open()), 1),
        };
        let text = match (failing, all) {
            (0, _) => return,
            (_, 1) => format!(
                "Connection {} still fails (incident {}): the ticket was closed at {closed}.",
                incident.connection, incident.reference
            ),
            _ => format!("{failing} of {all} connections still fail: the ticket was closed at {closed}."),
        };
        self.comment(incident, text, News::Again, now, changes);
    }
}

/// The row that says when a person closed an incident's ticket.
pub(super) fn closed_row(reference: &str, at: Option<Timestamp>) -> Row {
    Row { kind: "closed-ticket", key: reference.to_owned(), body: at.map(|at| at.to_string()) }
}
