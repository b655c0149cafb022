//! What a person decides about one effect: to try it now, or never.

use daemon::Timestamp;

use super::{
    Changes,
    planner::{Planner, after, since},
};
use crate::{
    incidents::{Incident, MessageState, TicketState},
    store::{Effect, EffectState, Phase},
};

const AGAIN: &str = "a person asked for another try";
const NEVER: &str = "cancelled by a person";

impl Planner {
    /// Tries an effect now. What waits or is held is due at once; what ended without having been taken is planned
    /// again under its own key, if its incident still counts on it. Evidence is asked as before any attempt.
    pub(super) fn try_again(&mut self, stored: Effect, now: Timestamp, changes: &mut Changes) {
        let lifetime = since(stored.expires, stored.created);
        let mut effect = match self.effects.get(&stored.key).cloned() {
            Some(known) if known.state == EffectState::Attempting => return,
            Some(known) => known,
            None if self.revive(&stored, now, changes) => {
                Effect { attempts: 0, unknowns: 0, state: EffectState::Planned, ..stored }
            }
            None => return,
        };
        // What may have been taken is looked for first, however often it is asked for.
        if effect.state != EffectState::Unknown {
            effect.state = EffectState::Planned;
        }
        AGAIN.clone_into(&mut effect.reason);
        effect.next_attempt = now;
        effect.expires = effect.expires.max(after(now, lifetime));
        effect.changed = now;
        self.add_effect(effect.clone(), now, changes);
        self.unhold_effect(&effect.key, now, changes);
        self.none_held(&effect, now, changes);
    }

    /// Whether an effect that ended may be tried again; its incidents count on it anew.
    fn revive(&mut self, ended: &Effect, now: Timestamp, changes: &mut Changes) -> bool {
        let failed = matches!(
            ended.state,
            EffectState::Dead | EffectState::Expired | EffectState::Unreachable | EffectState::Cancelled
        );
        if !failed {
            return false;
        }
        if matches!(ended.phase, Phase::Comment | Phase::Notice) {
            return ended.state != EffectState::Cancelled;
        }
        let mut counts = false;
        for reference in &ended.incidents {
            self.change(reference, now, changes, |incident| counts |= relink(incident, ended));
        }
        counts
    }

    /// Withdraws what waits for good: it is not planned again for its incidents.
    pub(super) fn cancel(&mut self, key: &str, now: Timestamp, changes: &mut Changes) {
        let waits = self.effects.get(key).is_some_and(|effect| effect.state != EffectState::Attempting);
        if !waits {
            return;
        }
        let Some(effect) = self.cancel_effect(key, NEVER, now, changes) else { return };
        self.free_cooldown(&effect, changes);
        self.unhold_effect(key, now, changes);
        self.none_held(&effect, now, changes);
        self.uncount_ticket(&effect);
        // A storm's ticket is the ticket of all who joined it.
        let references = self.storm_members(key).unwrap_or_else(|| effect.incidents.clone());
        if effect.phase == Phase::Ticket {
            self.storm_unfiled(key);
        }
        for reference in references {
            self.change(&reference, now, changes, |incident| give_up(incident, &effect));
        }
    }
}

/// The incident counts on the effect again, if it is the one that it had.
fn relink(incident: &mut Incident, effect: &Effect) -> bool {
    match effect.phase {
        Phase::Opening | Phase::GaveUp => {
            let failed = incident.messages.iter_mut().find(|message| {
                message.effect == effect.key && matches!(message.state, MessageState::Failed { .. })
            });
            failed.map(|message| message.state = MessageState::Pending).is_some()
        }
        Phase::Closing => {
            incident.messages.iter().any(|message| message.closing.as_ref() == Some(&effect.key))
        }
        Phase::Refresh => {
            let free = incident.is_open() && incident.refresh.is_none() && incident.class.refreshable();
            if free {
                incident.refresh = Some(effect.key.clone());
                incident.refresh_refused = None;
            }
            free
        }
        Phase::Ticket => {
            let link = incident
                .ticket
                .as_mut()
                .filter(|link| link.effect == effect.key && link.state == TicketState::Failed);
            link.map(|link| link.state = TicketState::Pending).is_some()
        }
        Phase::Comment | Phase::Notice => false,
    }
}

fn give_up(incident: &mut Incident, effect: &Effect) {
    match effect.phase {
        Phase::Opening | Phase::GaveUp => {
            for message in incident.messages.iter_mut().filter(|message| message.effect == effect.key) {
                message.state = MessageState::Failed { why: NEVER.to_owned() };
            }
        }
        Phase::Refresh if incident.refresh.as_ref() == Some(&effect.key) => {
            incident.refresh = None;
            incident.refresh_refused = Some(NEVER.to_owned());
        }
        Phase::Ticket => {
            if let Some(link) = incident.ticket.as_mut().filter(|link| link.effect == effect.key) {
                link.state = TicketState::Failed;
            }
        }
        // A closing message stays owed and is not tried again.
        Phase::Closing | Phase::Refresh | Phase::Comment | Phase::Notice => {}
    }
}
