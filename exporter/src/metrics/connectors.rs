//! The banks as Basiq's list of connectors shows them; kept in memory only, and only while fresh.

use std::collections::{BTreeMap, BTreeSet};

use basiq::ConnectorStatus;

use crate::ledger::{Ledger, Method, Ms, Name, span};

/// How long after the last successful poll connectors are shown.
const FRESH: Ms = 15 * span::MINUTE;
/// Connectors that are read; Basiq has about 330.
const BOUND: usize = 4096;
/// The longest text of Basiq's that becomes a label.
const TEXT: usize = 128;

/// One connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// `alpha`, `beta`, `live`, or `other`.
    pub stage: &'static str,
    /// Its status.
    pub status: ConnectorStatus,
    /// The institution's name.
    pub name: String,
    /// The institution's tier.
    pub tier: String,
    /// The institution's country.
    pub country: String,
    /// Basiq's averages by step.
    pub averages: Vec<(&'static str, f64)>,
}

/// All of them, by institution and method.
#[derive(Debug, Default)]
pub struct Connectors {
    list: BTreeMap<(Name, Method), Connector>,
    polled: Ms,
    changed: bool,
}

impl Connectors {
    /// Takes over a list that was asked for at `asked`, and tells the ledger of outages. Returns the banks whose
    /// status changed.
    pub fn observe(
        &mut self,
        listed: &[basiq::Connector],
        ledger: &mut Ledger,
        asked: Ms,
        now: Ms,
    ) -> Vec<(Name, Method)> {
        let mut list = BTreeMap::new();
        for connector in listed.iter().take(BOUND) {
            let method = match connector.method {
                basiq::Method::Web => Method::Web,
                basiq::Method::OpenBanking => Method::OpenBanking,
                basiq::Method::Csv | basiq::Method::Pdf | basiq::Method::Other => Method::Other,
            };
            let text = |text: &str| text.chars().take(TEXT).collect::<String>();
            let new = Connector {
                stage: ["alpha", "beta", "live"]
                    .into_iter()
                    .find(|stage| *stage == connector.stage)
                    .unwrap_or("other"),
                status: connector.status,
                name: text(&connector.name),
                tier: text(&connector.tier),
                country: text(&connector.country),
                averages: connector.averages.iter().map(|(step, took)| (*step, took.as_secs_f64())).collect(),
            };
            let key = (ledger.institutions.intern(&connector.id), method);
            // Of two entries for one bank and method (two stages, say) the worse speaks.
            match list.get(&key) {
                Some(Connector { status, .. }) if badness(*status) >= badness(new.status) => {}
                _ => {
                    list.insert(key, new);
                }
            }
        }
        let changed: Vec<_> = list
            .iter()
            .filter(|(key, new)| self.list.get(*key).is_some_and(|old| old.status != new.status))
            .map(|(key, _)| *key)
            .collect();
        let down: Vec<_> = list
            .iter()
            .filter(|(_, connector)| connector.status == ConnectorStatus::MajorOutage)
            .map(|(key, _)| *key)
            .collect();
        ledger.observe_outages(&down, now);
        self.changed |= list != self.list;
        (self.list, self.polled) = (list, asked);
        changed
    }

    /// What may be shown: everything, or nothing once it is too old.
    pub fn fresh(&self, now: Ms) -> Option<&BTreeMap<(Name, Method), Connector>> {
        self.is_fresh(now).then_some(&self.list)
    }

    /// Whether the list is young enough to be shown.
    pub fn is_fresh(&self, now: Ms) -> bool {
        self.polled != 0 && now < self.polled + FRESH
    }

    /// Whether a poll has succeeded yet.
    pub fn is_known(&self) -> bool {
        self.polled != 0
    }

    /// Institutions in the list.
    pub fn institutions(&self) -> BTreeSet<Name> {
        self.list.keys().map(|(institution, _)| *institution).collect()
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// How much a status speaks for trouble.
fn badness(status: ConnectorStatus) -> u8 {
    match status {
        ConnectorStatus::Operational => 0,
        ConnectorStatus::Unknown => 1,
        ConnectorStatus::UnderMaintenance => 2,
        ConnectorStatus::DegradedPerformance => 3,
        ConnectorStatus::PartialOutage => 4,
        ConnectorStatus::MajorOutage => 5,
    }
}
