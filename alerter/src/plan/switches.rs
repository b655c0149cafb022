//! Going live: what already fails stays without effect (behaviour, section 8).

use daemon::Timestamp;

use super::{
    Changes, Row,
    planner::{Planner, after},
};
use crate::{config::Mode, demand::Action, store::Effect};

impl Planner {
    /// Actions that were off or in dry run when the planner last ran and are live now, each with the number
    /// of open incidents that it would have reached.
    pub fn going_live(&self) -> Vec<(Action, usize)> {
        let open = || self.incidents.values().filter(|incident| incident.is_open()).count();
        Action::ALL
            .into_iter()
            .filter(|action| self.goes_live(*action))
            .map(|action| (action, open()))
            .collect()
    }

    fn goes_live(&self, action: Action) -> bool {
        let before = self.modes.get(action.as_str());
        self.settings.actions.mode(action) == Mode::Live
            && before.is_some_and(|before| before != Mode::Live.as_str())
    }

    /// Makes a baseline, for each action that goes live, of what is failing: what was planned under dry run
    /// is withdrawn, and what is open stays without effect of that kind.
    pub(super) fn go_live(&mut self, now: Timestamp, changes: &mut Changes) {
        for (action, _) in self.going_live() {
            let why = format!("{} went live: what was planned before is not done", action.as_str());
            let of = |effect: &&Effect| effect.action == action;
            let planned: Vec<String> =
                self.effects.values().filter(of).map(|effect| effect.key.clone()).collect();
            for key in planned {
                let Some(effect) = self.cancel_effect(&key, &why, now, changes) else { continue };
                self.free_cooldown(&effect, changes);
                self.forget_effect(&effect, now, changes);
            }
            let open: Vec<String> = self
                .incidents
                .values()
                .filter(|incident| incident.is_open() && !incident.muted.contains(&action))
                .map(|incident| incident.reference.clone())
                .collect();
            for reference in open {
                changes.tell(&reference, now, "muted", why.clone());
                self.change(&reference, now, changes, |incident| incident.muted.push(action));
            }
        }
        for action in [Action::NotifyUser, Action::RefreshConnection, Action::FileTicket] {
            let mode = self.settings.actions.mode(action).as_str();
            if self.modes.get(action.as_str()).map(String::as_str) != Some(mode) {
                let body = serde_json::to_string(mode).ok();
                changes.rows.push(Row { kind: "mode", key: action.as_str().to_owned(), body });
                self.modes.insert(action.as_str().to_owned(), mode.to_owned());
            }
        }
    }

    /// An effect was cancelled from outside its incidents: they no longer count on it.
    pub(super) fn forget_effect(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        let members = self.storm_members(&effect.key).unwrap_or_else(|| effect.incidents.clone());
        self.storm_unfiled(&effect.key);
        let quiet = after(now, self.settings.limits.evidence_age);
        for reference in &members {
            self.change(reference, now, changes, |incident| {
                let said = incident.messages.len();
                incident.messages.retain(|message| message.effect != effect.key);
                if incident.messages.len() < said {
                    // It may be on its way, and be taken all the same.
                    incident.message_after = incident.message_after.max(Some(quiet));
                }
                for message in &mut incident.messages {
                    if message.closing.as_ref() == Some(&effect.key) {
                        message.closing = None;
                    }
                }
                if incident.refresh.as_ref() == Some(&effect.key) {
                    incident.refresh = None;
                }
                if incident.ticket.as_ref().is_some_and(|link| link.effect == effect.key) {
                    incident.ticket = None;
                    incident.ticket_after = incident.ticket_after.max(Some(quiet));
                }
            });
        }
    }
}
