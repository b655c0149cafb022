//! What rules ask for, as sources say it.

use daemon::Timestamp;

use super::{
    Changes, Row,
    planner::{Planner, digest},
};
use crate::{
    demand::{Action, Demand, Subject},
    incidents::{Class, Incident},
};

impl Planner {
    /// Takes in a demand that fires. Its labels are claims: nothing follows before the evidence knows the
    /// connection under that user.
    pub(super) fn demand_fires(&mut self, demand: Demand, now: Timestamp, changes: &mut Changes) {
        let id = demand_id(&demand);
        let Subject::Connection { connection, user } = &demand.subject else {
            return self.notice_fires(&id, demand, now, changes);
        };
        if self.forgot(user) {
            return;
        }
        if demand.action == Action::NotifyOperator {
            return self.notice_fires(&id, demand, now, changes);
        }
        let connection = connection.clone();
        // Most connections have one.
        let known = self.demands.entry(connection.clone()).or_insert_with(|| Vec::with_capacity(1));
        let body = || serde_json::to_string(&demand).ok();
        match known.iter_mut().find(|old| demand_id(old) == id) {
            Some(old) if *old == demand => return,
            Some(old) => {
                changes.rows.push(Row { kind: "demand", key: id, body: body() });
                *old = demand;
            }
            None => {
                changes.rows.push(Row { kind: "demand", key: id, body: body() });
                known.push(demand);
            }
        }
        self.touched.insert(connection);
    }

    /// A rule no longer asks. What was planned for it stays as it is until evidence says otherwise: a
    /// series that disappears is not a recovery.
    pub(super) fn demand_ended(&mut self, demand: &Demand, now: Timestamp, changes: &mut Changes) {
        let id = demand_id(demand);
        match &demand.subject {
            Subject::Connection { connection, .. } if demand.action != Action::NotifyOperator => {
                if let Some(known) = self.demands.get_mut(connection) {
                    known.retain(|old| demand_id(old) != id);
                    if known.is_empty() {
                        self.demands.remove(connection);
                    }
                    self.touched.insert(connection.clone());
                    changes.rows.push(Row { kind: "demand", key: id, body: None });
                }
            }
            Subject::Connection { .. } | Subject::Other => self.notice_ended(&id, now, changes),
        }
    }

    /// The demand of this action that fits the incident as the evidence shows it: the user is the same,
    /// and the rule spoke of the same class. The youngest, should there be several.
    pub(super) fn demand(&self, incident: &Incident, action: Action) -> Option<&Demand> {
        self.demands
            .get(incident.connection.as_str())?
            .iter()
            .filter(|demand| demand.action == action && fits(demand, incident))
            .max_by_key(|demand| (demand.starts_at, demand.rule.clone()))
    }
}

/// What tells demands apart: source, rule, label set and action.
pub(super) fn demand_id(demand: &Demand) -> String {
    digest(&format!(
        "{}\u{1f}{}\u{1f}{:016x}\u{1f}{}",
        demand.source,
        demand.rule,
        demand.fingerprint,
        demand.action.as_str()
    ))
}

fn fits(demand: &Demand, incident: &Incident) -> bool {
    let Subject::Connection { user, .. } = &demand.subject else { return false };
    let class = demand.labels.get("scenario").map(Class::of);
    **user == *incident.user && class.is_none_or(|class| class == incident.class)
}
