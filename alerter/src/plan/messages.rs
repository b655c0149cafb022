//! Messages to users: openings that settle, merge, wait for their cooldown or are held; closings that
//! are owed (behaviour, section 5).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use daemon::Timestamp;

use super::{
    Changes, Person,
    cooldowns::family,
    draft::Draft,
    planner::{Next, Planner, after, digest, owes_end, since, unanswered},
};
use crate::{
    channels::{MessageConnection, UserMessage},
    config::Mode,
    demand::{Action, Demand},
    evidence::State,
    incidents::{Cause, Class, Incident, Message, MessageState, Status},
    store::{Effect, EffectState, Payload, Phase},
};

/// How long an answer to "who is this user" is used.
const PERSON_AGE: Duration = Duration::from_secs(3600);

/// A message that is due, before it is merged with the person's others.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) reference: String,
    pub(super) person: Person,
    pub(super) phase: Phase,
    pub(super) template: String,
    pub(super) closing_template: String,
    pub(super) in_reply_to: Option<String>,
    pub(super) rule: Arc<str>,
    pub(super) institution: String,
    pub(super) due: Timestamp,
    pub(super) cooldown: Duration,
    pub(super) lifetime: Duration,
    pub(super) released: bool,
}

impl Planner {
    /// Whether an opening is due, and if not, when.
    pub(super) fn decide_message(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        next: &mut Next,
        changes: &mut Changes,
    ) {
        if incident.is_open() {
            self.withdraw_unasked(incident, now, changes);
        }
        if !incident.is_open() || incident.class == Class::Stale || incident.hold.is_some() {
            return;
        }
        // Its end looks at all incidents again.
        if self.platform().is_some() {
            return;
        }
        let Some(demand) = self.demand(incident, Action::NotifyUser).cloned() else { return };
        let Some(asked) = demand.template.as_deref() else { return };
        if self.withheld(Action::NotifyUser, &demand.rule, incident) {
            return;
        }
        if self.snapshot.never_succeeded(&incident.connection) && !self.settings.limits.tell_never_succeeded {
            return;
        }
        let phase = phase_of(&demand);
        let said = |message: &Message| {
            !message.earlier
                && message.phase == phase
                && message.class == incident.class
                && !matches!(message.state, MessageState::Closed { .. })
        };
        if incident.messages.iter().any(said) {
            return;
        }
        let outage = incident.class == Class::Service && incident.cause == Cause::Bank;
        if outage && incident.outage.since.is_none() && self.snapshot.traffic.is_empty() {
            // Named by its jobs, of which nothing is known after a start: what would verify a message?
            return next.at(Some(after(now, self.settings.limits.evidence_age)));
        }
        let template = if outage && phase == Phase::Opening { "outage".to_owned() } else { asked.to_owned() };
        let due = self.opening_due(incident, phase, demand.numbers.settle);
        let wait = incident.message_after.map_or(due, |quiet| due.max(quiet));
        if wait > now {
            return next.at(Some(wait));
        }
        let Some(person) = self.person(incident, now, changes) else { return };
        let limits = &self.settings.limits;
        let cooldown = self.cooldown_of(&person, &template);
        if cooldown.is_some_and(|cooldown| self.effects.contains_key(&cooldown.effect)) {
            return next.at(Some(after(now, self.settings.limits.evidence_age)));
        }
        if let Some(until) = cooldown.map(|cooldown| cooldown.until).filter(|until| *until > now) {
            if incident.deferred != Some(until) {
                incident.deferred = Some(until);
                let text = format!(
                    "the person got a message of template {template} within the cooldown: deferred until {until}"
                );
                changes.tell(&incident.reference, now, "deferred", text);
            }
            return next.at(Some(until));
        }
        let lifetime = if incident.class == Class::Service && phase == Phase::Opening {
            limits.lifetime_delayed
        } else {
            limits.lifetime_action
        };
        self.ready.push(Ready {
            reference: incident.reference.clone(),
            person,
            phase,
            template,
            closing_template: demand.closing_template.as_deref().unwrap_or("ready").to_owned(),
            in_reply_to: thread(incident),
            rule: demand.rule.clone(),
            institution: incident.institution.clone(),
            due,
            cooldown: demand.numbers.cooldown.unwrap_or(limits.cooldown),
            lifetime: demand.numbers.lifetime.unwrap_or(lifetime),
            released: incident.released,
        });
    }

    /// Cancels what a rule no longer asks for, and what nobody was told of yet; the incident stays open.
    fn withdraw_unasked(&mut self, incident: &mut Draft, now: Timestamp, changes: &mut Changes) {
        // Another rule may ask for the same message meanwhile; then it stays.
        let asked = |template: &str| {
            let demands = self.demands.get(incident.connection.as_str());
            demands.into_iter().flatten().filter(|demand| demand.action == Action::NotifyUser).any(|demand| {
                demand.template.as_deref().is_some_and(|asked| family(asked) == family(template))
            })
        };
        let unasked: Vec<String> = incident
            .messages
            .iter()
            .filter(|message| message.state == MessageState::Pending && !asked(&message.template))
            .map(|message| message.effect.clone())
            .collect();
        for effect in unasked {
            incident.messages.retain(|message| message.effect != effect);
            self.quiet(incident, now);
            let reference = incident.reference.clone();
            self.withdraw(&effect, &reference, "its rule no longer asks for it", now, changes);
        }
    }

