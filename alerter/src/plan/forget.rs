//! Forgetting a user: what waits is cancelled, ids leave, counts stay (behaviour, section 8).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use daemon::{Secret, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    Changes, Forgotten, Pause, Person, Row,
    closed::closed_row,
    commands::pause_row,
    cooldowns::cooldown_row,
    demands::demand_id,
    notices::Own,
    planner::{Next, Planner, after, hex},
};
use crate::{
    incidents::{Incident, Status},
    store::{Effect, Payload},
};

/// After the end of a consent its ticket hears of it before its user is forgotten.
const AFTER_CONSENT: Duration = Duration::from_secs(3600);

impl Planner {
    /// Whether this user was forgotten.
    pub(super) fn forgot(&self, user: &str) -> bool {
        !self.tombstones.is_empty() && self.tombstones.contains(&tombstone(&self.settings.salt, user))
    }

    /// A consent that ended takes its user along, once the ticket has heard of it.
    pub(super) fn decide_forget(
        &mut self,
        incident: &Incident,
        now: Timestamp,
        next: &mut Next,
    ) -> Option<String> {
        let Status::Ended { reason, at } = &incident.status else { return None };
        if reason != "consent-ended" {
            return None;
        }
        let due = after(*at, AFTER_CONSENT);
        if due > now {
            next.at(Some(due));
            return None;
        }
        Some(incident.user.clone())
    }

    /// Cancels what waits for the user, and leaves nothing that names them: not in memory, and by
    /// [`Changes::forgotten`] not in the store. A keyed tombstone keeps discovery from bringing them back.
    pub(super) fn forget(&mut self, user: &str, now: Timestamp, changes: &mut Changes) {
        let stone = tombstone(&self.settings.salt, user);
        changes.rows.push(Row { kind: "tombstone", key: stone.clone(), body: Some(now.to_string()) });
        self.tombstones.insert(stone.clone());
        let references: BTreeSet<String> = self
            .incidents
            .values()
            .filter(|incident| incident.user == user)
            .map(|incident| incident.reference.clone())
            .collect();
        self.cancel_of(user, &references, now, changes);
        self.forget_demands(user, changes);
        self.forget_pauses(user, changes);
        let person = self.forget_person(user, changes);
        let mut tickets = BTreeSet::new();
        for reference in &references {
            tickets.extend(self.forget_incident(reference, now, changes));
        }
        if !tickets.is_empty() {
            let list = tickets.into_iter().collect::<Vec<_>>().join(", ");
            let own = Own {
                key: &format!("forgotten/{stone}"),
                name: "BasiqAlerterForgottenTickets",
                of: &[("tombstone", stone.get(..12).unwrap_or(&stone))],
                summary: "Tickets name a user who was forgotten",
                description: &format!("At the desk, remove what these say of the user: {list}."),
            };
            self.own_notice(&own, now, changes);
        }
        changes.forgotten.push(Forgotten {
            user: user.to_owned(),
            person,
            incidents: references.into_iter().collect(),
        });
    }

    fn cancel_of(
        &mut self,
        user: &str,
        references: &BTreeSet<String>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let names = |effect: &&Effect| {
            effect.incidents.iter().any(|reference| references.contains(reference))
                || matches!(&effect.payload, Payload::Message(message) if message.user == user)
                || matches!(&effect.payload, Payload::Refresh { user: of, .. } if of == user)
        };
        let why = "a user it speaks of was forgotten";
        let pending: Vec<String> =
            self.effects.values().filter(names).map(|effect| effect.key.clone()).collect();
        for key in pending {
            let Some(effect) = self.cancel_effect(&key, why, now, changes) else { continue };
            self.free_cooldown(&effect, changes);
            self.unhold_effect(&effect.key, now, changes);
            self.uncount_ticket(&effect);
            // Others that it spoke of are spoken of anew.
            self.forget_effect(&effect, now, changes);
        }
    }

    /// Who is forgotten is told nothing anyway; a pause would go on naming them.
    fn forget_pauses(&mut self, user: &str, changes: &mut Changes) {
        let names = |pause: &Pause| pause.user.as_deref() == Some(user);
        for pause in self.pauses.extract_if(.., names) {
            changes.rows.push(pause_row(&pause, false));
        }
    }

    fn forget_demands(&mut self, user: &str, changes: &mut Changes) {
        let unsettled = &mut self.unsettled;
        self.demands.retain(|connection, demands| {
            demands.retain(|demand| {
                let of = matches!(&demand.subject, crate::demand::Subject::Connection { user: of, .. } if **of == *user);
                if of {
                    unsettled.remove(connection);
                    changes.rows.push(Row { kind: "demand", key: demand_id(demand), body: None });
                }
                !of
            });
            !demands.is_empty()
        });
    }

    /// Forgets who is behind the user, unless the same person is behind another one: that one's peace is kept, and
    /// nothing of it says who else there was.
    fn forget_person(&mut self, user: &str, changes: &mut Changes) -> Option<String> {
        self.asked.remove(user);
        let (Person::Hash(hash), _) = self.people.remove(user)? else { return None };
        if self.is_behind_another(&hash, user) {
            return None;
        }
        let cooled: Vec<(String, String)> =
            self.cooldowns.keys().filter(|(person, _)| *person == hash).cloned().collect();
        for key in cooled {
            if let Some(cooldown) = self.cooldowns.remove(&key) {
                self.cooled_by.remove(&cooldown.effect);
            }
            changes.rows.push(cooldown_row(&key, None));
        }
        Some(hash)
    }

    fn is_behind_another(&self, hash: &str, user: &str) -> bool {
        // After a start only what was said to them tells of it.
        let told: BTreeSet<&str> = self
            .cooldowns
            .iter()
            .filter(|((person, _), _)| person == hash)
            .map(|(_, cooldown)| cooldown.effect.as_str())
            .collect();
        self.people.values().any(|(person, _)| matches!(person, Person::Hash(other) if other == hash))
            || self.incidents.values().filter(|incident| incident.user != user).any(|incident| {
                incident.messages.iter().any(|message| told.contains(message.effect.as_str()))
            })
    }

    /// Takes the incident out of memory, and gives the desk's id of its ticket.
    fn forget_incident(&mut self, reference: &str, now: Timestamp, changes: &mut Changes) -> Option<String> {
        let mut incident = self.take_out(reference)?;
        let name = incident.name.clone();
        self.due.set(&name, None);
        let connection: Arc<str> = incident.connection.as_str().into();
        self.touched.remove(&connection);
        self.unsettled.remove(&connection);
        if self.current.get(&connection).is_some_and(|current| **current == *reference) {
            self.current.remove(&connection);
        }
        for settling in self.settling.values_mut() {
            settling.remove(&name);
        }
        if let Some(hold) = incident.hold {
            self.unhold(hold, reference, now, changes);
        }
        if let Some(at) = self.closed.remove(reference) {
            changes.rows.push(closed_row(reference, None));
            self.pass_reminder(&incident, at, now, changes);
        }
        if let Some(link) = incident.ticket.as_ref().filter(|link| link.storm) {
            self.storm_member(&link.key, reference, true);
        }
        let ticket = incident.ticket.as_ref().and_then(|link| link.remote.clone());
        incident.erase(now);
        Self::let_go(incident, now, changes);
        ticket
    }
}

/// The user's id under the store's secret: it says whether a user was forgotten, and not who was.
fn tombstone(salt: &Secret, user: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt.expose().as_bytes()) else { return String::new() };
    mac.update(b"forgotten:");
    mac.update(user.as_bytes());
    hex(&mac.finalize().into_bytes())
}
