//! Tickets: one for each persistent failure, one for a storm, comments on how it goes on (behaviour,
//! section 7).

use std::{collections::BTreeSet, sync::Arc};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Changes, Row,
    planner::{Next, Planner, after, digest, since},
};
use crate::{
    channels::Ticket,
    demand::Action,
    incidents::{Class, Incident, TicketLink, TicketState},
    store::{Effect, EffectState, Payload, Phase},
};

/// Institution, method and class: what makes a storm one.
pub(super) type Group = (String, String, Class);

/// A ticket that is due.
#[derive(Clone, Debug)]
pub(super) struct ReadyTicket {
    reference: String,
    group: Group,
    rule: String,
    due: Timestamp,
    lifetime: std::time::Duration,
}

/// One ticket for many connections of one institution, method and class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Storm {
    institution: String,
    method: String,
    class: Class,
    /// The ticket's key.
    ticket: String,
    effect: String,
    remote: Option<String>,
    incidents: BTreeSet<String>,
    recovered: BTreeSet<String>,
    /// How many were attached when the last comment was planned.
    attached: usize,
    /// 0, 50, 90 or 100: the last share of recoveries that was commented on.
    commented: u32,
    last_comment: Option<Timestamp>,
    comments: u32,
    closed: bool,
}

impl Storm {
    fn group(&self) -> Group {
        (self.institution.clone(), self.method.clone(), self.class)
    }
}

impl Planner {
    /// Whether a ticket is due, settles, or when it will be due.
    pub(super) fn decide_ticket(
        &mut self,
        incident: &mut Incident,
        now: Timestamp,
        next: &mut Next,
        _changes: &mut Changes,
    ) {
        let group = (incident.institution.clone(), incident.method.clone(), incident.class);
        let reference: Arc<str> = incident.reference.as_str().into();
        let decided = self.ticket_due(incident);
        let settles = decided.as_ref().is_some_and(|ready| ready.0 <= now);
        match self.settling.get_mut(&group) {
            Some(others) if !settles => {
                others.remove(&reference);
            }
            Some(others) => {
                others.insert(reference);
            }
            None if settles => {
                self.settling.insert(group.clone(), BTreeSet::from([reference]));
            }
            None => {}
        }
        let Some((reason_at, due, rule, lifetime)) = decided else { return };
        if due > now {
            return next.at(Some(if reason_at > now { reason_at } else { due }));
        }
        self.ready_tickets.push(ReadyTicket {
            reference: incident.reference.clone(),
            group,
            rule,
            due,
            lifetime,
        });
    }

    /// When the reason for a ticket arises, when it has settled, its rule and lifetime.
    fn ticket_due(&self, incident: &Incident) -> Option<(Timestamp, Timestamp, String, std::time::Duration)> {
        if !incident.is_open() || incident.ticket.is_some() || incident.outage.since.is_some() {
            return None;
        }
        // Basiq itself still tries; its giving up shows as another scenario.
        if incident.scenario == "retry-queued" {
            return None;
        }
        let demand = self.demand(incident, Action::FileTicket)?;
        if self.withheld(Action::FileTicket, &demand.rule, incident) {
            return None;
        }
        let limits = &self.settings.limits;
        let max = demand.numbers.retry_max.unwrap_or(limits.retry_max).max(1) as usize;
        let mut failed: Vec<Timestamp> =
            incident.attempts.iter().filter_map(|attempt| attempt.failed).collect();
        failed.sort();
        let spent = failed.get(max - 1).copied();
        let from = incident.outage.restart.map_or(incident.class_since, |at| at.max(incident.class_since));
        let from = if incident.scenario == "retry-expired" { incident.scenario_since } else { from };
        let escalated = after(from, demand.numbers.escalate_after.unwrap_or(limits.escalate_after));
        let reason_at = spent.map_or(escalated, |spent| spent.min(escalated));
        let due = after(reason_at, demand.numbers.settle.unwrap_or(limits.settle_ticket));
        let lifetime = demand.numbers.lifetime.unwrap_or(limits.lifetime_ticket);
        Some((reason_at, due, demand.rule.to_string(), lifetime))
    }