    /// When an opening is due: credentials-like scenarios settle; `delayed` waits for the first retry to
    /// have failed, or for its settling time; a known outage settles like the former.
    fn opening_due(&self, incident: &Incident, phase: Phase, settle: Option<Duration>) -> Timestamp {
        let limits = &self.settings.limits;
        if phase == Phase::GaveUp {
            return after(incident.scenario_since, settle.unwrap_or_default());
        }
        if incident.class != Class::Service {
            return after(incident.class_since, settle.unwrap_or(limits.settle));
        }
        let settled = after(incident.class_since, settle.unwrap_or(limits.settle_delayed));
        let named = incident.outage.since.or_else(|| self.ailing(&incident.institution, &incident.method));
        if let Some(began) = named {
            return settled.min(after(began.max(incident.class_since), limits.settle));
        }
        incident
            .attempts
            .iter()
            .filter_map(|attempt| attempt.failed)
            .filter(|failed| *failed > incident.class_since)
            .min()
            .map_or(settled, |failed| settled.min(failed))
    }

    /// Whether closings are owed: after half an hour of health, to those whose opening was accepted.
    pub(super) fn decide_closing(
        &mut self,
        incident: &mut Draft,
        now: Timestamp,
        next: &mut Next,
        changes: &mut Changes,
    ) {
        let Status::Ended { reason, at } = &incident.status else { return };
        if !owes_end(reason) || self.platform().is_some() {
            return;
        }
        let Some(last) = incident.messages.iter().rfind(|message| unanswered(message)).cloned() else {
            return;
        };
        let facts = self.snapshot.connections.get(incident.connection.as_str());
        if facts.is_some_and(|facts| matches!(facts.state, State::Failing { .. } | State::Stale { .. })) {
            // It fails again, and no rule has asked for anything yet.
            return;
        }
        let rule = last.rule.clone();
        if self.settings.actions.mode(Action::NotifyUser) == Mode::Off
            || self.paused(Action::NotifyUser, &rule, &incident.institution, &incident.user)
        {
            return;
        }
        let due = after(*at, self.settings.limits.settle_closing);
        let due = incident.message_after.map_or(due, |quiet| due.max(quiet));
        if due > now {
            return next.at(Some(due));
        }
        let Some(person) = self.person(incident, now, changes) else { return };
        self.ready.push(Ready {
            reference: incident.reference.clone(),
            person,
            phase: Phase::Closing,
            template: last.closing_template,
            closing_template: String::new(),
            in_reply_to: Some(last.message_id),
            rule,
            institution: incident.institution.clone(),
            due,
            cooldown: Duration::ZERO,
            lifetime: self.settings.limits.lifetime_ready,
            released: true,
        });
    }

    /// The person behind the incident's user; asks for it where it is not known or too old.
    fn person(&mut self, incident: &Incident, now: Timestamp, changes: &mut Changes) -> Option<Person> {
        match self.people.get(&incident.user) {
            Some((person, learned)) if since(now, *learned) <= PERSON_AGE => Some(person.clone()),
            _ => {
                let waiting = self.asked.entry(incident.user.clone()).or_default();
                if waiting.is_empty() {
                    changes.unresolved.push(incident.user.clone());
                }
                waiting.insert(incident.connection.as_str().into());
                None
            }
        }
    }

    /// Merges what is due for one person into one message each, unless there is too much of it.
    pub(super) fn plan_messages(&mut self, now: Timestamp, changes: &mut Changes) {
        let ready = std::mem::take(&mut self.ready);
        let ready = self.hold_back(ready, now, changes);
        let mut groups: BTreeMap<(String, Phase, String, Option<String>), Vec<Ready>> = BTreeMap::new();
        for one in ready {
            let person = match &one.person {
                Person::Hash(hash) => hash.clone(),
                Person::Nobody => format!("nobody/{}", one.reference),
            };
            // Openings are one message whatever was said before; an end answers what it is the end of.
            let thread = one.in_reply_to.clone().filter(|_| one.phase == Phase::Closing);
            groups.entry((person, one.phase, one.template.clone(), thread)).or_default().push(one);
        }
        for (_, mut group) in groups {
            group.sort_by(|one, other| (one.due, &one.reference).cmp(&(other.due, &other.reference)));
            if let Some(first) = group.first().filter(|first| first.phase != Phase::Closing) {
                let cooldown = self.cooldown_of(&first.person, &first.template);
                if cooldown.is_some_and(|cooldown| self.effects.contains_key(&cooldown.effect)) {
                    // A message of the same kind was planned for this person a moment ago.
                    let held_up = group.iter().filter_map(|one| self.incidents.get(one.reference.as_str()));
                    let connections: Vec<_> =
                        held_up.map(|incident| incident.connection.as_str().into()).collect();
                    self.touched.extend(connections);
                    continue;
                }
            }
            self.plan_message(&group, now, changes);
        }
    }

