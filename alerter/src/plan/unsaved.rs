//! What has grown large and changes often: its row is written once a step, however many of its members moved.

use serde::Serialize;

use super::{Changes, Row, planner::Planner};

/// Whose row is to be written at the end of the step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaved {
    /// A storm, by the incident that leads it.
    Storm(String),
    /// A hold, by its number.
    Hold(u64),
    /// A desk's day.
    DeskDay(String),
}

impl Planner {
    /// Writes the rows of what changed in this step; what is there no more is deleted.
    pub(super) fn save(&mut self, changes: &mut Changes) {
        for unsaved in std::mem::take(&mut self.unsaved) {
            changes.rows.push(match unsaved {
                Unsaved::Storm(lead) => row("storm", &lead, self.storms.get(&lead)),
                Unsaved::Hold(number) => row("hold", &number.to_string(), self.holds.get(&number)),
                Unsaved::DeskDay(desk) => row("desk-day", &desk, self.desk_days.get(&desk)),
            });
        }
    }
}

fn row(kind: &'static str, key: &str, of: Option<&impl Serialize>) -> Row {
    Row { kind, key: key.to_owned(), body: of.and_then(|of| serde_json::to_string(of).ok()) }
}
