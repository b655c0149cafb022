//! Banks in trouble: their users are looked at sooner, as far as that takes nobody else's turn.
//!
//! A bank is in trouble from an alarm (its connector changed, or a second user newly failed) for as long as
//! `poll.suspect` says. Each of its users is then looked at after the alarm: who was looked at within that time, when it is
//! over; the others as soon as the quota allows, the longest ago first, since the longer ago a look was, the likelier it
//! is that it missed something. A look of which the last alarm is no reason is not made.

use super::Core;
use crate::{
    ledger::{Method, Ms, Name, User},
    poll::{Banks, Need},
};

impl Core {
    /// Takes up the alarms of banks at which two users newly failed.
    pub(super) fn move_alarmed(&mut self, now: Ms) {
        for bank in self.ledger.take_alarms() {
            self.trouble_at(bank, now);
        }
    }

    /// Notes that a bank is in trouble, and brings looks at its users forward.
    pub(super) fn trouble_at(&mut self, bank: (Name, Method), now: Ms) {
        let window = self.pace.suspect;
        if window == 0 {
            return;
        }
        let before = self.troubled.insert(bank, now);
        // Since the last alarm everybody is a suspect, and who was looked at meanwhile has become one again.
        if before.is_some_and(|at| now < at + window) {
            return;
        }
        let suspects: Vec<(u32, Ms)> = self
            .ledger
            .users()
            .filter(|(_, user)| user.connections.iter().any(|c| (c.institution, c.method) == bank))
            .map(|(place, user)| (place, user.jobs_listed + window))
            .collect();
        tracing::info!(
            institution = &*self.ledger.institutions.get(bank.0),
            method = bank.1.as_str(),
            users = suspects.len(),
            "a bank is in trouble; its users are looked at sooner"
        );
        for (place, rank) in suspects {
            self.schedule.suspect(place, rank, now);
        }
    }

    /// How the banks of a user are that was looked at out of `need`.
    pub(super) fn banks_of(&self, user: &User, need: Need, now: Ms) -> Banks {
        if self.last_alarm(user).is_some_and(|at| now < at + self.pace.suspect) {
            Banks::InTrouble
        } else if need == Need::Suspect {
            Banks::Calmed
        } else {
            Banks::Well
        }
    }

    /// Whether a look at a user out of turn is worth its request: there was an alarm since the last, and the day's quota
    /// is not needed for turns.
    pub(super) fn is_suspect(&self, user: &User) -> bool {
        self.last_alarm(user).is_some_and(|at| at > user.jobs_listed)
            && self.client.status().remaining_today > self.kept
    }

    fn last_alarm(&self, user: &User) -> Option<Ms> {
        let bank = |c: &crate::ledger::Connection| self.troubled.get(&(c.institution, c.method)).copied();
        user.connections.iter().filter_map(bank).max()
    }
}
