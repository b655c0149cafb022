//! Holds: too many messages at once wait for a person (behaviour, section 5).

use std::collections::{BTreeMap, BTreeSet};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Changes, Row, messages::Ready, planner::Planner};
use crate::{
    incidents::{Message, MessageState},
    store::Phase,
};

/// A batch that is held back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// By which it is released or discarded.
    pub number: u64,
    /// Since when.
    pub since: Timestamp,
    /// Which limit it would have exceeded.
    pub reason: String,
    /// Incidents whose openings wait. Those that end leave it.
    pub incidents: BTreeSet<String>,
}

impl Planner {
    /// Splits off what exceeds a limit; all of such a batch is held.
    pub(super) fn hold_back(
        &mut self,
        ready: Vec<Ready>,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Vec<Ready> {
        let counted = |one: &Ready| one.phase != Phase::Closing && !one.released;
        let Some(reason) = self.too_many(ready.iter().filter(|one| counted(one))) else { return ready };
        let (held, free): (Vec<_>, Vec<_>) = ready.into_iter().partition(counted);
        let number = self.holds.keys().next_back().map_or(1, |last| last + 1);
        let incidents = held.iter().map(|one| one.reference.clone()).collect();
        let hold = Hold { number, since: now, reason, incidents };
        for one in &held {
            let text = format!("held as number {number}: {}", hold.reason);
            changes.tell(&one.reference, now, "held", text);
            self.change(&one.reference, now, changes, |incident| incident.hold = Some(number));
        }
        self.own_notice(
            &format!("hold-{number}"),
            "BasiqAlerterHolds",
            &format!("{} messages to users are held as number {number}", held.len()),
            &format!(
                "{}. Look at them on the alerter's page, then release or discard number {number}.",
                hold.reason
            ),
            now,
            changes,
        );
        changes.rows.push(row(&hold));
        self.holds.insert(number, hold);
        free
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
        for (_, rule, bank) in &self.openings {
            if let Some(count) = rules.get_mut(rule.as_str()) {
                *count += 1;
            }
            if let Some(count) = banks.get_mut(bank.as_str()) {
                *count += 1;
            }
        }
        let over = |counts: &BTreeMap<&str, u32>, limit: u32, what: &str| {
            let (name, _) = counts.iter().find(|(_, count)| **count > limit)?;
            Some(format!("more than {limit} openings within an hour for {what} {name}"))
        };
        over(&rules, limits.hold_rule, "rule")
            .or_else(|| over(&banks, limits.hold_institution, "institution"))
    }

    /// An incident that ended, or failed otherwise, leaves its hold.
    pub(super) fn unhold(&mut self, number: u64, reference: &str, changes: &mut Changes) {
        let Some(hold) = self.holds.get_mut(&number) else { return };
        hold.incidents.remove(reference);
        changes.rows.push(row(hold));
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
        self.end_hold(number, now, changes);
    }

    /// Lets a held batch never go.
    pub(super) fn discard(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        let Some(hold) = self.holds.remove(&number) else { return };
        for reference in &hold.incidents {
            changes.tell(reference, now, "discarded", format!("hold {number} was discarded"));
            self.change(reference, now, changes, |incident| {
                incident.hold = None;
                incident.messages.push(Message {
                    phase: Phase::Opening,
                    class: incident.class,
                    template: String::new(),
                    closing_template: String::new(),
                    effect: String::new(),
                    message_id: String::new(),
                    state: MessageState::Failed { why: format!("hold {number} was discarded") },
                    closing: None,
                });
            });
        }
        self.end_hold(number, now, changes);
    }

    fn end_hold(&mut self, number: u64, now: Timestamp, changes: &mut Changes) {
        changes.rows.push(Row { kind: "hold", key: number.to_string(), body: None });
        self.own_notice_ended(&format!("hold-{number}"), now, changes);
    }
}

fn row(hold: &Hold) -> Row {
    Row { kind: "hold", key: hold.number.to_string(), body: serde_json::to_string(hold).ok() }
}
