//! A simulated month: waves, outages, flapping, relay failures, exporter crashes, clock jumps and restarts, with
//! the invariants of issue 7 checked at every step.
//!
//! `SIMULATION_SEEDS=300 SIMULATION_USERS=20000 cargo test --workspace -- month` is the long run. A failing
//! seed prints the story of the connection it failed for.

use std::collections::{BTreeMap, BTreeSet};

use basiq_alerter::{
    evidence::State,
    incidents::{Class, MessageState, Status},
    refresh::Refreshed,
    store::{EffectState, Payload, Phase},
};
use daemon::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::world::{Answer, BANK, Refresh, World, hours, minutes};

const SCENARIOS: [&str; 8] = [
    "invalid-credentials",
    "account-locked",
    "mfa-required",
    "user-action-required",
    "reauthorisation-required",
    "service-unavailable",
    "service-unavailable",
    "unknown",
];

struct Month {
    world: World,
    random: StdRng,
    users: usize,
    /// When each connection last failed or ended, so that evidence of five minutes ago can be judged.
    failed_until: BTreeMap<String, Timestamp>,
    checked: usize,
    /// When a person last got a message of each family of templates.
    last: BTreeMap<(String, String), Timestamp>,
    outage: bool,
}

impl Month {
    fn new(seed: u64, users: usize) -> Self {
        // Holds are tested elsewhere; here they would hide what is checked.
        let mut world = World::with(|settings| {
            settings.limits.hold_batch = u32::MAX;
            settings.limits.hold_rule = u32::MAX;
            settings.limits.hold_institution = u32::MAX;
            settings.limits.hold_all = u32::MAX;
        });
        world.refresh = Refresh::Fails;
        Self {
            world,
            random: StdRng::seed_from_u64(seed),
            users,
            failed_until: BTreeMap::new(),
            checked: 0,
            last: BTreeMap::new(),
            outage: false,
        }
    }

    fn chance(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }

    fn somebody(&mut self) -> String {
        format!("m{}", self.random.random_range(0..self.users))
    }

    /// Five minutes of the world.
    fn step(&mut self) {
        let failures = if self.chance(0.002) { self.users / 4 } else { usize::from(self.chance(0.3)) };
        let wave = SCENARIOS[self.random.random_range(0..SCENARIOS.len())];
        for _ in 0..failures {
            let name = self.somebody();
            let scenario =
                if failures > 1 { wave } else { SCENARIOS[self.random.random_range(0..SCENARIOS.len())] };
            match self.state(&name) {
                Some(State::Failing { .. }) => self.world.fails_again(&name),
                _ => self.world.fails(&name, scenario),
            }
        }
        for _ in 0..self.users.div_ceil(100) {
            let name = self.somebody();
            if matches!(self.state(&name), Some(State::Failing { .. })) && self.chance(0.25) {
                match self.random.random_range(0..20) {
                    0 => self.world.ends(&name, "deleted"),
                    1 => self.world.ends(&name, "superseded"),
                    2 => self.world.turns(&name, "account-locked"),
                    3 => self.world.turns(&name, "retry-queued"),
                    4 => self.world.vanishes(&name),
                    _ => self.world.recovers(&name),
                }
            }
        }
        if self.chance(0.002) {
            self.outage = !self.outage;
            self.world.bank(if self.outage { "major-outage" } else { "operational" });
        }
        if self.chance(0.01) {
            self.world.exporter = !self.world.exporter;
        }
        if self.chance(0.01) {
            self.world.answer = match self.random.random_range(0..5) {
                0 => Answer::Nothing,
                1 => Answer::Ends(EffectState::Dead),
                2 => Answer::Ends(EffectState::Unreachable),
                _ => Answer::Takes,
            };
        }
        if self.chance(0.05) {
            self.world.refresh = match self.random.random_range(0..5) {
                0 => Refresh::Heals,
                1 => Refresh::Says(Refreshed::Existing { job: "job-0".into() }),
                2 => Refresh::Says(Refreshed::Withheld { why: "a job runs".into() }),
                3 => Refresh::Says(Refreshed::Refused { why: "400".into() }),
                _ => Refresh::Fails,
            };
        }
        if self.chance(0.01) {
            self.world.restart();
            self.world.says_all_again();
        }
        let jump = if self.chance(0.001) { hours(3) } else { minutes(0) };
        self.world.now += minutes(5) + jump;
        self.note();
        self.world.pass(minutes(0));
        self.check();
    }

    fn state(&self, name: &str) -> Option<State> {
        self.world.facts.get(&format!("c-{name}")).map(|facts| facts.state.clone())
    }

    fn note(&mut self) {
        for (connection, facts) in &self.world.facts {
            if matches!(facts.state, State::Failing { .. }) {
                self.failed_until.insert(connection.clone(), self.world.now);
            }
        }
    }

