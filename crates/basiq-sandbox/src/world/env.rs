//! What all connections of a sandbox share: seed, start, outages, waves, switches. It is replaced as a whole when
//! something changes, and everything in it has a time, so that a past computed twice comes out the same.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{
    connectors,
    draw::Draw,
    population::Population,
    scenario::{Method, Outage, Queue},
    switches::Switches,
    world::{ids::Ids, job::FailedStep},
};

#[derive(Clone, Debug)]
pub(crate) struct Env {
    pub(crate) seed: u64,
    pub(crate) ids: Ids,
    /// The start of the sandbox: what offsets are counted from.
    pub(crate) epoch: Timestamp,
    pub(crate) outages: Vec<Outage>,
    pub(crate) population: Population,
    pub(crate) switches: Switches,
}

impl Env {
    /// The first moment of which anything is told: nothing older is visible, whatever the scenario.
    pub(crate) fn origin(&self) -> Timestamp {
        self.epoch - SignedDuration::from_hours(24 * 9)
    }

    /// What makes a job at this bank fail at `at`, beyond the connection's own failures.
    pub(crate) fn failure(
        &self,
        institution: &str,
        method: Method,
        who: Draw,
        at: Timestamp,
    ) -> Option<(Arc<FailedStep>, Queue)> {
        for (number, outage) in self.outages.iter().enumerate() {
            let covers =
                connectors::covering(std::slice::from_ref(outage), institution, method, at, self.epoch)
                    .next()
                    .is_some();
            if covers && who.with(number as u64).chance(outage.failing) {
                return Some((
                    Arc::new(FailedStep::of_code("verify-credentials", "service-unavailable")),
                    Queue::Updates,
                ));
            }
        }
        for (number, wave) in self.population.waves.iter().enumerate() {
            if wave.meets(institution, who.with(0x77 + number as u64), at, self.epoch) {
                let step = wave.step.as_deref().unwrap_or("verify-credentials");
                return Some((Arc::new(FailedStep::of_code(step, &wave.code)), Queue::Updates));
            }
        }
        None
    }
}
