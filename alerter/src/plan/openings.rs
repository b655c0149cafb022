//! The openings of the last hour, counted by rule and by institution as they come and go: a limit costs what is
//! held against it, not how many there were.

use std::{collections::VecDeque, sync::Arc};

use daemon::Timestamp;

use super::{
    Map,
    planner::{HOUR, Planner, since},
};
use crate::incidents::MessageState;

#[derive(Debug, Default)]
pub(super) struct Openings {
    /// When, by which rule, of which institution; in the order of time.
    all: VecDeque<(Timestamp, Arc<str>, Arc<str>)>,
    rules: Map<Arc<str>, u32>,
    institutions: Map<Arc<str>, u32>,
}

impl Openings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many this rule asked for.
    pub(super) fn of_rule(&self, rule: &str) -> u32 {
        self.rules.get(rule).copied().unwrap_or_default()
    }

    /// How many were about this institution.
    pub(super) fn of_institution(&self, institution: &str) -> u32 {
        self.institutions.get(institution).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, at: Timestamp, rule: &str, institution: &str) {
        let opening = (at, count(&mut self.rules, rule), count(&mut self.institutions, institution));
        self.all.push_back(opening);
    }

    /// Lets go of those that are older than an hour.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((_, rule, institution)) = self.all.pop_front_if(|(at, ..)| since(now, *at) >= HOUR) {
            uncount(&mut self.rules, &rule);
            uncount(&mut self.institutions, &institution);
        }
    }
}

/// One more of these; gives the name that all of them share.
fn count(numbers: &mut Map<Arc<str>, u32>, name: &str) -> Arc<str> {
    let name = numbers.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
    *numbers.entry(name.clone()).or_default() += 1;
    name
}

fn uncount(numbers: &mut Map<Arc<str>, u32>, name: &Arc<str>) {
    if let Some(number) = numbers.get_mut(name) {
        *number -= 1;
        if *number == 0 {
            numbers.remove(name);
        }
    }
}

impl Planner {
    /// After a restart: what was planned or told within the last hour still counts against the limits of holds.
    pub(super) fn remember_openings(&mut self) {
        let mut openings = Vec::new();
        for incident in self.incidents.values() {
            for message in &incident.messages {
                let at = match message.state {
                    MessageState::Told { at } => Some(at),
                    MessageState::Pending => self.effects.get(&message.effect).map(|effect| effect.created),
                    _ => None,
                };
                openings.extend(at.map(|at| (at, &message.rule, &incident.institution)));
            }
        }
        openings.sort_unstable();
        for (at, rule, institution) in openings {
            self.openings.add(at, rule, institution);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_counted_is_what_the_last_hour_had(
            steps in prop::collection::vec((0_i64..2_000, 0_u8..4, 0_u8..4), 0..60),
        ) {
            let (mut openings, mut all) = (Openings::default(), Vec::new());
            let mut now = Timestamp::UNIX_EPOCH;
            for (seconds, rule, institution) in steps {
                now += seconds.seconds();
                let (rule, institution) = (format!("r{rule}"), format!("AU{institution}"));
                openings.add(now, &rule, &institution);
                all.push((now, rule, institution));
                openings.forget(now);
                let recent = || all.iter().filter(|(at, ..)| since(now, *at) < HOUR);
                prop_assert_eq!(openings.len(), recent().count());
                for n in 0..4 {
                    let (rule, institution) = (format!("r{n}"), format!("AU{n}"));
                    let of_rule = recent().filter(|(_, of, _)| *of == rule).count();
                    let of_institution = recent().filter(|(.., of)| *of == institution).count();
                    prop_assert_eq!(openings.of_rule(&rule) as usize, of_rule);
                    prop_assert_eq!(openings.of_institution(&institution) as usize, of_institution);
                }
            }
            openings.forget(now + 1.hours());
            prop_assert!(openings.len() == 0 && openings.rules.is_empty() && openings.institutions.is_empty());
        }
    }
}
