//! What is due when, so that the cost of a step follows what is due in it.

use std::{collections::BTreeSet, sync::Arc};

use daemon::Timestamp;

use super::Map;

/// At most one time for each name.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    order: BTreeSet<(Timestamp, Arc<str>)>,
    times: Map<Arc<str>, Timestamp>,
}

impl Wheel {
    pub(super) fn set(&mut self, name: &Arc<str>, time: Option<Timestamp>) {
        if let Some(old) = self.times.remove(name) {
            self.order.remove(&(old, name.clone()));
        }
        if let Some(time) = time {
            self.times.insert(name.clone(), time);
            self.order.insert((time, name.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(time, _)| *time)
    }

    /// Takes out everything due by `now`, earliest first.
    pub(super) fn pop(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        while self.order.first().is_some_and(|(time, _)| *time <= now) {
            if let Some((_, name)) = self.order.pop_first() {
                self.times.remove(&name);
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_out_what_is_due_once_and_in_order() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut wheel = Wheel::default();
        wheel.set(&a, Some(at(5)));
        wheel.set(&b, Some(at(3)));
        wheel.set(&a, Some(at(4)));
        assert_eq!(wheel.next(), Some(at(3)));
        assert_eq!(wheel.pop(at(4)), [b.clone(), a.clone()]);
        assert!(wheel.pop(at(9)).is_empty());
        wheel.set(&b, Some(at(9)));
        wheel.set(&b, None);
        assert_eq!(wheel.next(), None);
    }
}
