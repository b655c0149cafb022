//! Sums over all connections, kept up to date by adding and taking away what each user contributes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Method, Ms, Name, Scenario, Status};

/// The label set of one sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gauge {
    /// `basiq_connections`
    Connections(Name, Method, Status),
    /// `basiq_connections_failing`
    Failing(Name, Method, Scenario),
    /// `basiq_connections_stale`
    Stale(Name),
    /// `basiq_connections_consent_expiring`
    Expiring(Name),
    /// `basiq_jobs_running`
    Running(Name),
    /// `basiq_jobs_stuck`
    Stuck(Name),
    /// `basiq_retry_queue_jobs`
    Queued(Name),
    /// `basiq_users_newly_failing`
    NewlyFailing(Name, Method, Scenario),
}

/// What one user adds to the sums.
#[derive(Debug, Default, PartialEq)]
pub struct Contribution {
    /// The sums it is one of, once for each time.
    pub sums: Vec<Gauge>,
    /// Sums of distinct users.
    pub users: BTreeSet<Gauge>,
    /// Creation times of its queued jobs.
    pub queued: Vec<(Name, Ms)>,
}

/// The sums.
#[derive(Debug, Default)]
pub struct Gauges {
    sums: BTreeMap<Gauge, i64>,
    queued: BTreeMap<Name, BTreeMap<Ms, u32>>,
    unshown: BTreeSet<Gauge>,
}

impl Gauges {
    /// Makes a sum known; it then shows 0 rather than nothing.
    pub fn seed(&mut self, gauge: Gauge) {
        self.shift(gauge, 0);
    }

    /// Adds a user's contribution.
    pub fn add(&mut self, contribution: &Contribution) {
        for gauge in contribution.sums.iter().chain(&contribution.users) {
            self.shift(*gauge, 1);
        }
        for (institution, created) in &contribution.queued {
            *self.queued.entry(*institution).or_default().entry(*created).or_default() += 1;
        }
    }

    /// Takes a user's contribution away.
    pub fn remove(&mut self, contribution: &Contribution) {
        for gauge in contribution.sums.iter().chain(&contribution.users) {
            self.shift(*gauge, -1);
        }
        for (institution, created) in &contribution.queued {
            if let Some(times) = self.queued.get_mut(institution)
                && let Some(count) = times.get_mut(created)
            {
                *count -= 1;
                if *count == 0 {
                    times.remove(created);
                }
            }
        }
    }

    fn shift(&mut self, gauge: Gauge, by: i64) {
        let new = !self.sums.contains_key(&gauge);
        *self.sums.entry(gauge).or_default() += by;
        if new || by != 0 {
            self.unshown.insert(gauge);
        }
    }

    /// The sum; `None` if it was never known.
    pub fn value(&self, gauge: Gauge) -> Option<i64> {
        self.sums.get(&gauge).copied()
    }

    /// All sums.
    pub fn iter(&self) -> impl Iterator<Item = (&Gauge, &i64)> {
        self.sums.iter()
    }

    /// When the oldest queued job of the institution was created; `None` if none is queued.
    pub fn oldest_queued(&self, institution: Name) -> Option<Ms> {
        self.queued.get(&institution)?.keys().next().copied()
    }

    /// Sums to show anew.
    pub fn take_unshown(&mut self) -> BTreeSet<Gauge> {
        std::mem::take(&mut self.unshown)
    }
}
