//! Whether what was planned still holds, asked before each attempt (behaviour, section 4).

use daemon::Timestamp;

use crate::{
    evidence::{Facts, Snapshot, State},
    incidents::Class,
    plan::{Health, Limits, health, since},
    store::{Effect, Payload, Phase},
};

/// What the evidence says to an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, for these of its incidents.
    Go(Vec<String>),
    /// It no longer holds, with the reason.
    Obsolete(String),
    /// Nobody can be asked, with the reason. It waits and spends no attempt.
    Wait(String),
}

/// Holds an effect against the newest evidence.
pub fn verify(effect: &Effect, snapshot: &Snapshot, now: Timestamp, limits: &Limits) -> Verdict {
    if matches!(effect.phase, Phase::Comment | Phase::Notice) {
        return Verdict::Go(effect.incidents.clone());
    }
    match snapshot.as_of {
        None => return Verdict::Wait("no exporter could be asked yet".to_owned()),
        // Of a time to come is what was seen before the clock was set back: nobody knows how old it is.
        Some(as_of) if since(now, as_of).max(since(as_of, now)) > limits.evidence_age => {
            return Verdict::Wait(format!("the newest evidence is of {as_of}"));
        }
        Some(_) if !snapshot.warm => {
            return Verdict::Wait(
                "the exporter has not observed all that was due since its start".to_owned(),
            );
        }
        Some(_) => {}
    }
    let answers: Vec<(String, Answer)> = match &effect.payload {
        Payload::Message(message) => effect
            .incidents
            .iter()
            .zip(&message.connections)
            .map(|(incident, connection)| {
                let facts = snapshot.connections.get(connection.connection.as_str());
                let answer = match facts {
                    None => Answer::Wait("the exporter does not show the connection".to_owned()),
                    Some(facts) if *facts.user != *connection.user && !connection.user.is_empty() => {
                        Answer::Over("the connection is another user's".to_owned())
                    }
                    Some(facts) if effect.phase == Phase::Closing => still_well(facts),
                    Some(facts) => {
                        let outage = known(snapshot, facts);
                        let bank = (facts.institution.clone(), facts.method.clone());
                        let jobs = snapshot.traffic.get(&bank).map(|traffic| health(traffic, limits));
                        still_fails(facts, Class::of(&connection.scenario))
                            .and(|| fits_outage(&message.template, outage, jobs))
                    }
                };
                (incident.clone(), answer)
            })
            .collect(),
        Payload::Refresh { user, connection, class } => {
            vec![(first(effect), refreshable(snapshot, user, connection, *class))]
        }
        // About a bank or Basiq: the planner withdraws it when that is over.
        Payload::Ticket { cases, .. } if cases.is_empty() => return Verdict::Go(effect.incidents.clone()),
        Payload::Ticket { cases, ticket } => {
            vec![(first(effect), any_fails(snapshot, cases, &ticket.scenario))]
        }
        Payload::Comment { .. } | Payload::Notice(_) => Vec::new(),
    };
    sum_up(effect, answers)
}

enum Answer {
    Holds,
    Over(String),
    Wait(String),
}

impl Answer {
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::Holds) { other() } else { self }
    }
}

/// A message goes about those that hold; it waits for those nobody knows of only if it would go about nobody.
fn sum_up(effect: &Effect, answers: Vec<(String, Answer)>) -> Verdict {
    let (mut go, mut over, mut wait) = (Vec::new(), None, None);
    for (incident, answer) in answers {
        match answer {
            Answer::Holds => go.push(incident),
            Answer::Over(why) => over = over.or(Some(why)),
            Answer::Wait(why) => wait = wait.or(Some(why)),
        }
    }
    if !go.is_empty() {
        // A ticket speaks of all of its connections or of none.
        let all = effect.phase == Phase::Ticket;
        return Verdict::Go(if all { effect.incidents.clone() } else { go });
    }
    match (wait, over) {
        (Some(why), _) => Verdict::Wait(why),
        (None, Some(why)) => Verdict::Obsolete(why),
        (None, None) => Verdict::Obsolete("it speaks of no connection".to_owned()),
    }
}

fn first(effect: &Effect) -> String {
    effect.incidents.first().cloned().unwrap_or_default()
}

