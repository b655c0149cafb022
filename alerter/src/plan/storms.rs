//! Storms: one ticket for many connections of one institution, method and class (behaviour, section 7).

use std::{collections::BTreeSet, sync::Arc};

use daemon::Timestamp;

use super::{
    Changes,
    planner::{Planner, digest},
    storm::Storm,
    tickets::{Group, ReadyTicket, tried},
    unsaved::Unsaved,
};
use crate::{
    channels::Ticket,
    demand::Action,
    incidents::{Incident, TicketLink, TicketState},
    store::{Effect, Payload},
};

impl Planner {
    /// Files one ticket for all that are due or settle together.
    pub(super) fn plan_storm(
        &mut self,
        ready: &ReadyTicket,
        kin: &BTreeSet<Arc<str>>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let fits = |incident: &&Incident| {
            let group = (incident.institution.as_str(), incident.method.as_str(), incident.class);
            let same = group == (ready.group.0.as_str(), ready.group.1.as_str(), ready.group.2);
            let (institution, user) = (&incident.institution, &incident.user);
            let paused = self.paused(Action::FileTicket, &ready.rule, institution, user);
            same && incident.is_open() && incident.ticket.is_none() && !paused
        };
        let mut members: Vec<&Incident> =
            kin.iter().filter_map(|reference| self.incident(reference)).filter(fits).collect();
        members.sort_by_key(|incident| incident.failing_since);
        let Some(first) = members.first() else { return };
        let count = members.len();
        let mut body = format!(
            "{count} connections at {} ({}, {}) fail as {} since {}.\n\nSamples:\n",
            first.institution_name,
            first.institution,
            first.method,
            ready.group.2.as_str(),
            first.failing_since
        );
        let samples = self.settings.limits.storm_samples as usize;
        for incident in members.iter().take(samples) {
            body.push_str(&format!(
                "- {} connection {} user {} since {}; {}\n",
                incident.reference,
                incident.connection,
                incident.user,
                incident.failing_since,
                tried(incident)
            ));
        }
        body.push_str("\nAll connections:\n");
        for incident in &members {
            body.push_str(&format!("{} {}\n", incident.connection, incident.user));
        }
        let ticket = Ticket {
            key: digest(&format!("storm/{}", ready.reference)),
            subject: format!(
                "[{}] {count} connections at {} ({}) fail: {}",
                ready.reference, first.institution_name, first.institution, first.scenario
            ),
            body,
            connections: members.iter().map(|incident| incident.connection.clone()).collect(),
            institution: first.institution.clone(),
            scenario: first.scenario.clone(),
            severity: ready.severity.clone(),
            at: now,
        };
        let cases = members
            .iter()
            .take(samples)
            .map(|incident| (incident.user.clone(), incident.connection.clone(), incident.failing_since))
            .collect();
        let references: BTreeSet<String> =
            members.iter().map(|incident| incident.reference.clone()).collect();
        let reason = format!("{} asks for {count} tickets of one kind: one storm ticket", ready.rule);
        let key = ticket.key.clone();
        let effect = self.plan_ticket_effect(ready, ticket, cases, reason, &references, true, now, changes);
        self.count_ticket(&ready.desk, &effect, now);
        let storm = Storm::new(ready.group.clone(), &ready.desk, key, effect, references);
        self.add_storm(&ready.reference, storm);
    }

    /// The ticket of a storm that was withdrawn was filed all the same: these are its members.
    pub(super) fn adopt_storm(&mut self, effect: &Effect, ticket: &str, members: &BTreeSet<String>) {
        let Some(incident) = members.first().and_then(|reference| self.incident(reference)) else { return };
        let (group, lead) =
            ((incident.institution.clone(), incident.method.clone(), incident.class), &incident.reference);
        let lead = lead.clone();
        let known =
            Storm::new(group, &effect.channel, ticket.to_owned(), effect.key.clone(), members.clone());
        // What its members have in common is not known any more: nothing joins it.
        let storm = Storm { remote: effect.remote.clone(), digest: true, closed: true, ..known };
        self.add_storm(&lead, storm);
    }

    pub(super) fn add_storm(&mut self, lead: &str, storm: Storm) {
        self.unsaved.insert(Unsaved::Storm(lead.to_owned()));
        self.storms.insert(lead.to_owned(), storm);
    }

    /// The storm that a connection of this kind joins.
    pub(super) fn open_storm(&self, group: &Group) -> Option<String> {
        let joins = |(_, storm): &(&String, &Storm)| !storm.closed && storm.group() == *group;
        self.storms.iter().find(joins).map(|(lead, _)| lead.clone())
    }

    /// One more connection of the kind: the storm's ticket is its own.
    pub(super) fn join(&mut self, lead: &str, reference: &str, now: Timestamp, changes: &mut Changes) {
        let Some(storm) = self.storms.get_mut(lead) else { return };
        storm.incidents.insert(reference.to_owned());
        storm.newcomers.insert(reference.to_owned());
        let link = TicketLink {
            key: storm.ticket.clone(),
            effect: storm.effect.clone(),
            desk: storm.desk.clone(),
            remote: storm.remote.clone(),
            storm: true,
            state: if storm.remote.is_some() { TicketState::Filed } else { TicketState::Pending },
            comments: 0,
            closed: false,
        };
        self.unsaved.insert(Unsaved::Storm(lead.to_owned()));
        changes.tell(reference, now, "joined", format!("joins the storm ticket of {lead}"));
        self.change(reference, now, changes, |incident| incident.ticket = Some(link));
    }