    fn plan_message(&mut self, group: &[Ready], now: Timestamp, changes: &mut Changes) {
        let Some(first) = group.first() else { return };
        let Some(lead) = self.incidents.get(first.reference.as_str()) else { return };
        let effect_key = self.effect_key(lead, Action::NotifyUser, first.phase);
        let message_id = format!("<{}@basiq-alerter.invalid>", digest(&effect_key));
        let incidents: Vec<String> = group.iter().map(|one| one.reference.clone()).collect();
        let connections = group
            .iter()
            .filter_map(|one| self.incidents.get(one.reference.as_str()))
            .map(|incident| MessageConnection {
                connection: incident.connection.clone(),
                user: incident.user.clone(),
                institution: incident.institution.clone(),
                institution_name: incident.institution_name.clone(),
                scenario: incident.scenario.clone(),
                since: incident.failing_since,
            })
            .collect();
        let merged =
            if group.len() > 1 { format!(", {} connections in one", group.len()) } else { String::new() };
        let effect = Effect {
            key: effect_key.clone(),
            incidents,
            action: Action::NotifyUser,
            phase: first.phase,
            channel: self.settings.routes.user.clone().unwrap_or_default(),
            state: EffectState::Planned,
            reason: match first.phase {
                Phase::Closing => format!("it has been healthy since its end{merged}"),
                _ => format!("{} asks for template {}{merged}", first.rule, first.template),
            },
            rule: first.rule.to_string(),
            due: first.due,
            next_attempt: now,
            expires: after(now, first.lifetime),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            traceparent: None,
            payload: Payload::Message(UserMessage {
                key: effect_key.clone(),
                user: lead.user.clone(),
                template: first.template.clone(),
                connections,
                message_id: message_id.clone(),
                in_reply_to: group.iter().find_map(|one| one.in_reply_to.clone()),
                reference: first.reference.clone(),
                at: now,
            }),
        };
        self.add_effect(effect, now, changes);
        if let (Phase::Opening | Phase::GaveUp, Person::Hash(hash)) = (first.phase, &first.person) {
            let key = (hash.clone(), family(&first.template).to_owned());
            self.start_cooldown(key, after(now, first.cooldown), &effect_key, changes);
        }
        for (place, one) in group.iter().enumerate() {
            if one.phase != Phase::Closing {
                self.openings.add(now, &one.rule, &one.institution);
            }
            let (effect_key, message_id) = (effect_key.clone(), message_id.clone());
            self.change(&one.reference, now, changes, |incident| {
                incident.planned += u32::from(place == 0);
                incident.deferred = None;
                incident.released = false;
                if one.phase == Phase::Closing {
                    for message in &mut incident.messages {
                        if matches!(message.state, MessageState::Told { .. }) {
                            message.closing = Some(effect_key.clone());
                        }
                    }
                } else {
                    // Most incidents have one.
                    incident.messages.reserve_exact(1);
                    incident.messages.push(Message {
                        phase: one.phase,
                        class: incident.class,
                        template: one.template.clone(),
                        rule: one.rule.clone(),
                        closing_template: one.closing_template.clone(),
                        effect: effect_key,
                        message_id,
                        state: MessageState::Pending,
                        closing: None,
                        earlier: false,
                    });
                }
            });
        }
    }

    /// `environment/incident/action/phase/n`.
    pub(super) fn effect_key(&self, incident: &Incident, action: Action, phase: Phase) -> String {
        format!(
            "{}/{}/{}/{}/{}",
            self.settings.environment,
            incident.reference,
            action.as_str(),
            phase.as_str(),
            incident.planned
        )
    }

    /// No opening for some minutes: the one that was withdrawn may be on its way and be taken all the same.
    pub(super) fn quiet(&self, incident: &mut Incident, now: Timestamp) {
        let later = after(now, self.settings.limits.evidence_age);
        incident.message_after = incident.message_after.max(Some(later));
    }
}

/// What the message is within its incident that this demand asks for.
pub(super) fn phase_of(demand: &Demand) -> Phase {
    if demand.template.as_deref() == Some("gave-up") { Phase::GaveUp } else { Phase::Opening }
}

/// The thread of what was said of an incident: the Message-ID of the last that was taken.
fn thread(incident: &Incident) -> Option<String> {
    let taken = |message: &&Message| {
        !message.message_id.is_empty()
            && matches!(message.state, MessageState::Told { .. } | MessageState::Closed { .. })
    };
    incident.messages.iter().rfind(taken).map(|message| message.message_id.clone())
}