    /// Files what is due: alone, or as a storm where many of a kind are due or settling.
    pub(super) fn plan_tickets(&mut self, now: Timestamp, changes: &mut Changes) {
        for ready in std::mem::take(&mut self.ready_tickets) {
            let taken = self.incidents.get(ready.reference.as_str()).is_none_or(|it| it.ticket.is_some());
            if taken {
                continue;
            }
            let open = self.storms.iter().find(|(_, storm)| !storm.closed && storm.group() == ready.group);
            if let Some((lead, _)) = open {
                let lead = lead.clone();
                self.join(&lead, &ready.reference, now, changes);
                continue;
            }
            let kin = self.settling.get(&ready.group).cloned().unwrap_or_default();
            if kin.len() >= self.settings.limits.storm as usize {
                self.plan_storm(&ready, &kin, now, changes);
            } else {
                self.plan_ticket(&ready, now, changes);
            }
        }
    }

    fn plan_ticket(&mut self, ready: &ReadyTicket, now: Timestamp, changes: &mut Changes) {
        let Some(incident) = self.incidents.get(ready.reference.as_str()) else { return };
        let subject = format!(
            "[{}] {} at {} ({}): connection {} does not recover",
            incident.reference,
            incident.scenario,
            incident.institution_name,
            incident.institution,
            incident.connection
        );
        let ticket = Ticket {
            key: digest(&format!("ticket/{}", incident.key)),
            subject,
            body: story(incident, now),
            connections: vec![incident.connection.clone()],
            institution: incident.institution.clone(),
            scenario: incident.scenario.clone(),
            at: now,
        };
        let cases = vec![(incident.user.clone(), incident.connection.clone(), incident.failing_since)];
        let reason = format!("{} asks for a ticket; {}", ready.rule, tried(incident));
        let members = BTreeSet::from([incident.reference.clone()]);
        self.plan_ticket_effect(ready, ticket, cases, reason, &members, false, now, changes);
    }

    fn plan_storm(
        &mut self,
        ready: &ReadyTicket,
        kin: &BTreeSet<Arc<str>>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let fits = |incident: &&Incident| {
            let group = (incident.institution.as_str(), incident.method.as_str(), incident.class);
            let same = group == (ready.group.0.as_str(), ready.group.1.as_str(), ready.group.2);
            same && incident.is_open() && incident.ticket.is_none()
        };
        let mut members: Vec<&Incident> =
            kin.iter().filter_map(|reference| self.incidents.get(reference)).filter(fits).collect();
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
        let storm = Storm {
            institution: ready.group.0.clone(),
            method: ready.group.1.clone(),
            class: ready.group.2,
            ticket: key,
            effect,
            remote: None,
            attached: references.len(),
            incidents: references,
            recovered: BTreeSet::new(),
            commented: 0,
            last_comment: None,
            comments: 0,
            closed: false,
        };
        changes.rows.push(row(&ready.reference, &storm));
        self.storms.insert(ready.reference.clone(), storm);
    }

    #[expect(clippy::too_many_arguments, reason = "one place builds the effect of both kinds of ticket")]
    fn plan_ticket_effect(
        &mut self,
        ready: &ReadyTicket,
        ticket: Ticket,
        cases: Vec<(String, String, Timestamp)>,
        reason: String,
        members: &BTreeSet<String>,
        storm: bool,
        now: Timestamp,
        changes: &mut Changes,
    ) -> String {
        let Some(lead) = self.incidents.get(ready.reference.as_str()) else { return String::new() };
        let key = self.effect_key(lead, Action::FileTicket, Phase::Ticket);
        let mut incidents = vec![ready.reference.clone()];
        incidents.extend(members.iter().filter(|other| **other != ready.reference).cloned());
        let link = TicketLink {
            key: ticket.key.clone(),
            effect: key.clone(),
            remote: None,
            storm,
            state: TicketState::Pending,
            comments: 0,
        };
        let effect = Effect {
            key: key.clone(),
            incidents,
            action: Action::FileTicket,
            phase: Phase::Ticket,
            channel: self.settings.routes.desk.clone().unwrap_or_default(),
            state: EffectState::Planned,
            reason,
            rule: ready.rule.clone(),
            due: ready.due,
            next_attempt: now,
            expires: after(now, ready.lifetime),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            payload: Payload::Ticket { ticket, cases },
        };
        changes.effect(&effect, now);
        self.effects.insert(key.clone(), effect);
        for (place, reference) in members.iter().enumerate() {
            let link = link.clone();
            self.change(reference, now, changes, |incident| {
                incident.planned += u32::from(place == 0 || *reference == ready.reference);
                incident.ticket = Some(link);
            });
        }
        key
    }

