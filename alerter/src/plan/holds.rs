//! Holds: too many messages at once, or what a changed rule had planned, wait for a person (behaviour,
//! sections 5 and 8).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Changes, Row,
    messages::{Ready, phase_of},
    notices::Own,
    planner::{Planner, after, since},
    unsaved::Unsaved,
};
use crate::{
    demand::Action,
    incidents::{Message, MessageState, TicketState},
    store::{EffectState, Phase},
};

/// A batch that is held back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// By which it is released or discarded. Never used again.
    pub number: u64,
    /// Since when.
    pub since: Timestamp,
    /// Which limit it would have exceeded.
    pub reason: String,
    /// Incidents whose openings wait. Those that end leave it.
    pub incidents: BTreeSet<String>,
    /// Keys of effects that were planned before and wait as well.
    #[serde(default)]
    pub effects: BTreeSet<String>,
}

impl Planner {
    /// Splits off what exceeds a limit; all of such a batch is held.
    pub(super) fn hold_back(
        &mut self,
        ready: Vec<Ready>,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Vec<Ready> {
        self.openings.forget(now);
        let held = |one: &Ready| self.incidents.get(&*one.reference).is_some_and(|it| it.hold.is_some());
        let ready: Vec<Ready> =
            ready.into_iter().filter(|one| one.phase == Phase::Closing || !held(one)).collect();
        let counted = |one: &Ready| one.phase != Phase::Closing && !one.released;
        let Some(reason) = self.too_many(ready.iter().filter(|one| counted(one))) else { return ready };
        let (held, free): (Vec<_>, Vec<_>) = ready.into_iter().partition(counted);
        let incidents = held.into_iter().map(|one| one.reference).collect();
        self.open_hold(reason, incidents, BTreeSet::new(), now, changes);
        free
    }

    /// Holds these together under a number of their own, and tells operators.
    pub(super) fn open_hold(
        &mut self,
        reason: String,
        incidents: BTreeSet<String>,
        effects: BTreeSet<String>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        self.last_hold += 1;
        let number = self.last_hold;
        changes.rows.push(Row { kind: "last-hold", key: String::new(), body: Some(number.to_string()) });
        let hold = Hold { number, since: now, reason, incidents, effects };
        for reference in &hold.incidents {
            changes.tell(reference, now, "held", format!("held as number {number}: {}", hold.reason));
            self.change(reference, now, changes, |incident| incident.hold = Some(number));
        }
        let what = match (hold.incidents.len(), hold.effects.len()) {
            (messages, 0) => format!("{messages} messages to users are held as number {number}"),
            (_, effects) => format!("{effects} planned effects are held as number {number}"),
        };
        let own = Own {
            key: &format!("hold-{number}"),
            name: "BasiqAlerterHolds",
            of: &[("hold", &number.to_string())],
            summary: &what,
            description: &format!(
                "{}. Look at them on the alerter's page, then release or discard number {number}.",
                hold.reason
            ),
        };
        self.own_notice(&own, now, changes);
        self.unsaved.insert(Unsaved::Hold(number));
        self.holds.insert(number, hold);
    }

    fn too_many<'a>(&self, batch: impl Iterator<Item = &'a Ready>) -> Option<String> {
        let limits = &self.settings.limits;
        let (mut size, mut rules, mut banks) =
            (0_u32, BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
        for one in batch {
            size += 1;
            *rules.entry(&one.rule).or_default() += 1;
            *banks.entry(&one.institution).or_default() += 1;
        }
        if size == 0 {
            return None;
        }
        if size > limits.hold_batch {
            return Some(format!("{size} openings are due at once, more than {}", limits.hold_batch));
        }
        let all = u32::try_from(self.openings.len()).unwrap_or(u32::MAX);
        if all.saturating_add(size) > limits.hold_all {
            return Some(format!("more than {} openings within an hour", limits.hold_all));
        }
        for (rule, count) in &mut rules {
            *count += self.openings.of_rule(rule);
        }
        for (bank, count) in &mut banks {
            *count += self.openings.of_institution(bank);
        }
        let over = |counts: &BTreeMap<&str, u32>, limit: u32, what: &str| {
            let (name, _) = counts.iter().find(|(_, count)| **count > limit)?;
            Some(format!("more than {limit} openings within an hour for {what} {name}"))
        };
        over(&rules, limits.hold_rule, "rule")
            .or_else(|| over(&banks, limits.hold_institution, "institution"))
    }

    /// An incident that ended, or failed otherwise, leaves its hold; the hold of nothing ends.
    pub(super) fn unhold(&mut self, number: u64, reference: &str, now: Timestamp, changes: &mut Changes) {
        let Some(hold) = self.holds.get_mut(&number) else { return };
        hold.incidents.remove(reference);
        self.kept_or_ended(number, now, changes);
    }

    /// A held effect was withdrawn.
    pub(super) fn unhold_effect(&mut self, key: &str, now: Timestamp, changes: &mut Changes) {
        let of = |(number, hold): (&u64, &mut Hold)| hold.effects.remove(key).then_some(*number);
        if let Some(number) = self.holds.iter_mut().find_map(of) {
            self.kept_or_ended(number, now, changes);
        }
    }

    fn kept_or_ended(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        let Some(hold) = self.holds.get(&number) else { return };
        if hold.incidents.is_empty() && hold.effects.is_empty() {
            self.holds.remove(&number);
            self.end_hold(number, now, changes);
        } else {
            self.unsaved.insert(Unsaved::Hold(number));
        }
    }

    /// Lets a held batch go, as far as it still holds.
    pub(super) fn release(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        let Some(hold) = self.holds.remove(&number) else { return };
        for reference in &hold.incidents {
            changes.tell(reference, now, "released", format!("hold {number} was released"));
            self.change(reference, now, changes, |incident| {
                incident.hold = None;
                incident.released = true;
            });
        }
        for key in &hold.effects {
            let Some(effect) = self.effects.get_mut(key) else { continue };
            if effect.state != EffectState::Held {
                continue;
            }
            let lifetime = since(effect.expires, effect.created);
            effect.state = EffectState::Planned;
            effect.reason = format!("hold {number} was released");
            effect.next_attempt = now;
            effect.expires = after(now, lifetime);
            effect.changed = now;
            changes.effect(effect.clone(), now);
        }
        self.end_hold(number, now, changes);
    }

    /// Lets a held batch never go.
    pub(super) fn discard(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        let Some(hold) = self.holds.remove(&number) else { return };
        let why = format!("hold {number} was discarded");
        for reference in &hold.incidents {
            let asked =
                self.incident(reference).and_then(|incident| self.demand(incident, Action::NotifyUser));
            let phase = asked.map_or(Phase::Opening, phase_of);
            changes.tell(reference, now, "discarded", why.clone());
            self.change(reference, now, changes, |incident| {
                incident.hold = None;
                incident.messages.push(Message {
                    phase,
                    class: incident.class,
                    template: String::new(),
                    rule: Arc::default(),
                    closing_template: String::new(),
                    effect: String::new(),
                    message_id: String::new(),
                    state: MessageState::Failed { why: why.clone() },
                    closing: None,
                    earlier: false,
                });
            });
        }
        for key in &hold.effects {
            self.discard_effect(key, &why, now, changes);
        }
        self.end_hold(number, now, changes);
    }

    /// Cancels a held effect for good: its incidents do not ask for it again.
    fn discard_effect(&mut self, key: &str, why: &str, now: Timestamp, changes: &mut Changes) {
        let Some(effect) = self.cancel_effect(key, why, now, changes) else { return };
        self.free_cooldown(&effect, changes);
        for reference in &effect.incidents {
            self.change(reference, now, changes, |incident| {
                for message in incident.messages.iter_mut().filter(|message| message.effect == effect.key) {
                    message.state = MessageState::Failed { why: why.to_owned() };
                }
                if incident.refresh.as_deref() == Some(key) {
                    incident.refresh = None;
                    incident.refresh_refused = Some(why.to_owned());
                }
                if let Some(link) = incident.ticket.as_mut().filter(|link| link.effect == effect.key) {
                    link.state = TicketState::Failed;
                }
            });
        }
    }

    fn end_hold(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        self.unsaved.insert(Unsaved::Hold(number));
        self.own_notice_ended(&format!("hold-{number}"), now, changes);
    }
}
