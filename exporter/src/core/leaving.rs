//! Users that their source no longer names: kept for a while, so that a list that is empty, half written or gone for
//! a moment costs nobody what is known of them.

use std::collections::BTreeMap;

use crate::ledger::{Id, Ms, span};

/// How long a user is kept that its source no longer names. By the clock.
pub(super) const GRACE: Ms = 10 * span::MINUTE;

/// By source: who is missing, and since when.
#[derive(Debug, Default)]
pub(super) struct Leaving(BTreeMap<u8, BTreeMap<Id, Ms>>);

impl Leaving {
    /// These are all whom the source no longer names now. Returns how many are newly missing.
    pub(super) fn set(&mut self, source: u8, missing: impl Iterator<Item = Id>, now: Ms) -> usize {
        let old = self.0.remove(&source).unwrap_or_default();
        let mut new = BTreeMap::new();
        let mut newly = 0;
        for id in missing {
            let since = old.get(&id).copied().unwrap_or_else(|| {
                newly += 1;
                now
            });
            new.insert(id, since);
        }
        if !new.is_empty() {
            self.0.insert(source, new);
        }
        newly
    }

    /// Takes out whom sources have not named for long enough.
    pub(super) fn take_due(&mut self, now: Ms) -> Vec<(u8, Id)> {
        let mut due = Vec::new();
        self.0.retain(|source, missing| {
            missing.retain(|id, since| {
                let over = *since + GRACE <= now;
                if over {
                    due.push((*source, id.clone()));
                }
                !over
            });
            !missing.is_empty()
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_named_again_in_time_stays() {
        let id = |text: &str| Id::parse(text).unwrap();
        let mut leaving = Leaving::default();
        assert_eq!(leaving.set(2, [id("a"), id("b")].into_iter(), 0), 2);
        assert_eq!(leaving.set(2, [id("b"), id("c")].into_iter(), GRACE / 2), 1);
        assert!(leaving.take_due(GRACE - 1).is_empty());
        assert_eq!(leaving.take_due(GRACE), [(2, id("b"))]);
        assert_eq!(leaving.set(2, std::iter::empty(), GRACE), 0);
        assert!(leaving.take_due(9 * GRACE).is_empty());
    }
}
