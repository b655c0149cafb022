//! What people ask for through the tools and the page.

use daemon::Timestamp;

use super::{Changes, Command, Pause, Row, planner::Planner};
use crate::incidents::Class;

impl Planner {
    /// Does what one command asks for.
    pub(super) fn obey(&mut self, command: Command, now: Timestamp, changes: &mut Changes) {
        match command {
            Command::Pause(pause) => {
                changes.rows.push(pause_row(&pause, true));
                self.pauses.insert(pause);
            }
            Command::Resume(pause) => {
                changes.rows.push(pause_row(&pause, false));
                self.pauses.remove(&pause);
                self.touched.extend(self.current.keys().cloned());
            }
            Command::Done { connection } => {
                if let Some(reference) = self.current.get(connection.as_str()).cloned() {
                    changes.tell(&reference, now, "done", "the user says that it is dealt with".to_owned());
                    self.change(&reference, now, changes, |incident| {
                        let asked = incident.is_open() && incident.class == Class::BankAction;
                        incident.done = asked.then_some(now);
                    });
                }
            }
            Command::Release { hold } => self.release(hold, now, changes),
            Command::Discard { hold } => self.discard(hold, now, changes),
            Command::ReleaseBaseline { institution, scenario, number } => {
                self.release_baseline(institution, scenario, number, now, changes);
            }
            // The effect as it stands comes with the step's input.
            Command::Retry { .. } => {}
            Command::Cancel { effect } => self.cancel(&effect, now, changes),
            Command::Forget { user } => self.forget(&user, now, changes),
            Command::TicketClosed { incident, wont_fix } => {
                self.ticket_closed(&incident, wont_fix, now, changes);
            }
            Command::TicketOpened { incident } => self.ticket_opened(&incident, now, changes),
        }
    }
}

/// The row of a pause, or the one that deletes it.
pub(super) fn pause_row(pause: &Pause, on: bool) -> Row {
    let body = serde_json::to_string(pause).unwrap_or_default();
    Row { kind: "pause", key: body.clone(), body: on.then_some(body) }
}
