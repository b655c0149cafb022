//! Telling throttling from a lack of permission where Basiq answers both with the same 403.
//!
//! The body of throttling by 403 is nowhere documented (behaviour, section 9); it may be the one that a
//! missing right gives. Permissions belong to the key and the endpoint; throttling strikes all at once,
//! where there were answers a moment ago.

use std::collections::BTreeMap;

use daemon::Timestamp;
use jiff::SignedDuration;

use super::Endpoint;

/// How many different resources must be refused in a row, with no answer between them.
const IN_A_ROW: usize = 3;

/// Refusals further apart than this are no row.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// What was refused and answered of late.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    answered: BTreeMap<Endpoint, Timestamp>,
    /// Hashes of what was refused in a row, with the time; at most [`IN_A_ROW`].
    row: Vec<(u64, Timestamp)>,
}

impl Refusals {
    /// An endpoint has answered: the row is over.
    pub(super) fn answered(&mut self, endpoint: Endpoint, now: Timestamp) {
        self.answered.insert(endpoint, now);
        self.row.clear();
    }

    /// A 403 that does not say why. Says whether it is throttling: the endpoint has answered before, and this
    /// is at least the third resource in a row to be refused.
    pub(super) fn refused(&mut self, endpoint: Endpoint, resource: u64, now: Timestamp) -> bool {
        self.row.retain(|(_, at)| now.duration_since(*at).abs() < APART);
        if !self.row.iter().any(|(refused, _)| *refused == resource) {
            self.row.truncate(IN_A_ROW - 1);
            self.row.insert(0, (resource, now));
        }
        self.row.len() >= IN_A_ROW && self.answered.contains_key(&endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn three_resources_in_a_row_after_answers_are_throttling() {
        let mut refusals = Refusals::default();
        refusals.answered(Endpoint::Jobs, at(0));
        assert!(!refusals.refused(Endpoint::Jobs, 1, at(1)));
        assert!(!refusals.refused(Endpoint::Jobs, 2, at(1)));
        assert!(refusals.refused(Endpoint::Jobs, 3, at(2)));
        // It stays so until something is answered.
        assert!(refusals.refused(Endpoint::Jobs, 3, at(3)));
        refusals.answered(Endpoint::Connectors, at(4));
        assert!(!refusals.refused(Endpoint::Jobs, 4, at(5)));
    }

    #[test]
    fn an_endpoint_that_never_answered_lacks_permission() {
        let mut refusals = Refusals::default();
        refusals.answered(Endpoint::Connectors, at(0));
        for resource in 0..10 {
            assert!(!refusals.refused(Endpoint::Jobs, resource, at(1)));
        }
    }

    #[test]
    fn one_resource_refused_over_and_over_or_few_far_apart_are_no_row() {
        let mut refusals = Refusals::default();
        refusals.answered(Endpoint::Jobs, at(0));
        for second in 0..100 {
            assert!(!refusals.refused(Endpoint::Jobs, 7, at(second)));
        }
        for resource in 0..10 {
            assert!(!refusals.refused(Endpoint::Jobs, resource, at(200 + 40 * resource as i64)));
        }
    }
}