    fn join(&mut self, lead: &str, reference: &str, now: Timestamp, changes: &mut Changes) {
        let Some(storm) = self.storms.get_mut(lead) else { return };
        storm.incidents.insert(reference.to_owned());
        let link = TicketLink {
            key: storm.ticket.clone(),
            effect: storm.effect.clone(),
            remote: storm.remote.clone(),
            storm: true,
            state: if storm.remote.is_some() { TicketState::Filed } else { TicketState::Pending },
            comments: 0,
        };
        changes.rows.push(row(lead, storm));
        changes.tell(reference, now, "joined", format!("joins the storm ticket of {lead}"));
        self.change(reference, now, changes, |incident| incident.ticket = Some(link));
    }

    /// Recovery is a comment; a ticket that is not filed yet is withdrawn.
    pub(super) fn ticket_of_ended(
        &mut self,
        incident: &mut Incident,
        reason: &str,
        at: Timestamp,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(link) = incident.ticket.clone() else { return };
        if link.storm {
            for (lead, storm) in &mut self.storms {
                if storm.ticket == link.key && storm.incidents.contains(&incident.reference) {
                    storm.recovered.insert(incident.reference.clone());
                    changes.rows.push(row(lead, storm));
                }
            }
        } else if link.state == TicketState::Pending {
            incident.ticket = None;
            self.withdraw(&link.effect, &incident.reference, reason, now, changes);
        } else {
            let text = format!(
                "Connection {} {reason} at {at} (incident {}).",
                incident.connection, incident.reference
            );
            self.comment(incident, text, now, changes);
        }
    }

    /// The same ticket hears that it fails again.
    pub(super) fn ticket_of_reopened(
        &mut self,
        incident: &mut Incident,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let storm = incident.ticket.as_ref().map(|link| link.storm);
        match storm {
            None => {}
            Some(true) => {
                for (lead, storm) in &mut self.storms {
                    if storm.recovered.remove(&incident.reference) {
                        changes.rows.push(row(lead, storm));
                    }
                }
            }
            Some(false) => {
                let text = format!(
                    "Connection {} fails again (incident {}), within a day of its recovery.",
                    incident.connection, incident.reference
                );
                self.comment(incident, text, now, changes);
            }
        }
    }