    /// A member recovered, or fails again.
    pub(super) fn storm_member(&mut self, ticket: &str, reference: &str, well: bool) {
        for (lead, storm) in self.storms.iter_mut().filter(|(_, storm)| storm.ticket == ticket) {
            let changed = if well {
                storm.relapsed.remove(reference);
                storm.incidents.contains(reference) && storm.recovered.insert(reference.to_owned())
            } else {
                let back = storm.recovered.remove(reference);
                // Said to be over: who reads the ticket must hear that it is not.
                if back && storm.commented == 100 {
                    storm.relapsed.insert(reference.to_owned());
                }
                back
            };
            if changed {
                self.unsaved.insert(Unsaved::Storm(lead.clone()));
            }
        }
    }

    /// The members of the storm whose ticket this effect files.
    pub(super) fn storm_members(&self, effect: &str) -> Option<Vec<String>> {
        let storm = self.storms.values().find(|storm| storm.effect == effect)?;
        Some(storm.incidents.iter().cloned().collect())
    }

    /// A person closed the storm's ticket: nothing joins it any more. Gives the incident that leads it.
    pub(super) fn storm_closed(&mut self, ticket: &str, wont_fix: bool) -> Option<String> {
        let (lead, storm) = self.storms.iter_mut().find(|(_, storm)| storm.ticket == ticket)?;
        (storm.closed, storm.by_person) = (true, true);
        storm.declined |= wont_fix;
        self.unsaved.insert(Unsaved::Storm(lead.clone()));
        Some(lead.clone())
    }

    /// The storm's ticket is open again.
    pub(super) fn storm_opened(&mut self, ticket: &str) {
        let Some((lead, storm)) = self.storms.iter_mut().find(|(_, storm)| storm.ticket == ticket) else {
            return;
        };
        storm.by_person = false;
        storm.closed = storm.digest || storm.commented == 100;
        self.unsaved.insert(Unsaved::Storm(lead.clone()));
    }

    /// Another ticket speaks for the storm from now on. Gives its members.
    pub(super) fn storm_moved(&mut self, ticket: &str, remote: &str) -> BTreeSet<String> {
        let Some((lead, storm)) = self.storms.iter_mut().find(|(_, storm)| storm.ticket == ticket) else {
            return BTreeSet::new();
        };
        storm.remote = Some(remote.to_owned());
        self.unsaved.insert(Unsaved::Storm(lead.clone()));
        storm.incidents.clone()
    }

    /// How many of the storm of this ticket still fail, and of how many.
    pub(super) fn storm_failing(&self, ticket: &str) -> Option<(usize, usize)> {
        let storm = self.storms.values().find(|storm| storm.ticket == ticket)?;
        Some((storm.incidents.len() - storm.recovered.len(), storm.incidents.len()))
    }

    /// Lets go of storms that are closed and none of whose incidents is known any more.
    pub(super) fn forget_storms(&mut self) {
        let incidents = &self.incidents;
        self.storms.retain(|lead, storm| {
            let known = |reference: &String| incidents.contains_key(reference.as_str());
            let stays = !storm.closed || storm.incidents.iter().any(known);
            if !stays {
                self.unsaved.insert(Unsaved::Storm(lead.clone()));
            }
            stays
        });
    }

    /// Comments on storms: how they go on, that they are over, and that they are not over after all.
    pub(super) fn plan_storm_comments(&mut self, now: Timestamp, changes: &mut Changes) {
        let mut planned = Vec::new();
        let (incidents, samples) = (&self.incidents, self.settings.limits.storm_samples as usize);
        let connections = |references: &BTreeSet<String>, most: usize| {
            let known = references.iter().filter_map(|reference| incidents.get(reference.as_str()));
            // Whoever was forgotten has no name.
            let known = known.filter(|incident| !incident.connection.is_empty());
            let mut text: Vec<&str> = known.take(most).map(|incident| incident.connection.as_str()).collect();
            if references.len() > most {
                text.push("…");
            }
            text.join(", ")
        };
        for (lead, storm) in &mut self.storms {
            let Some(remote) = storm.remote.clone() else { continue };
            let Some((text, news)) = storm.word(now, samples, connections) else { continue };
            storm.last_comment = Some(now);
            storm.comments += 1;
            self.unsaved.insert(Unsaved::Storm(lead.clone()));
            let key = format!(
                "{}/{lead}/{}/storm-comment/{}",
                self.settings.environment,
                Action::FileTicket.as_str(),
                storm.comments
            );
            let comment = Payload::Comment {
                ticket: storm.ticket.clone(),
                remote,
                text,
                institution: storm.institution.clone(),
                user: String::new(),
                news,
            };
            planned.push((key, lead.clone(), storm.desk.clone(), comment));
        }
        for (key, lead, desk, comment) in planned {
            self.plan_comment(key, vec![lead], desk, comment, now, changes);
        }
    }

    /// A storm's ticket was filed: its members can be commented on.
    pub(super) fn storm_filed(&mut self, effect: &str, remote: &str) {
        for (lead, storm) in &mut self.storms {
            if storm.effect == effect {
                storm.remote = Some(remote.to_owned());
                self.unsaved.insert(Unsaved::Storm(lead.clone()));
            }
        }
    }

    /// A storm whose ticket was not filed after all is none: what is due is planned anew.
    pub(super) fn storm_unfiled(&mut self, effect: &str) {
        self.storms.retain(|lead, storm| {
            let unfiled = storm.effect == effect && storm.remote.is_none();
            if unfiled {
                self.unsaved.insert(Unsaved::Storm(lead.clone()));
            }
            !unfiled
        });
    }
}
