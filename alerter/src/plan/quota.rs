//! Desks that take only so many new tickets a day: the rest is one digest (behaviour, section 7).

use std::{collections::BTreeSet, time::Duration};

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Changes,
    planner::{Planner, after, digest},
    storm::Storm,
    tickets::{ReadyTicket, tried},
    unsaved::Unsaved,
};
use crate::{channels::Ticket, incidents::Incident, store::Effect};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The day of one desk: it begins with a ticket and ends 24 hours later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeskDay {
    begin: Timestamp,
    /// The effects that file its tickets.
    filed: BTreeSet<String>,
    /// Incidents whose ticket waits for the digest.
    waiting: BTreeSet<String>,
}

impl DeskDay {
    fn end(&self) -> Timestamp {
        after(self.begin, DAY)
    }
}

impl Planner {
    /// Whether the desk has had its new tickets of the day.
    pub(super) fn desk_full(&self, desk: &str, now: Timestamp) -> bool {
        let (Some(daily), Some(day)) = (self.settings.routes.daily.get(desk), self.desk_days.get(desk))
        else {
            return false;
        };
        // A day that is over but for its digest takes nothing more.
        (now < day.end() && day.filed.len() >= *daily as usize) || !day.waiting.is_empty() && now >= day.end()
    }

    /// Counts a ticket that was planned for the desk.
    pub(super) fn count_ticket(&mut self, desk: &str, effect: &str, now: Timestamp) {
        if !self.settings.routes.daily.contains_key(desk) {
            return;
        }
        let over = self.desk_days.get(desk).is_some_and(|day| day.end() <= now && day.waiting.is_empty());
        let new = || DeskDay { begin: now, filed: BTreeSet::new(), waiting: BTreeSet::new() };
        let mut day = self.desk_days.remove(desk).filter(|_| !over).unwrap_or_else(new);
        day.filed.insert(effect.to_owned());
        self.set_desk_day(desk, day);
    }

    /// A ticket that was withdrawn before the desk had it leaves room for another.
    pub(super) fn uncount_ticket(&mut self, effect: &Effect) {
        let Some(day) = self.desk_days.get_mut(&effect.channel) else { return };
        if day.filed.remove(&effect.key) {
            self.unsaved.insert(Unsaved::DeskDay(effect.channel.clone()));
        }
    }

    /// Whether this ticket waits for the digest, because its desk has had its new tickets of the day.
    pub(super) fn waits_for_digest(
        &mut self,
        ready: &ReadyTicket,
        now: Timestamp,
        changes: &mut Changes,
    ) -> bool {
        let waits = |day: &DeskDay| day.waiting.contains(&ready.reference);
        if self.desk_days.get(&ready.desk).is_some_and(waits) {
            return true;
        }
        if !self.desk_full(&ready.desk, now) {
            return false;
        }
        let Some(mut day) = self.desk_days.remove(&ready.desk) else { return false };
        let text = format!(
            "{} has had its {} new tickets of the day; this one goes into the digest of {}",
            ready.desk,
            day.filed.len(),
            day.end()
        );
        changes.tell(&ready.reference, now, "deferred", text);
        day.waiting.insert(ready.reference.clone());
        self.set_desk_day(&ready.desk, day);
        true
    }

    /// Files the digest of what waited for the end of its desk's day and still fails.
    pub(super) fn plan_digests(&mut self, now: Timestamp, changes: &mut Changes) {
        let over = |(_, day): &(&String, &DeskDay)| day.end() <= now;
        let over: Vec<String> = self.desk_days.iter().filter(over).map(|(desk, _)| desk.clone()).collect();
        for desk in over {
            let Some(day) = self.desk_days.remove(&desk) else { continue };
            self.unsaved.insert(Unsaved::DeskDay(desk.clone()));
            self.plan_digest(&desk, &day, now, changes);
        }
    }

    fn plan_digest(&mut self, desk: &str, day: &DeskDay, now: Timestamp, changes: &mut Changes) {
        let known = day.waiting.iter().filter_map(|reference| self.incident(reference));
        let mut members: Vec<(&Incident, ReadyTicket)> = known
            .filter_map(|incident| Some((incident, self.overdue_ticket(incident, now)?)))
            // A route that changed meanwhile counts: it is filed there.
            .filter(|(_, ready)| ready.desk == desk)
            .collect();
        members.sort_by_key(|(incident, _)| incident.failing_since);
        let Some((_, ready)) = members.first().cloned() else { return };
        let count = members.len();
        let mut body = format!(
            "{count} more connections do not recover since {}. Each of the day's tickets before them is one of its own; these have none.\n\n",
            day.begin
        );
        for (incident, _) in &members {
            body.push_str(&format!(
                "- {} connection {} user {} at {} ({}), {}, since {}; {}\n",
                incident.reference,
                incident.connection,
                incident.user,
                incident.institution_name,
                incident.institution,
                incident.scenario,
                incident.failing_since,
                tried(incident)
            ));
        }
        let ticket = Ticket {
            key: digest(&format!("digest/{}/{desk}/{}", self.settings.environment, day.begin)),
            subject: format!(
                "[{}] {count} more connections do not recover: the day's digest",
                ready.reference
            ),
            body,
            connections: members.iter().map(|(incident, _)| incident.connection.clone()).collect(),
            institution: shared(members.iter().map(|(incident, _)| incident.institution.as_str())),
            scenario: shared(members.iter().map(|(incident, _)| incident.scenario.as_str())),
            severity: ready.severity.clone(),
            at: now,
        };
        let samples = self.settings.limits.storm_samples as usize;
        let cases = members.iter().take(samples).map(|(incident, _)| {
            (incident.user.clone(), incident.connection.clone(), incident.failing_since)
        });
        let cases = cases.collect();
        let references: BTreeSet<String> =
            members.iter().map(|(incident, _)| incident.reference.clone()).collect();
        let reason = format!("{desk} has had its new tickets of the day: one digest for {count} more");
        let key = ticket.key.clone();
        let effect = self.plan_ticket_effect(&ready, ticket, cases, reason, &references, true, now, changes);
        self.add_storm(&ready.reference, Storm::digest(&ready, key, effect, references));
    }

    fn set_desk_day(&mut self, desk: &str, day: DeskDay) {
        self.wake_for_digest(desk, &day);
        self.desk_days.insert(desk.to_owned(), day);
        self.unsaved.insert(Unsaved::DeskDay(desk.to_owned()));
    }

    /// A step is due at the end of the day.
    pub(super) fn wake_for_digest(&mut self, desk: &str, day: &DeskDay) {
        self.due.set(&format!("desk-day/{desk}").into(), Some(day.end()));
    }
}

/// What all have in common; empty where they differ.
fn shared<'a>(mut texts: impl Iterator<Item = &'a str>) -> String {
    let first = texts.next().unwrap_or_default();
    if texts.all(|text| text == first) { first.to_owned() } else { String::new() }
}
