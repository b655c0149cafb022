//! What the shipped rules would ask for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use basiq_alerter::{
    demand::{Action, Annotations, Demand, Numbers, Subject},
    evidence::{Facts, Snapshot, State},
    plan::{Input, Said},
};
use daemon::Timestamp;
use promql::Labels;

use super::World;

impl World {
    /// What `rules/connections.yml` asks for, as changes since the last evaluation.
    pub(super) fn rules_say(&mut self) -> Said {
        let mut now: BTreeMap<String, Demand> = BTreeMap::new();
        for (id, facts) in &self.facts {
            let State::Failing { scenario, .. } = &facts.state else { continue };
            let claimed = match self.claims.get(id) {
                Some(user) => &Facts { user: user.as_str().into(), ..facts.clone() },
                None => facts,
            };
            for demand in demands(id, claimed, scenario, self.now) {
                let name = self.renamed.get(&*demand.rule).map_or(&*demand.rule, String::as_str);
                let key = format!("{id} {name}");
                let starts = self.firing.get(&key).map_or(demand.starts_at, |old| old.starts_at);
                let definition = self.definitions.get(&*demand.rule).map(String::as_str).unwrap_or_default();
                let numbers = self.asks.clone().map_or(demand.numbers, Arc::new);
                let annotations = self.annotations.clone().into();
                let definition = definition.into();
                let rule = self.renamed.get(&*demand.rule).map_or(demand.rule, |name| name.as_str().into());
                now.insert(
                    key,
                    Demand { starts_at: starts, rule, definition, numbers, annotations, ..demand },
                );
            }
        }
        let ended =
            self.firing.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, demand)| demand.clone());
        let ended = ended.collect();
        let firing = now.iter().filter(|(key, demand)| self.firing.get(*key) != Some(demand));
        let firing = firing.map(|(_, demand)| demand.clone()).collect();
        self.firing = now;
        Said { firing, ended }
    }

    /// From now on the rules' alerts about this connection name another user than the evidence does.
    pub(crate) fn claim(&mut self, name: &str, user: &str) {
        self.claims.insert(format!("c-{name}"), user.to_owned());
    }

    /// A source says everything that fires once more.
    pub(crate) fn says_all_again(&mut self) {
        self.firing.clear();
    }

    /// All rules are removed: what fired ends, and nothing fires any more.
    pub(crate) fn rules_gone(&mut self) {
        let ended = std::mem::take(&mut self.firing).into_values().collect();
        self.rules = false;
        let input = Input { said: vec![Said { firing: Vec::new(), ended }], ..Input::default() };
        let changes = self.planner.step(self.now, input);
        self.keep(&changes);
    }

    /// What evidence and rules show at this time, for a planner elsewhere.
    pub(crate) fn shows(&mut self) -> (Arc<Snapshot>, Said) {
        self.look();
        (self.last_snapshot.clone(), self.rules_say())
    }
}

/// The demands of the shipped connection rules.
fn demands(id: &str, facts: &Facts, scenario: &str, at: Timestamp) -> Vec<Demand> {
    let notify = |template: &str, settle: u64| Numbers {
        settle: Some(Duration::from_secs(settle * 60)),
        cooldown: (!template.is_empty()).then(|| Duration::from_secs(86_400)),
        ..Numbers::default()
    };
    let ticket = |escalate: u64| Numbers {
        settle: Some(Duration::from_secs(900)),
        escalate_after: Some(Duration::from_secs(escalate * 3600)),
        retry_max: Some(2),
        ..Numbers::default()
    };
    let retry =
        Numbers { retry_after: Some(Duration::from_secs(600)), retry_max: Some(2), ..Numbers::default() };
    use Action::{FileTicket, NotifyUser, RefreshConnection};
    let all: Vec<(&str, Action, &str, Numbers)> = match scenario {
        "invalid-credentials" => vec![("Credentials", NotifyUser, "credentials", notify("credentials", 15))],
        "account-locked" => vec![("Locked", NotifyUser, "locked", notify("locked", 15))],
        "mfa-required" => vec![("Mfa", NotifyUser, "mfa", notify("mfa", 15))],
        "user-action-required" => vec![("UserAction", NotifyUser, "bank-action", notify("bank-action", 15))],
        "reauthorisation-required" => {
            vec![("Consent", NotifyUser, "renew-consent", notify("renew-consent", 15))]
        }
        "service-unavailable" => vec![
            ("Unavailable", NotifyUser, "delayed", notify("delayed", 120)),
            ("UnavailableRetry", RefreshConnection, "", retry),
            ("UnavailableTicket", FileTicket, "", ticket(6)),
        ],
        "retry-queued" => vec![("Queued", NotifyUser, "delayed", notify("delayed", 120))],
        "retry-expired" => vec![
            ("Expired", NotifyUser, "gave-up", notify("gave-up", 0)),
            ("ExpiredTicket", FileTicket, "", ticket(0)),
        ],
        "unsupported" => vec![
            ("Unsupported", NotifyUser, "unsupported", notify("unsupported", 120)),
            ("UnsupportedTicket", FileTicket, "", ticket(0)),
        ],
        "unknown" => vec![("UnknownTicket", FileTicket, "", ticket(6))],
        other => panic!("no rule for {other}"),
    };
    all.into_iter()
        .map(|(rule, action, template, numbers)| Demand {
            source: "embedded".into(),
            rule: rule.into(),
            definition: Arc::default(),
            action,
            subject: Subject::Connection { connection: id.into(), user: facts.user.clone() },
            labels: Labels::new([("alertname", rule), ("scenario", scenario)]),
            annotations: Annotations::default(),
            template: (!template.is_empty()).then(|| template.into()),
            closing_template: (!template.is_empty()).then(|| "ready".into()),
            numbers: Arc::new(numbers),
            starts_at: at,
            fingerprint: fingerprint(id, scenario),
        })
        .collect()
}

fn fingerprint(id: &str, scenario: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (id, scenario).hash(&mut hasher);
    hasher.finish()
}
