//! `/metrics/connections`: a row for each connection that needs attention.

use std::collections::HashMap;

use exposition::{Part, Sheet};

use super::{
    contract::{CONNECTION, column},
    seconds,
};
use crate::ledger::{Ledger, Owner, Standing, is_baseline};

/// The rows as they are shown.
#[derive(Debug)]
pub(super) struct ConnectionRows {
    sheet: Sheet<(Owner, u16)>,
    shown: HashMap<Owner, Vec<u16>>,
    empty: bool,
}

impl ConnectionRows {
    pub(super) fn new() -> Self {
        Self { sheet: Sheet::new(CONNECTION), shown: HashMap::new(), empty: true }
    }

    /// Takes over what changed; whether anything did.
    pub(super) fn update(&mut self, ledger: &mut Ledger) -> bool {
        let changed = ledger.rows.take_changed();
        for owner in &changed {
            let places = match owner {
                Owner::User(place) => self.user(*place, ledger),
                Owner::Departed(number) => self.departed(*number, ledger),
            };
            let before = if places.is_empty() {
                self.shown.remove(owner).unwrap_or_default()
            } else {
                self.shown.insert(*owner, places.clone()).unwrap_or_default()
            };
            for gone in before.into_iter().filter(|place| !places.contains(place)) {
                self.sheet.remove(&(*owner, gone));
            }
        }
        // The first time something is shown even if it is nothing.
        std::mem::take(&mut self.empty) || !changed.is_empty()
    }

    pub(super) fn part(&self) -> Part {
        self.sheet.part()
    }

    fn user(&mut self, place: u32, ledger: &Ledger) -> Vec<u16> {
        let Some(user) = ledger.user(place) else { return Vec::new() };
        let user_id = user.id.to_string();
        let mut shown = Vec::new();
        for row in ledger.rows.of(Owner::User(place)).iter().filter(|row| ledger.rows.is_shown(row)) {
            let Some(connection) = user.connections.get(usize::from(row.place)) else { continue };
            let (id, institution) =
                (connection.id.to_string(), ledger.institutions.get(connection.institution));
            let labels = |scenario: &'static str| {
                [
                    ("connection_id", id.as_str()),
                    ("user_id", user_id.as_str()),
                    ("institution", &*institution),
                    ("method", connection.method.as_str()),
                    ("scenario", scenario),
                ]
            };
            let key = (Owner::User(place), row.place);
            match ledger.standing(user, connection) {
                Standing::Failing(failing) => {
                    let labels = labels(failing.scenario.as_str());
                    let mut cells = vec![
                        (column::FAILED_JOBS, &labels[..], f64::from(failing.jobs)),
                        (column::FAILING_SINCE, &labels[..], seconds(failing.since)),
                        (column::LAST_FAILURE, &labels[..], seconds(failing.last)),
                    ];
                    if is_baseline(user, ledger.born(), &failing) {
                        cells.push((column::BASELINE, &labels[..], 1.0));
                    }
                    if !connection.succeeded {
                        cells.push((column::NEVER_SUCCEEDED, &labels[..], 1.0));
                    }
                    self.sheet.set(key, &cells);
                }
                _ => {
                    let ended = connection.trouble.as_ref().and_then(|trouble| trouble.ended);
                    let ended = ended.map(|(end, at)| (labels(end.as_str()), at));
                    let stale = ledger.stale_now(user, connection).map(|since| (labels("stale"), since));
                    let mut cells = Vec::new();
                    if let Some((labels, at)) = &ended {
                        cells.push((column::ENDED, &labels[..], seconds(*at)));
                    }
                    if let Some((labels, since)) = &stale {
                        cells.push((column::STALE_SINCE, &labels[..], seconds(*since)));
                    }
                    self.sheet.set(key, &cells);
                }
            }
            shown.push(row.place);
        }
        shown
    }

    fn departed(&mut self, number: u32, ledger: &Ledger) -> Vec<u16> {
        let owner = Owner::Departed(number);
        let is_shown = ledger.rows.of(owner).iter().any(|row| ledger.rows.is_shown(row));
        let Some(departed) = ledger.departed(number).filter(|_| is_shown) else { return Vec::new() };
        let labels = [
            ("connection_id", &*departed.connection.to_string()),
            ("user_id", &*departed.user.to_string()),
            ("institution", &*ledger.institutions.get(departed.institution)),
            ("method", departed.method.as_str()),
            ("scenario", departed.end.as_str()),
        ];
        self.sheet.set((owner, 0), &[(column::ENDED, &labels, seconds(departed.at))]);
        vec![0]
    }
}
