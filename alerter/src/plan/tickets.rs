//! Tickets: one for each persistent failure, comments on how it goes on (behaviour, section 7).

use std::{collections::BTreeSet, sync::Arc};

use daemon::Timestamp;

use super::{
    Changes,
    draft::Draft,
    planner::{Next, Planner, after, digest},
};
use crate::{
    channels::{News, Ticket},
    demand::Action,
    incidents::{Class, Incident, TicketLink, TicketState},
    store::{Effect, EffectState, Payload, Phase},
};

/// Institution, method and class: what makes a storm one.
pub(super) type Group = (String, String, Class);

/// A ticket that is due.
#[derive(Clone, Debug)]
pub(super) struct ReadyTicket {
    pub(super) reference: String,
    pub(super) group: Group,
    pub(super) rule: Arc<str>,
    due: Timestamp,
    lifetime: std::time::Duration,
    pub(super) severity: String,
    /// The desk that it goes to.
    pub(super) desk: String,
}

impl Planner {
    /// Whether a ticket is due, settles, or when it will be due.
    pub(super) fn decide_ticket(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        next: &mut Next,
        changes: &mut Changes,
    ) {
        self.remind(incident, now, next, changes);
        self.withdraw_unasked_ticket(incident, now, changes);
        let group = (incident.institution.clone(), incident.method.clone(), incident.class);
        let reference = incident.name.clone();
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
        let ready = self.ready_ticket(incident, rule, due, lifetime);
        self.ready_tickets.push(ready);
    }

    fn ready_ticket(
        &self,
        incident: &Incident,
        rule: Arc<str>,
        due: Timestamp,
        lifetime: std::time::Duration,
    ) -> ReadyTicket {
        let demand = self.demand(incident, Action::FileTicket);
        let severity = demand.and_then(|it| it.labels.get("severity").map(str::to_owned)).unwrap_or_default();
        let desk = self.settings.routes.desk(&incident.institution, &incident.scenario, &severity);
        ReadyTicket {
            reference: incident.reference.clone(),
            group: (incident.institution.clone(), incident.method.clone(), incident.class),
            rule,
            due,
            lifetime,
            severity,
            desk,
        }
    }

    /// The ticket that this incident would have by now, as long as its rule asks for it.
    pub(super) fn overdue_ticket(&self, incident: &Incident, now: Timestamp) -> Option<ReadyTicket> {
        let (_, due, rule, lifetime) = self.ticket_due(incident).filter(|(_, due, ..)| *due <= now)?;
        Some(self.ready_ticket(incident, rule, due, lifetime))
    }

    /// When the reason for a ticket arises, when it has settled, its rule and lifetime.
    fn ticket_due(
        &self,
        incident: &Incident,
    ) -> Option<(Timestamp, Timestamp, Arc<str>, std::time::Duration)> {
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
        // Spent before an outage, an end or another failure, they are the reason only of what comes after it.
        let reason_at = spent.map_or(escalated, |spent| spent.max(from).min(escalated));
        let due = after(reason_at, demand.numbers.settle.unwrap_or(limits.settle_ticket));
        let due = incident.ticket_after.map_or(due, |quiet| due.max(quiet));
        let lifetime = demand.numbers.lifetime.unwrap_or(limits.lifetime_ticket);
        Some((reason_at, due, demand.rule.clone(), lifetime))
    }

