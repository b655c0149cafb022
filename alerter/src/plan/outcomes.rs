//! What became of effects, and what follows for their incidents.

use daemon::Timestamp;

use super::{
    Changes, Outcome,
    notices::Own,
    planner::{Planner, after, since},
    retry::{DONE, WORD_KEPT},
};
use crate::{
    incidents::{Attempt, Message, MessageState, TicketState},
    refresh::Refreshed,
    store::{Effect, EffectState, Payload, Phase, spent},
};

impl Planner {
    /// Takes in what the outbox reports of one effect.
    pub(super) fn take(&mut self, outcome: Outcome, now: Timestamp, changes: &mut Changes) {
        let Outcome { mut effect, spoke_of, refreshed, failed_before } = outcome;
        if !effect.state.is_final() {
            let waits = effect.state == EffectState::Held && effect.phase != Phase::Notice;
            if waits && self.effects.contains_key(&effect.key) {
                self.held_for_a_person(&effect, now, changes);
            }
            match self.effects.get_mut(&effect.key) {
                // Held meanwhile, and put off by its line: it stays held.
                Some(known) => {
                    if known.state == EffectState::Held && effect.state == EffectState::Deferred {
                        effect.state = EffectState::Held;
                        effect.reason.clone_from(&known.reason);
                    }
                    *known = effect.clone();
                }
                // It was cancelled while it was on its way, and was not taken: so it stays.
                None => {
                    let opening = matches!(effect.phase, Phase::Opening | Phase::GaveUp);
                    if effect.state == EffectState::Unknown && opening {
                        self.begin_cooldown(&effect, changes);
                    }
                    effect.state = EffectState::Cancelled;
                    effect.reason = format!("cancelled while it was on its way: {}", effect.reason);
                }
            }
            return changes.effect(self.without_forgotten(effect), now);
        }
        changes.tell_effect(&effect, now);
        self.effects.remove(&effect.key);
        self.unhold_effect(&effect.key, now, changes);
        self.none_held(&effect, now, changes);
        match effect.phase {
            Phase::Opening | Phase::GaveUp => self.message_ended(&effect, &spoke_of, now, changes),
            Phase::Closing => self.closing_ended(&effect, &spoke_of, now, changes),
            Phase::Refresh => self.refresh_ended(&effect, refreshed, failed_before, now, changes),
            Phase::Ticket => self.ticket_ended(&effect, now, changes),
            Phase::Comment => self.comment_ended(&effect, now, changes),
            Phase::Notice => {}
        }
        if effect.state == EffectState::Dead {
            self.dead(&effect, now, changes);
        }
        let effect = self.without_forgotten(effect);
        changes.effects.push(effect);
    }

    /// What becomes known of an effect only after a user of its was forgotten brings nobody's ids back.
    fn without_forgotten(&self, effect: Effect) -> Effect {
        let forgotten = match &effect.payload {
            Payload::Message(message) => {
                let mut users = message.connections.iter().map(|connection| connection.user.as_str());
                self.forgot(&message.user) || users.any(|user| self.forgot(user))
            }
            Payload::Refresh { user, .. } | Payload::Comment { user, .. } => self.forgot(user),
            Payload::Ticket { cases, .. } => cases.iter().any(|(user, ..)| self.forgot(user)),
            Payload::Notice(_) => false,
        };
        if forgotten { spent(effect) } else { effect }
    }

    fn message_ended(&mut self, effect: &Effect, spoke_of: &[String], now: Timestamp, changes: &mut Changes) {
        let Payload::Message(message) = &effect.payload else { return };
        let delivered = effect.state == EffectState::Delivered;
        if delivered {
            self.begin_cooldown(effect, changes);
        } else if effect.state != EffectState::DryRun {
            self.free_cooldown(effect, changes);
        }
        let quiet = after(now, self.settings.limits.evidence_age);
        for reference in &effect.incidents {
            let state = match effect.state {
                EffectState::Delivered if spoke_of.contains(reference) => {
                    Some(MessageState::Told { at: now })
                }
                EffectState::DryRun => Some(MessageState::DryRun),
                EffectState::Expired | EffectState::Dead | EffectState::Unreachable => {
                    Some(MessageState::Failed { why: effect.reason.clone() })
                }
                // Not said after all: it may be said later, should it still hold.
                _ => None,
            };
            if state.is_none() {
                self.ask_anew(reference);
            }
            self.change(reference, now, changes, |incident| {
                let place = incident.messages.iter().position(|known| known.effect == effect.key);
                match (state, place) {
                    (Some(state), Some(place)) => incident.messages[place].state = state,
                    // It was withdrawn while it was on its way, and was taken all the same.
                    (Some(state @ MessageState::Told { .. }), None) => incident.messages.push(Message {
                        phase: effect.phase,
                        class: incident.class,
                        template: message.template.clone(),
                        rule: effect.rule.as_str().into(),
                        closing_template: "ready".to_owned(),
                        effect: effect.key.clone(),
                        message_id: message.message_id.clone(),
                        state,
                        closing: None,
                        earlier: false,
                    }),
                    (Some(_), None) => {}
                    (None, _) => {
                        incident.messages.retain(|known| known.effect != effect.key);
                        incident.message_after = Some(quiet);
                    }
                }
            });
        }
    }

    /// Who is behind the incident's user is asked anew before the next message: it may be another person by now.
    fn ask_anew(&mut self, reference: &str) {
        let Some(user) = self.incident(reference).map(|incident| incident.user.clone()) else { return };
        if let Some((_, learned)) = self.people.get_mut(&user) {
            // Known until the answer is here, so that forgetting the user erases what was kept of them.
            *learned = Timestamp::UNIX_EPOCH;
        }
    }

