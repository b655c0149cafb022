//! Behaviour, section 1, sentence by sentence.

use super::*;

mod counting;
mod ends;
mod properties;
mod queue;

/// A Sunday's noon, in milliseconds.
const NOON: Ms = 1_795_348_800_000;
const MINUTE: Ms = span::MINUTE;
const HOUR: Ms = span::HOUR;
const DAY: Ms = span::DAY;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

/// A job of connection `c1` that has done one step and fails, succeeds or waits at the next.
fn job(name: &str, created: Ms, updated: Ms, last: StepStatus) -> JobSeen {
    let step = |title: &str, status| StepSeen { title: title.to_owned(), status };
    JobSeen {
        id: id(name),
        kind: Kind::Connection,
        connection: Some(id("c1")),
        institution: None,
        created,
        updated,
        steps: vec![step("verify-credentials", StepStatus::Success), step("retrieve-accounts", last)],
    }
}

fn failed(code: &str) -> StepStatus {
    StepStatus::Failed { code: code.to_owned(), detail: String::new() }
}

fn connection(name: &str, status: Status) -> ConnectionSeen {
    ConnectionSeen {
        id: id(name),
        institution: "AU00000".to_owned(),
        method: Method::Web,
        status,
        created: NOON - 100 * DAY,
        last_used: NOON - DAY,
        expiry: 0,
    }
}

/// A ledger born a day before noon with user `u`, discovered then, and the connection `c1`.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Settings::default(), NOON - DAY);
    ledger.discover(0, &id("u"), NOON - DAY);
    ledger.observe_connections(&id("u"), &[connection("c1", Status::Active)], NOON - DAY, NOON - DAY);
    ledger
}

impl Ledger {
    fn jobs(&mut self, jobs: &[JobSeen], now: Ms) {
        self.observe_jobs(&id("u"), jobs, true, now, now);
    }

    fn stands(&self, name: &str, now: Ms) -> Standing {
        let user = self.user(self.place(&id("u")).unwrap()).unwrap();
        standing(user, user.connection(&id(name)).unwrap(), now)
    }

    fn failing(&self, name: &str, now: Ms) -> Failing {
        match self.stands(name, now) {
            Standing::Failing(failing) => failing,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// What `/metrics/connections` says of `u`'s connections as ended.
    fn ended(&self) -> Vec<(String, End, Ms)> {
        let user = self.place(&id("u")).and_then(|place| self.user(place));
        let connections = user.map(|user| user.connections.as_slice()).unwrap_or_default();
        let of_users = connections.iter().filter_map(|connection| {
            let (end, at) = connection.trouble.as_ref()?.ended?;
            Some((connection.id.to_string(), end, at))
        });
        let gone = self.departed.values().map(|gone| (gone.connection.to_string(), gone.end, gone.at));
        of_users.chain(gone).collect()
    }

    fn bank(&self) -> Name {
        self.institutions.find("AU00000").unwrap()
    }

    fn finished(&self, outcome: Outcome) -> u64 {
        self.counters.value(Counter::Finished(self.bank(), Method::Web, outcome))
    }

    fn steps_done(&self, step: &str) -> u64 {
        let step = self.steps.find(step).unwrap();
        self.counters.value(Counter::Step(self.bank(), Method::Web, step))
    }

    fn steps_failed(&self, step: &str, code: &str, scenario: Scenario) -> u64 {
        let (step, code) = (self.steps.find(step).unwrap(), self.codes.find(code).unwrap());
        self.counters.value(Counter::StepFailed(self.bank(), Method::Web, step, code, scenario))
    }

    fn left(&self, reason: Left) -> u64 {
        self.counters.value(Counter::Left(self.bank(), reason))
    }

    fn queued(&self) -> i64 {
        self.gauges.value(Gauge::Queued(self.bank())).unwrap()
    }
}
