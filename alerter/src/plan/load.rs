//! The planner as the store has it: what a process goes on from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use daemon::Timestamp;

use super::{
    Map, Saved, Set,
    causes::{Fault, Trouble},
    cooldowns::Cooldown,
    holds::Hold,
    openings::Openings,
    planner::{Planner, Settings, after},
    quota::DeskDay,
    trace::Traces,
    versions::Version,
    wheel::Wheel,
};
use crate::demand::{Action, Demand, Subject};

impl Planner {
    /// A planner that goes on from what the store holds.
    ///
    /// # Errors
    /// A row that this version cannot read, as `kind key: why`.
    pub fn load(settings: Settings, saved: Saved) -> Result<Self, String> {
        let mut planner = Self {
            settings,
            born: saved.born,
            snapshot: Arc::default(),
            incidents: Map::default(),
            current: Map::default(),
            demands: Map::default(),
            effects: Map::default(),
            due: Wheel::default(),
            touched: Set::default(),
            unsettled: Set::default(),
            people: Map::default(),
            traces: Traces::default(),
            asked: Map::default(),
            cooldowns: BTreeMap::new(),
            cooled_by: Map::default(),
            pauses: BTreeSet::new(),
            holds: BTreeMap::new(),
            openings: Openings::default(),
            suppressions: saved.suppressed.into(),
            settling: Map::default(),
            storms: BTreeMap::new(),
            desk_days: BTreeMap::new(),
            troubles: BTreeMap::new(),
            versions: Map::default(),
            firsts: BTreeMap::new(),
            last_hold: 0,
            closed: Map::default(),
            tombstones: BTreeSet::new(),
            happened: Map::default(),
            modes: BTreeMap::new(),
            tidied: Timestamp::MIN,
            notices: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            ready: Vec::new(),
            ready_tickets: Vec::new(),
        };
        for (kind, key, body) in saved.rows {
            planner.load_row(&kind, &key, &body).map_err(|why| format!("{kind} {key}: {why}"))?;
        }
        let mut incidents = saved.incidents;
        incidents.sort_by(|one, other| (one.opened, &one.reference).cmp(&(other.opened, &other.reference)));
        // One that was forgotten is nobody's any more.
        for incident in incidents.into_iter().filter(|incident| !incident.connection.is_empty()) {
            let connection: Arc<str> = incident.connection.as_str().into();
            planner.touched.insert(connection.clone());
            let reference = planner.add_incident(incident);
            planner.current.insert(connection, reference);
        }
        planner.effects = saved.effects.into_iter().map(|effect| (effect.key.clone(), effect)).collect();
        planner.remember_openings();
        Ok(planner)
    }

    fn load_row(&mut self, kind: &str, key: &str, body: &str) -> Result<(), serde_json::Error> {
        match kind {
            "demand" => {
                let demand: Demand = serde_json::from_str(body)?;
                self.knew(&demand);
                match &demand.subject {
                    Subject::Connection { connection, .. } if demand.action != Action::NotifyOperator => {
                        self.touched.insert(connection.clone());
                        self.demands.entry(connection.clone()).or_default().push(demand);
                    }
                    Subject::Connection { .. } | Subject::Other => {
                        self.notices.insert(key.to_owned(), demand);
                    }
                }
            }
            "cooldown" => {
                let (person, template, until, effect): (String, String, Timestamp, String) =
                    serde_json::from_str(body)?;
                self.cooled_by.insert(effect.clone(), (person.clone(), template.clone()));
                self.cooldowns.insert((person, template), Cooldown { until, effect });
            }
            "storm" => {
                self.storms.insert(key.to_owned(), serde_json::from_str(body)?);
            }
            "desk-day" => {
                let day: DeskDay = serde_json::from_str(body)?;
                self.wake_for_digest(key, &day);
                self.desk_days.insert(key.to_owned(), day);
            }
            "hold" => {
                let hold: Hold = serde_json::from_str(body)?;
                self.last_hold = self.last_hold.max(hold.number);
                self.holds.insert(hold.number, hold);
            }
            "last-hold" => self.last_hold = self.last_hold.max(serde_json::from_str(body)?),
            "rule" => {
                let version: Version = serde_json::from_str(body)?;
                let known = self.versions.entry(version.name()).or_default();
                if !known.contains(&version) {
                    known.push(version);
                }
            }
            "trouble" => {
                let trouble: Trouble = serde_json::from_str(body)?;
                if let (Fault::Major { .. }, None) = (&trouble.fault, trouble.ended) {
                    let due = after(trouble.since, self.settings.limits.long_outage);
                    self.due.set(&trouble.fault.name().into(), Some(due));
                }
                self.troubles.insert(trouble.fault.clone(), trouble);
            }
            "closed-ticket" => {
                if let Ok(at) = body.parse() {
                    self.closed.insert(key.to_owned(), at);
                }
            }
            "tombstone" => {
                self.tombstones.insert(key.to_owned());
            }
            "mode" => {
                self.modes.insert(key.to_owned(), serde_json::from_str(body)?);
            }
            "pause" => {
                self.pauses.insert(serde_json::from_str(body)?);
            }
            // A kind of a later version is left alone.
            _ => {}
        }
        Ok(())
    }
}
