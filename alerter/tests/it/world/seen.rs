//! What became of it all: what was planned, done and told.

use basiq_alerter::{
    demand::Action,
    incidents::Incident,
    store::{Effect, Payload, Phase},
};
use daemon::Timestamp;

use super::{Done, World};

impl World {
    /// Messages that were sent to a user: template and minutes since the world began.
    pub(crate) fn told(&self, name: &str) -> Vec<(String, i64)> {
        let connection = format!("c-{name}");
        self.done
            .iter()
            .filter(|done| done.effect.action == Action::NotifyUser && done.spoke_of.contains(&connection))
            .map(|done| (done.message().template.clone(), self.minute(done.at)))
            .collect()
    }

    /// The templates of those, in their order.
    pub(crate) fn templates(&self, name: &str) -> Vec<String> {
        self.told(name).into_iter().map(|(template, _)| template).collect()
    }

    /// All effects of this phase, whatever became of them, by their keys.
    pub(crate) fn planned(&self, phase: Phase) -> Vec<&Effect> {
        self.effects.values().filter(|effect| effect.phase == phase).collect()
    }

    /// How often something of this phase was done.
    pub(crate) fn count(&self, phase: Phase) -> usize {
        self.done.iter().filter(|done| done.effect.phase == phase).count()
    }

    pub(crate) fn of(&self, phase: Phase) -> Vec<&Done> {
        self.done.iter().filter(|done| done.effect.phase == phase).collect()
    }

    /// Minutes since the world began.
    pub(crate) fn minute(&self, at: Timestamp) -> i64 {
        at.duration_since(self.start).as_mins()
    }

    /// The newest incident of a connection.
    pub(crate) fn incident(&self, name: &str) -> &Incident {
        let connection = format!("c-{name}");
        self.incidents
            .values()
            .filter(|incident| incident.connection == connection)
            .max_by_key(|incident| incident.opened)
            .unwrap_or_else(|| panic!("{name} has no incident"))
    }

    /// Words of the story of all incidents.
    pub(crate) fn words(&self, what: &str) -> usize {
        self.story.iter().filter(|entry| entry.what == what).count()
    }

    /// How many notices of this name were given, ends not counted.
    pub(crate) fn notices(&self, name: &str) -> usize {
        let fires = |done: &&&Done| {
            matches!(&done.effect.payload, Payload::Notice(notice)
                if notice.ended.is_none() && notice.labels.get("alertname").is_some_and(|is| is == name))
        };
        self.of(Phase::Notice).iter().filter(fires).count()
    }
}