    /// Adds a comment to the incident's own ticket, where there is one.
    pub(super) fn comment(
        &mut self,
        incident: &mut Incident,
        text: String,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(link) = &mut incident.ticket else { return };
        let Some(remote) = link.remote.clone().filter(|_| link.state.takes_comments()) else { return };
        link.comments += 1;
        let ticket = link.key.clone();
        let key = self.effect_key(incident, Action::FileTicket, Phase::Comment);
        incident.planned += 1;
        self.plan_comment(key, vec![incident.reference.clone()], ticket, remote, text, now, changes);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one effect")]
    fn plan_comment(
        &mut self,
        key: String,
        incidents: Vec<String>,
        ticket: String,
        remote: String,
        text: String,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let effect = Effect {
            key: key.clone(),
            incidents,
            action: Action::FileTicket,
            phase: Phase::Comment,
            channel: self.settings.routes.desk.clone().unwrap_or_default(),
            state: EffectState::Planned,
            reason: text.lines().next().unwrap_or_default().to_owned(),
            rule: String::new(),
            due: now,
            next_attempt: now,
            expires: after(now, self.settings.limits.lifetime_ticket),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            payload: Payload::Comment { ticket, remote, text },
        };
        changes.effect(&effect, now);
        self.effects.insert(key, effect);
    }

    /// Comments on storms at half, 90 % and all recovered, and when others joined; at most hourly.
    pub(super) fn plan_storm_comments(&mut self, now: Timestamp, changes: &mut Changes) {
        let mut planned = Vec::new();
        for (lead, storm) in &mut self.storms {
            let Some(remote) = storm.remote.clone() else { continue };
            let hourly = storm.last_comment.is_some_and(|at| since(now, at).as_secs() < 3600);
            let (all, well) = (storm.incidents.len(), storm.recovered.len());
            let reached = match well * 100 / all.max(1) {
                100 => 100,
                90.. => 90,
                50.. => 50,
                _ => 0,
            };
            let joined = all > storm.attached;
            if storm.closed || (hourly && reached < 100) || (reached <= storm.commented && !joined) {
                continue;
            }
            let mut text = format!("{well} of {all} connections have recovered.");
            if joined {
                text.push_str(&format!(" {} more joined since the last word.", all - storm.attached));
            }
            storm.commented = reached.max(storm.commented);
            storm.attached = all;
            storm.last_comment = Some(now);
            storm.comments += 1;
            storm.closed = reached == 100;
            changes.rows.push(row(lead, storm));
            let key = format!(
                "{}/{lead}/{}/storm-comment/{}",
                self.settings.environment,
                Action::FileTicket.as_str(),
                storm.comments
            );
            planned.push((key, lead.clone(), storm.ticket.clone(), remote, text));
        }
        for (key, lead, ticket, remote, text) in planned {
            self.plan_comment(key, vec![lead], ticket, remote, text, now, changes);
        }
    }

    /// A storm's ticket was filed: its members can be commented on.
    pub(super) fn storm_filed(&mut self, effect: &str, remote: &str, changes: &mut Changes) {
        for (lead, storm) in &mut self.storms {
            if storm.effect == effect {
                storm.remote = Some(remote.to_owned());
                changes.rows.push(row(lead, storm));
            }
        }
    }

    /// A storm whose ticket was not filed after all is none: what is due is planned anew.
    pub(super) fn storm_unfiled(&mut self, effect: &str, changes: &mut Changes) {
        self.storms.retain(|lead, storm| {
            let unfiled = storm.effect == effect && storm.remote.is_none();
            if unfiled {
                changes.rows.push(Row { kind: "storm", key: lead.to_owned(), body: None });
            }
            !unfiled
        });
    }

    /// A person closed a ticket.
    pub(super) fn ticket_closed(
        &mut self,
        reference: &str,
        wont_fix: bool,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let what =
            if wont_fix { "closed as won't fix: final for the incident" } else { "closed by a person" };
        changes.tell(reference, now, "ticket-closed", format!("the ticket was {what}"));
        self.change(reference, now, changes, |incident| {
            if let Some(link) = incident.ticket.as_mut().filter(|_| wont_fix) {
                link.state = TicketState::WontFix;
            }
        });
    }
}

/// What the planner knows of an incident, for the desk. The job's facts are added when it is written.
fn story(incident: &Incident, now: Timestamp) -> String {
    let mut text = format!(
        "Connection: {}\nUser: {}\nInstitution: {} ({}, {})\nScenario: {}\nFailing since: {}\nNewest failure: {}\n\
         Failed jobs in a row: {}\nReference: {}\nTicket written: {now}\n\nTried: {}\n",
        incident.connection,
        incident.user,
        incident.institution_name,
        incident.institution,
        incident.method,
        incident.scenario,
        incident.failing_since,
        incident.last_failure,
        incident.failed_jobs,
        incident.reference,
        tried(incident),
    );
    for attempt in &incident.attempts {
        let end = attempt.failed.map_or("no end seen".to_owned(), |at| format!("failed at {at}"));
        text.push_str(&format!("- refresh at {}, job {}: {end}\n", attempt.at, attempt.job));
    }
    if !incident.outage.total.is_zero() {
        text.push_str(&format!(
            "- time under major outage, not counted: {} s\n",
            incident.outage.total.as_secs()
        ));
    }
    text
}

fn tried(incident: &Incident) -> String {
    let (spent, failed) = (incident.attempts.len(), incident.failed_attempts());
    let mut text = format!("{spent} refreshes, {failed} of them ended in a failed job");
    if let Some(why) = incident.refresh_refused.as_ref().or(incident.withheld.as_ref()) {
        text.push_str(&format!("; others were withheld: {why}"));
    }
    text
}

fn row(lead: &str, storm: &Storm) -> Row {
    Row { kind: "storm", key: lead.to_owned(), body: serde_json::to_string(storm).ok() }
}
