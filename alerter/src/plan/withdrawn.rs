//! Tickets that are withdrawn, perhaps while they are on their way to their desk.

use std::collections::BTreeSet;

use daemon::Timestamp;

use super::{
    Changes,
    draft::Draft,
    planner::{Planner, after},
};
use crate::{
    demand::Action,
    incidents::{Incident, Status, TicketLink, TicketState},
    store::{Effect, EffectState, Payload},
};

impl Planner {
    /// It has no ticket any more, and none for some minutes: the one that is withdrawn may be on its way, and be taken
    /// all the same.
    pub(super) fn drop_ticket(&self, incident: &mut Incident, now: Timestamp) {
        let quiet = after(now, self.settings.limits.evidence_age);
        incident.ticket = None;
        incident.ticket_after = incident.ticket_after.max(Some(quiet));
    }

    /// A ticket that was withdrawn while it was on its way was taken all the same: it is its incidents' ticket, and
    /// hears what became of them meanwhile.
    pub(super) fn adopt_ticket(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        let (Payload::Ticket { ticket, .. }, Some(remote)) = (&effect.payload, &effect.remote) else {
            return;
        };
        let without = |reference: &&String| self.incident(reference).is_some_and(|it| it.ticket.is_none());
        let members: BTreeSet<String> = effect.incidents.iter().filter(without).cloned().collect();
        let storm = effect.incidents.len() > 1;
        if storm {
            self.adopt_storm(effect, &ticket.key, &members);
        }
        for reference in &members {
            changes.tell(reference, now, "adopted", "the withdrawn ticket was filed all the same".to_owned());
            let Some(mut incident) = self.take_out(reference) else { continue };
            incident.ticket = Some(TicketLink {
                key: ticket.key.clone(),
                effect: effect.key.clone(),
                desk: effect.channel.clone(),
                remote: Some(remote.clone()),
                storm,
                state: TicketState::Filed,
                comments: 0,
                closed: false,
            });
            if let Status::Ended { reason, at } = incident.status.clone() {
                self.ticket_of_ended(&mut incident, &reason, at, now, changes);
            }
            self.put_back(incident, now, changes);
        }
    }

    /// Cancels a ticket that its rule no longer asks for and that no desk has yet.
    pub(super) fn withdraw_unasked_ticket(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let pending = |link: &&TicketLink| link.state == TicketState::Pending && !link.storm;
        let Some(link) = incident.ticket.as_ref().filter(pending) else { return };
        let waits = self.effects.get(&link.effect).is_some_and(|effect| {
            matches!(effect.state, EffectState::Planned | EffectState::Deferred | EffectState::Held)
        });
        let asked = self.demands.get(incident.connection.as_str()).into_iter().flatten();
        if incident.is_open() && waits && !asked.into_iter().any(|demand| demand.action == Action::FileTicket)
        {
            let effect = link.effect.clone();
            self.drop_ticket(incident, now);
            let reference = incident.reference.clone();
            self.withdraw(&effect, &reference, "its rule no longer asks for it", now, changes);
        }
    }
}
