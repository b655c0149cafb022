//! How incidents begin, and what is baseline: seen, and nobody is bothered with it (behaviour, section 3).

use std::sync::Arc;

use daemon::Timestamp;

use super::{
    Changes,
    observe::Failing,
    planner::{Planner, after, since},
};
use crate::{
    demand::{Demand, Subject},
    evidence::Facts,
    incidents::{Cause, Class, Incident, Outage, Status, key, reference},
};

impl Planner {
    /// Opens an incident if a rule asks for the connection, under the user whom the evidence knows.
    pub(super) fn open_if_asked(
        &mut self,
        connection: &Arc<str>,
        facts: &Facts,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let Some(demands) = self.demands.get(connection) else { return };
        let claimed = |demand: &Demand| match &demand.subject {
            Subject::Connection { user, .. } => *user == facts.user,
            Subject::Other => false,
        };
        if self.forgot(&facts.user) {
            return;
        }
        if !demands.iter().any(claimed) {
            let rule = demands.first().map(|demand| demand.rule.to_string()).unwrap_or_default();
            return self.mismatch(connection, &rule, now, changes);
        }
        let incident = self.new_incident(connection, facts, now);
        let why = incident.baseline.as_ref().map(|why| format!("; baseline: {why}")).unwrap_or_default();
        changes.tell(
            &incident.reference,
            now,
            "opened",
            format!("fails since {} as {}{why}", incident.failing_since, incident.scenario),
        );
        let incident = Arc::new(incident);
        changes.incidents.push(incident.clone());
        let reference = self.add_incident(incident);
        self.current.insert(connection.clone(), reference);
    }

    fn new_incident(&self, connection: &str, facts: &Facts, now: Timestamp) -> Incident {
        let failing = Failing::of(&facts.state, now);
        let mut name = key(&self.settings.environment, connection, failing.since);
        while self.incidents.contains_key(reference(&name).as_str()) {
            // Another connection's incident has the same fifty bits.
            name.push('+');
        }
        let platform = self.platform().is_some();
        let major = self.snapshot.major_outage(&facts.institution, &facts.method) == Some(true);
        let outage = Outage { since: (platform || major).then_some(now), ..Outage::default() };
        let class = Class::of(failing.scenario);
        let ailing = class == Class::Service && self.ailing(&facts.institution, &facts.method).is_some();
        Incident {
            reference: reference(&name),
            key: name,
            connection: connection.to_owned(),
            user: facts.user.to_string(),
            institution: facts.institution.to_string(),
            institution_name: self.snapshot.institution_name(&facts.institution, &facts.method).to_string(),
            method: facts.method.to_string(),
            scenario: failing.scenario.to_string(),
            class,
            class_since: failing.since,
            scenario_since: failing.since,
            failing_since: failing.since,
            last_failure: failing.last,
            failed_jobs: failing.jobs,
            opened: now,
            changed: now,
            status: Status::Open,
            cause: match () {
                () if platform => Cause::Platform,
                () if major || ailing => Cause::Bank,
                () => Cause::Connection,
            },
            baseline: self.baseline(&failing, now),
            muted: Vec::new(),
            reopened: 0,
            outage,
            messages: Vec::new(),
            planned: 0,
            message_after: None,
            deferred: None,
            released: false,
            attempts: Vec::new(),
            dry_refreshes: 0,
            refresh: None,
            refresh_after: None,
            withheld: None,
            refresh_refused: None,
            queued: failing.scenario == "retry-queued",
            ticket: None,
            ticket_after: None,
            hold: None,
            done: None,
        }
    }

    /// Why a connection that is seen failing for the first time is baseline, if it is.
    fn baseline(&self, failing: &Failing<'_>, now: Timestamp) -> Option<String> {
        let limits = &self.settings.limits;
        if !limits.baseline {
            return None;
        }
        let last_failure = failing.last;
        // A ledger that was born a moment ago calls everything old; what failed within the hour is news all the same.
        if failing.baseline && since(now, last_failure) > limits.baseline_before_birth {
            return Some(format!(
                "its newest failure, {last_failure}, is from before its user was discovered, or the ledger was born"
            ));
        }
        if after(last_failure, limits.baseline_before_birth) < self.born {
            return Some(format!("its newest failure, {last_failure}, is from before this alerter's store"));
        }
        (since(now, last_failure) > limits.baseline_age)
            .then(|| format!("its newest failure, {last_failure}, was old at the first sight"))
    }

    /// Lets incidents of the baseline have their effects, longest failing first.
    pub(super) fn release_baseline(
        &mut self,
        institution: Option<String>,
        scenario: Option<String>,
        number: Option<u32>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let mut chosen: Vec<(Timestamp, String)> = self
            .incidents
            .values()
            .filter(|incident| incident.is_open() && incident.baseline.is_some())
            .filter(|incident| institution.as_ref().is_none_or(|wanted| *wanted == incident.institution))
            .filter(|incident| scenario.as_ref().is_none_or(|wanted| *wanted == incident.scenario))
            .map(|incident| (incident.failing_since, incident.reference.clone()))
            .collect();
        chosen.sort();
        chosen.truncate(number.map_or(usize::MAX, |number| number as usize));
        for (_, reference) in chosen {
            changes.tell(&reference, now, "released", "released from the baseline by hand".to_owned());
            self.change(&reference, now, changes, |incident| incident.baseline = None);
        }
    }
}