/// Whether the bank is in major outage; `None` where its status is not known.
fn known(snapshot: &Snapshot, facts: &Facts) -> Option<bool> {
    snapshot.major_outage(&facts.institution, &facts.method)
}

fn bank_unknown() -> Answer {
    Answer::Wait("the status of the bank's connector is not known".to_owned())
}

fn still_fails(facts: &Facts, class: Class) -> Answer {
    match &facts.state {
        State::Failing { scenario, .. } if Class::of(scenario) == class => Answer::Holds,
        State::Failing { scenario, .. } => Answer::Over(format!("it now fails as {scenario}")),
        State::Stale { .. } => Answer::Over("it does not fail, its data is only old".to_owned()),
        State::Ended { reason, at } => Answer::Over(format!("{reason} at {at}")),
    }
}

fn still_well(facts: &Facts) -> Answer {
    match &facts.state {
        State::Ended { reason, .. } if matches!(&**reason, "recovered" | "superseded") => Answer::Holds,
        State::Ended { reason, .. } => Answer::Over(format!("it ended as {reason}")),
        State::Failing { scenario, .. } => Answer::Over(format!("it fails again, as {scenario}")),
        State::Stale { .. } => Answer::Over("its data is old again".to_owned()),
    }
}

/// "Delayed" is wrong once the bank is known to have an outage, and "outage" once it has lifted: by the status of
/// its connector, and by its jobs where anything is known of them.
fn fits_outage(template: &str, outage: Option<bool>, jobs: Option<Option<Health>>) -> Answer {
    match (template, outage, jobs) {
        (_, None, _) => bank_unknown(),
        ("delayed", Some(true), _) => Answer::Over("the bank has a major outage now".to_owned()),
        ("delayed", _, Some(Some(Health::Ailing))) => {
            Answer::Over("the bank's jobs say that it has an outage now".to_owned())
        }
        ("outage", Some(false), None | Some(Some(Health::Well))) => {
            Answer::Over("the bank's outage has lifted".to_owned())
        }
        _ => Answer::Holds,
    }
}

fn refreshable(snapshot: &Snapshot, user: &str, connection: &str, planned: Class) -> Answer {
    let Some(facts) = snapshot.connections.get(connection) else {
        return Answer::Wait("the exporter does not show the connection".to_owned());
    };
    match &facts.state {
        _ if *facts.user != *user => Answer::Over("the connection is another user's".to_owned()),
        State::Failing { scenario, .. } if matches!(&**scenario, "retry-queued" | "retry-expired") => {
            Answer::Over(format!("it is {scenario}: refreshing would only return the queued job"))
        }
        State::Failing { scenario, .. } if Class::of(scenario) != planned => {
            Answer::Over(format!("it now fails as {scenario}"))
        }
        State::Failing { .. } => match known(snapshot, facts) {
            Some(false) => Answer::Holds,
            Some(true) => Answer::Over("the bank has a major outage".to_owned()),
            None => bank_unknown(),
        },
        State::Stale { .. } => Answer::Over("it does not fail".to_owned()),
        State::Ended { reason, at } => Answer::Over(format!("{reason} at {at}")),
    }
}

fn any_fails(snapshot: &Snapshot, cases: &[(String, String, Timestamp)], named: &str) -> Answer {
    // A ticket about several scenarios names none: any failure holds.
    let class = |facts: &Facts| match &facts.state {
        State::Failing { scenario, .. } if named.is_empty() => Class::of(scenario),
        _ => Class::of(named),
    };
    let mut verdict = Answer::Over("it speaks of no connection".to_owned());
    for (user, connection, _) in cases {
        let answer = match snapshot.connections.get(connection.as_str()) {
            None => Answer::Wait("the exporter does not show the connection".to_owned()),
            Some(facts) if *facts.user != **user => {
                Answer::Over("the connection is another user's".to_owned())
            }
            Some(facts) => still_fails(facts, class(facts)).and(|| match known(snapshot, facts) {
                None => bank_unknown(),
                Some(true) => Answer::Over("the bank has a major outage".to_owned()),
                Some(false) => Answer::Holds,
            }),
        };
        match answer {
            Answer::Holds => return Answer::Holds,
            Answer::Wait(_) => verdict = answer,
            Answer::Over(_) if matches!(verdict, Answer::Wait(_)) => {}
            Answer::Over(_) => verdict = answer,
        }
    }
    verdict
}
