//! When which connector was in major outage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Method, Ms, Name, record::span};

/// Times of major outage, as far as they matter for jobs that are still listed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outages(BTreeMap<(Name, Method), Vec<Outage>>);

/// One outage; `until` is 0 while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Outage {
    from: Ms,
    until: Ms,
}

/// Outages of one connector that are remembered.
const REMEMBERED: usize = 64;

impl Outages {
    /// Takes over which connectors are in major outage at `now`; whether that changed.
    pub fn observe(&mut self, down: &[(Name, Method)], now: Ms) -> bool {
        let mut changed = false;
        for (key, outages) in &mut self.0 {
            if let Some(open) = outages.last_mut().filter(|outage| outage.until == 0)
                && !down.contains(key)
            {
                open.until = now;
                changed = true;
            }
        }
        for key in down {
            let outages = self.0.entry(*key).or_default();
            if outages.last().is_none_or(|outage| outage.until != 0) {
                outages.push(Outage { from: now, until: 0 });
                changed = true;
            }
            outages.retain(|outage| outage.until == 0 || outage.until > now - span::WEEK);
            let excess = outages.len().saturating_sub(REMEMBERED);
            outages.drain(..excess);
        }
        changed
    }

    /// Whether the connector was in major outage at `at`, as known at `now`.
    pub fn covers(&self, institution: Name, method: Method, at: Ms, now: Ms) -> bool {
        // What has not ended lasts until now, whatever Basiq's clock says.
        let at = at.min(now);
        let found = self.0.get(&(institution, method));
        found.is_some_and(|all| {
            all.iter().any(|outage| outage.from <= at && (outage.until == 0 || at < outage.until))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names::UNKNOWN, *};

    #[test]
    fn an_outage_covers_the_time_between_its_observations() {
        let mut outages = Outages::default();
        let bank = (UNKNOWN, Method::Web);
        let covers = |outages: &Outages, at| outages.covers(bank.0, bank.1, at, 1000);
        assert!(outages.observe(&[bank], 100));
        assert!(!outages.observe(&[bank], 150));
        assert_eq!([99, 100, 5000].map(|at| covers(&outages, at)), [false, true, true]);
        assert!(outages.observe(&[], 200));
        assert_eq!([150, 199, 200].map(|at| covers(&outages, at)), [true, true, false]);
        assert!(!outages.covers(UNKNOWN, Method::OpenBanking, 150, 1000));
    }
}