    fn check(&mut self) {
        let new: Vec<_> = self.world.done[self.checked..].to_vec();
        self.checked = self.world.done.len();
        for done in new {
            let age = |at: Timestamp| done.at.duration_since(at);
            match (&done.effect.payload, done.effect.phase) {
                (Payload::Message(message), Phase::Closing) => {
                    for connection in &done.spoke_of {
                        let well = matches!(&self.world.facts[connection].state,
                            State::Ended { reason, at } if matches!(&**reason, "recovered" | "superseded") && age(*at) >= minutes(30));
                        // What failed again within the age of the evidence could not be known.
                        let recent =
                            self.failed_until.get(connection).is_some_and(|at| age(*at) <= minutes(5));
                        assert!(
                            well || recent,
                            "told of a recovery that did not happen: {}",
                            self.story(connection)
                        );
                    }
                    assert!(message.in_reply_to.is_some());
                }
                (Payload::Message(message), _) => {
                    for connection in &done.spoke_of {
                        let failed =
                            self.failed_until.get(connection).is_some_and(|at| age(*at) <= minutes(5));
                        assert!(failed, "told of a trouble that was over: {}", self.story(connection));
                    }
                    let family = if message.template == "outage" { "delayed" } else { &message.template };
                    let person = (message.user.clone(), family.to_owned());
                    if let Some(before) = self.last.insert(person, done.at) {
                        assert!(
                            age(before) >= hours(24),
                            "the cooldown was broken: {}",
                            self.story(&done.spoke_of[0])
                        );
                    }
                }
                (Payload::Refresh { connection, .. }, _) => {
                    let facts = &self.world.facts.get(connection);
                    let fits = facts.is_none_or(|facts| match &facts.state {
                        State::Failing { scenario, last_failure, .. } => {
                            // A failure may be younger than the evidence.
                            matches!(Class::of(scenario), Class::Service)
                                && (age(*last_failure) >= minutes(10) || age(*last_failure) <= minutes(5))
                        }
                        _ => self.failed_until.get(connection).is_some_and(|at| age(*at) <= minutes(5)),
                    });
                    assert!(fits, "a refresh that section 6 forbids: {}", self.story(connection));
                    assert!(
                        !self.outage || !self.world.exporter,
                        "into a major outage: {}",
                        self.story(connection)
                    );
                }
                _ => {}
            }
        }
        for incident in self.world.incidents.values() {
            assert!(incident.attempts.len() <= 2, "a third attempt: {}", self.story(&incident.connection));
        }
    }

    /// Everything heals and works again for some days; what is owed must be paid by then.
    fn end(&mut self) {
        self.world.exporter = true;
        self.world.answer = Answer::Takes;
        self.world.bank("operational");
        self.outage = false;
        let failing: Vec<String> = self
            .world
            .facts
            .iter()
            .filter(|(_, facts)| matches!(facts.state, State::Failing { .. }))
            .map(|(connection, _)| connection.trim_start_matches("c-").to_owned())
            .collect();
        // What vanished from the exporter comes back into its sight.
        let unseen: Vec<String> = self
            .world
            .incidents
            .values()
            .filter(|incident| incident.is_open() && !self.world.facts.contains_key(&incident.connection))
            .map(|incident| incident.connection.trim_start_matches("c-").to_owned())
            .collect();
        for name in failing.iter().chain(&unseen) {
            if unseen.contains(name) {
                self.world.fails(name, "service-unavailable");
            }
            self.world.recovers(name);
        }
        for _ in 0..24 * 12 {
            self.world.now += minutes(5);
            self.world.pass(minutes(0));
            self.check();
        }
        let mut ticketed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for done in self.world.of(Phase::Ticket) {
            for incident in &done.effect.incidents {
                ticketed.entry(incident.clone()).or_default().insert(done.effect.key.clone());
            }
        }
        for (reference, incident) in &self.world.incidents {
            let story = || self.story(&incident.connection);
            assert!(!incident.is_open(), "it neither closed nor is it seen: {}", story());
            assert!(
                ticketed.get(reference).is_none_or(|tickets| tickets.len() == 1),
                "two tickets: {}",
                story()
            );
            let Status::Ended { reason, .. } = &incident.status else { continue };
            let newer = self
                .world
                .incidents
                .values()
                .any(|other| other.connection == incident.connection && other.opened > incident.opened);
            if matches!(reason.as_str(), "recovered" | "superseded") && !newer {
                let owed = incident.messages.iter().any(|message| {
                    matches!(message.state, MessageState::Told { .. })
                        && message
                            .closing
                            .as_ref()
                            .is_none_or(|key| !self.world.effects[key].state.is_final())
                });
                assert!(!owed, "somebody was told, and not of the end: {}", story());
            }
        }
        let waiting: Vec<_> = self.world.effects.values().filter(|effect| !effect.state.is_final()).collect();
        assert!(waiting.is_empty(), "nothing will become of these: {waiting:#?}");
    }

    fn story(&self, connection: &str) -> String {
        let mut text = format!("{connection}\n");
        let of: BTreeSet<&String> = self
            .world
            .incidents
            .values()
            .filter(|incident| incident.connection == connection)
            .map(|incident| &incident.reference)
            .collect();
        for entry in self.world.story.iter().filter(|entry| of.contains(&entry.incident)) {
            text.push_str(&format!(
                "  {}  {}  {:<10} {}\n",
                entry.at, entry.incident, entry.what, entry.text
            ));
        }
        text.push_str(&format!("  now {} {:?}\n", self.world.now, self.world.facts.get(connection)));
        text
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_simulated_month_keeps_its_promises() {
    assert_eq!(BANK, "AU00001");
    let users = setting("SIMULATION_USERS", 60) as usize;
    let first = setting("SIMULATION_FIRST_SEED", 1);
    for seed in first..first + setting("SIMULATION_SEEDS", 3) {
        eprintln!("seed {seed}, {users} users");
        let mut month = Month::new(seed, users);
        for _ in 0..30 * 24 * 12 {
            month.step();
        }
        month.end();
        let told = month.world.count(Phase::Opening);
        assert!(told > 50 && month.world.count(Phase::Closing) > 20, "too little happened: {told}");
        assert!(month.world.count(Phase::Ticket) > 3 && month.world.count(Phase::Refresh) > 3);
    }
}