    /// Files what is due: alone, or as a storm where many of a kind are due or settling.
    pub(super) fn plan_tickets(&mut self, now: Timestamp, changes: &mut Changes) {
        for ready in std::mem::take(&mut self.ready_tickets) {
            let taken = self.incidents.get(ready.reference.as_str()).is_none_or(|it| it.ticket.is_some());
            if taken {
                continue;
            }
            if let Some(lead) = self.open_storm(&ready.group) {
                self.join(&lead, &ready.reference, now, changes);
                continue;
            }
            if self.waits_for_digest(&ready, now, changes) {
                continue;
            }
            match self.settling.get(&ready.group) {
                Some(kin) if kin.len() >= self.settings.limits.storm as usize => {
                    let kin = kin.clone();
                    self.plan_storm(&ready, &kin, now, changes);
                }
                _ => self.plan_ticket(&ready, now, changes),
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
            severity: ready.severity.clone(),
            at: now,
        };
        let cases = vec![(incident.user.clone(), incident.connection.clone(), incident.failing_since)];
        let reason = format!("{} asks for a ticket; {}", ready.rule, tried(incident));
        let members = BTreeSet::from([incident.reference.clone()]);
        let key = self.plan_ticket_effect(ready, ticket, cases, reason, &members, false, now, changes);
        self.count_ticket(&ready.desk, &key, now);
    }

    #[expect(clippy::too_many_arguments, reason = "one place builds the effect of both kinds of ticket")]
    pub(super) fn plan_ticket_effect(
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
        let desk = ready.desk.clone();
        let link = TicketLink {
            key: ticket.key.clone(),
            effect: key.clone(),
            desk: desk.clone(),
            remote: None,
            storm,
            state: TicketState::Pending,
            comments: 0,
            closed: false,
        };
        let effect = Effect {
            key: key.clone(),
            incidents,
            action: Action::FileTicket,
            phase: Phase::Ticket,
            channel: desk,
            state: EffectState::Planned,
            reason,
            rule: ready.rule.to_string(),
            due: ready.due,
            next_attempt: now,
            expires: after(now, ready.lifetime),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            traceparent: None,
            payload: Payload::Ticket { ticket, cases },
        };
        self.add_effect(effect, now, changes);
        for (place, reference) in members.iter().enumerate() {
            let link = link.clone();
            self.change(reference, now, changes, |incident| {
                incident.planned += u32::from(place == 0 || *reference == ready.reference);
                incident.ticket = Some(link);
            });
        }
        key
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
            self.storm_member(&link.key, &incident.reference, true);
        } else if link.state == TicketState::Pending {
            self.drop_ticket(incident, now);
            self.withdraw(&link.effect, &incident.reference, reason, now, changes);
        } else {
            let text = format!(
                "Connection {} {reason} at {at} (incident {}).",
                incident.connection, incident.reference
            );
            self.comment(incident, text, News::Over, now, changes);
        }
    }

    /// The same ticket hears that it fails again.
    pub(super) fn ticket_of_reopened(
        &mut self,
        incident: &mut Incident,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        // What went through dry run only was never filed.
        incident.ticket.take_if(|link| link.state == TicketState::DryRun);
        let link = incident.ticket.as_ref().map(|link| (link.storm, link.key.clone()));
        match link {
            None => {}
            Some((true, ticket)) => self.storm_member(&ticket, &incident.reference, false),
            Some((false, _)) => {
                let text = format!(
                    "Connection {} fails again (incident {}), within a day of its recovery.",
                    incident.connection, incident.reference
                );
                self.comment(incident, text, News::Again, now, changes);
            }
        }
    }

    /// Adds a comment to the incident's own ticket, where there is one.
    pub(super) fn comment(
        &mut self,
        incident: &mut Incident,
        text: String,
        news: News,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(link) = &mut incident.ticket else { return };
        let Some(remote) = link.remote.clone().filter(|_| link.state.takes_comments()) else { return };
        link.comments += 1;
        let (ticket, desk, storm) = (link.key.clone(), link.desk.clone(), link.storm);
        let key = self.effect_key(incident, Action::FileTicket, Phase::Comment);
        incident.planned += 1;
        let (institution, user) = (incident.institution.clone(), incident.user.clone());
        let user = if storm { String::new() } else { user };
        let comment = Payload::Comment { ticket, remote, text, institution, user, news };
        self.plan_comment(key, vec![incident.reference.clone()], desk, comment, now, changes);
    }

    pub(super) fn plan_comment(
        &mut self,
        key: String,
        incidents: Vec<String>,
        desk: String,
        comment: Payload,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let said = match &comment {
            Payload::Comment { text, .. } => text.lines().next().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let default = || self.settings.routes.desk.clone().unwrap_or_default();
        let channel = Some(desk).filter(|desk| !desk.is_empty()).unwrap_or_else(default);
        let effect = Effect {
            key,
            incidents,
            action: Action::FileTicket,
            phase: Phase::Comment,
            channel,
            state: EffectState::Planned,
            reason: said,
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
            traceparent: None,
            payload: comment,
        };
        self.add_effect(effect, now, changes);
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

pub(super) fn tried(incident: &Incident) -> String {
    let (spent, failed) = (incident.attempts.len(), incident.failed_attempts());
    let mut text = format!("{spent} refreshes, {failed} of them ended in a failed job");
    if let Some(why) = incident.refresh_refused.as_ref().or(incident.withheld.as_ref()) {
        text.push_str(&format!("; others were withheld: {why}"));
    }
    text
}

impl TicketState {
    /// Whether comments can be added.
    pub(super) fn takes_comments(self) -> bool {
        self == Self::Filed
    }
}