    fn closing_ended(&mut self, effect: &Effect, spoke_of: &[String], now: Timestamp, changes: &mut Changes) {
        let quiet = after(now, self.settings.limits.evidence_age);
        for reference in &effect.incidents {
            let told = effect.state == EffectState::Delivered && spoke_of.contains(reference);
            if !told {
                self.ask_anew(reference);
            }
            self.change(reference, now, changes, |incident| {
                if !told {
                    incident.message_after = incident.message_after.max(Some(quiet));
                }
                for message in &mut incident.messages {
                    if message.closing.as_ref() != Some(&effect.key) {
                        continue;
                    }
                    match effect.state {
                        _ if told => message.state = MessageState::Closed { at: now },
                        EffectState::Obsolete | EffectState::Cancelled | EffectState::Delivered => {
                            message.closing = None;
                        }
                        // Expired, dead, unreachable, dry run: it stays owed and is not tried again.
                        _ => {}
                    }
                }
            });
        }
    }

    fn refresh_ended(
        &mut self,
        effect: &Effect,
        refreshed: Option<Refreshed>,
        failed_before: Option<Timestamp>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let wait = after(now, self.settings.limits.retry_after);
        for reference in &effect.incidents {
            let refreshed = refreshed.clone();
            self.change(reference, now, changes, |incident| {
                if incident.refresh.as_ref() == Some(&effect.key) {
                    incident.refresh = None;
                }
                // The user's word is kept until Basiq has answered it, for a day.
                let answered = matches!(effect.state, EffectState::DryRun | EffectState::Dead)
                    || refreshed.as_ref().is_some_and(|said| !matches!(said, Refreshed::Withheld { .. }));
                let old = |done: Timestamp| since(now, done) >= WORD_KEPT;
                if effect.rule == DONE {
                    incident.done.take_if(|done| (answered && *done <= effect.created) || old(*done));
                }
                match (effect.state, refreshed) {
                    (EffectState::Delivered, Some(Refreshed::Started { job })) => {
                        let before = failed_before.unwrap_or(incident.last_failure);
                        // The evidence may have shown the job's failure before this answer was taken in.
                        let failed = (incident.last_failure > before && incident.outage.since.is_none())
                            .then_some(incident.last_failure);
                        incident.attempts.push(Attempt { at: now, job, before, failed, over: false });
                        incident.withheld = None;
                    }
                    (EffectState::Delivered, Some(Refreshed::Existing { job })) => {
                        incident.withheld =
                            Some(format!("job {job} of this connection runs or is queued already"));
                        incident.refresh_after = Some(wait);
                    }
                    (EffectState::Delivered, Some(Refreshed::Withheld { why })) => {
                        incident.withheld = Some(why);
                        incident.refresh_after = Some(wait);
                    }
                    (EffectState::Delivered, Some(Refreshed::Refused { why })) => {
                        incident.refresh_refused = Some(why);
                    }
                    (EffectState::DryRun, _) => {
                        incident.dry_refreshes += 1;
                        incident.refresh_after = Some(wait);
                    }
                    (EffectState::Dead, _) => incident.refresh_refused = Some(effect.reason.clone()),
                    // Planned anew if it is still wanted.
                    (EffectState::Expired, _) => incident.refresh_after = Some(now),
                    _ => incident.refresh_after = Some(wait),
                }
            });
        }
    }

    fn ticket_ended(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        self.trouble_filed(effect, now, changes);
        if !matches!(effect.state, EffectState::Delivered | EffectState::DryRun) {
            self.uncount_ticket(effect);
        }
        let members = self.storm_members(&effect.key).unwrap_or_else(|| effect.incidents.clone());
        if let (EffectState::Delivered, Some(remote)) = (effect.state, &effect.remote) {
            self.storm_filed(&effect.key, remote);
        } else {
            self.storm_unfiled(&effect.key);
        }
        if effect.state == EffectState::Delivered {
            self.adopt_ticket(effect, now, changes);
        }
        let quiet = after(now, self.settings.limits.evidence_age);
        for reference in members {
            self.change(&reference, now, changes, |incident| {
                let link = incident.ticket.as_mut().filter(|link| link.effect == effect.key);
                let Some(link) = link else { return };
                match effect.state {
                    EffectState::Delivered => {
                        link.state = TicketState::Filed;
                        link.remote.clone_from(&effect.remote);
                    }
                    EffectState::DryRun => link.state = TicketState::DryRun,
                    EffectState::Obsolete | EffectState::Cancelled => {
                        incident.ticket = None;
                        incident.ticket_after = Some(quiet);
                    }
                    _ => link.state = TicketState::Failed,
                }
            });
        }
    }

    fn dead(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        if effect.phase == Phase::Notice {
            return;
        }
        let key = format!("dead/{}/{}", effect.channel, effect.phase.as_str());
        self.happens(&key, now);
        let own = Own {
            key: &key,
            name: "BasiqAlerterDeadEffects",
            of: &[("channel", &effect.channel), ("phase", effect.phase.as_str())],
            summary: &format!("{} through {} will never be taken", effect.phase.as_str(), effect.channel),
            description: &format!(
                "{}: {}. `basiq-alerter outbox list --state dead` shows all of them.",
                effect.key, effect.reason
            ),
        };
        self.own_notice(&own, now, changes);
    }
}
