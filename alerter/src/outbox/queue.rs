//! What waits in one line, and who comes next: in order of time, in turns between the domains of recipients, and
//! never two at a time for one user.

use std::collections::{BTreeMap, HashMap, VecDeque};

use daemon::Timestamp;

use super::places::Places;
use crate::store::Effect;

/// How far into a domain's queue is looked for a user to whom nothing is on its way.
const LOOK: usize = 32;

/// A group of recipients that share their fate: a mail domain.
pub(super) type Domain = u64;
/// Of what has no recipient with an address: it shares its fate with the whole channel.
pub(super) const ANY: Domain = 0;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Not due yet.
    later: BTreeMap<(Timestamp, String), Effect>,
    /// Due, by domain.
    due: HashMap<Domain, VecDeque<Effect>>,
    /// Whose turn it is among domains with something due.
    turns: VecDeque<Domain>,
    /// Where each one waits.
    places: HashMap<String, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Later(Timestamp),
    Due(Domain),
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing waits that is due.
    pub(super) fn none_due(&self) -> bool {
        self.due.values().all(VecDeque::is_empty)
    }

    /// When the first comes that is not due yet.
    pub(super) fn first_later(&self) -> Option<Timestamp> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts one in, in the place of what waits under its key. Who changed it may not have heard yet how often it was
    /// marked as being attempted, and the store heeds only who knows of all marks: the higher number stays.
    pub(super) fn put(&mut self, mut effect: Effect) {
        let known = self.remove(&effect.key).map_or(0, |waited| waited.marks);
        effect.marks = effect.marks.max(known);
        self.places.insert(effect.key.clone(), Place::Later(effect.next_attempt));
        self.later.insert((effect.next_attempt, effect.key.clone()), effect);
    }

    /// Takes out what waits under this key.
    pub(super) fn remove(&mut self, key: &str) -> Option<Effect> {
        match self.places.remove(key)? {
            Place::Later(at) => self.later.remove(&(at, key.to_owned())),
            Place::Due(domain) => {
                let queue = self.due.get_mut(&domain)?;
                let at = queue.iter().position(|effect| effect.key == key)?;
                queue.remove(at)
            }
        }
    }

    /// Moves what has become due to the queues of its domains.
    pub(super) fn ripen(&mut self, now: Timestamp, domain: impl Fn(&Effect) -> Domain) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let effect = entry.remove();
            let domain = domain(&effect);
            self.places.insert(effect.key.clone(), Place::Due(domain));
            // Whoever has a queue, even an empty one, has a turn.
            let turns = &mut self.turns;
            let queue = self.due.entry(domain).or_insert_with(|| {
                turns.push_back(domain);
                VecDeque::new()
            });
            queue.push_back(effect);
        }
    }

    /// The next that may go.
    pub(super) fn pop(&mut self, places: &Places) -> Option<(Effect, Domain)> {
        for _ in 0..self.turns.len() {
            let domain = self.turns.pop_front()?;
            if self.due.get(&domain).is_none_or(VecDeque::is_empty) {
                self.due.remove(&domain);
                continue;
            }
            self.turns.push_back(domain);
            if !places.any_of(domain) {
                continue;
            }
            let Some(queue) = self.due.get_mut(&domain) else { continue };
            let Some(at) = queue.iter().take(LOOK).position(|effect| places.reaches(effect)) else {
                continue;
            };
            let Some(effect) = queue.remove(at) else { continue };
            self.places.remove(&effect.key);
            return Some((effect, domain));
        }
        None
    }

    /// Puts back what was taken out last: it comes next, as it would have, and so does its domain.
    pub(super) fn put_back(&mut self, effect: Effect, domain: Domain) {
        self.places.insert(effect.key.clone(), Place::Due(domain));
        self.due.entry(domain).or_default().push_front(effect);
        self.turns.retain(|turn| *turn != domain);
        self.turns.push_front(domain);
    }

    /// Takes everything out that is due.
    pub(super) fn take_due(&mut self) -> Vec<Effect> {
        self.turns.clear();
        let due: Vec<Effect> = std::mem::take(&mut self.due).into_values().flatten().collect();
        for effect in &due {
            self.places.remove(&effect.key);
        }
        due
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> Vec<Effect> {
        let mut all = self.take_due();
        all.extend(std::mem::take(&mut self.later).into_values());
        self.places.clear();
        all
    }

    /// Keys of all that wait, for tests.
    #[cfg(test)]
    fn keys(&self) -> std::collections::BTreeSet<String> {
        self.places.keys().cloned().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{Pace, places::user},
        *,
    };
    use crate::{
        channels::UserMessage,
        demand::Action,
        store::{EffectState, Payload, Phase},
    };

    pub(in super::super) fn message(key: &str, user: &str) -> Effect {
        let at = Timestamp::default();
        let message = UserMessage {
            key: key.into(),
            user: user.into(),
            template: "credentials".into(),
            connections: Vec::new(),
            message_id: "<a@b>".into(),
            in_reply_to: None,
            reference: "INC".into(),
            at,
        };
        Effect {
            key: key.into(),
            incidents: Vec::new(),
            action: Action::NotifyUser,
            phase: Phase::Opening,
            channel: "mail".into(),
            state: EffectState::Planned,
            reason: String::new(),
            rule: String::new(),
            due: at,
            next_attempt: at,
            expires: Timestamp::MAX,
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: at,
            changed: at,
            remote: None,
            traceparent: None,
            payload: Payload::Message(message),
        }
    }

    /// The domain is the first letter of the user.
    fn domain(effect: &Effect) -> Domain {
        u64::from(user(effect).unwrap().as_bytes()[0])
    }

    fn places() -> Places {
        Places::new(&Pace { concurrency: 4, ..Pace::default() })
    }

    fn queue(effects: &[(&str, &str)]) -> Queue {
        let mut queue = Queue::default();
        for (key, user) in effects {
            queue.put(message(key, user));
        }
        queue.ripen(Timestamp::default(), domain);
        queue
    }

    #[test]
    fn domains_take_turns() {
        let mut queue = queue(&[("1", "a1"), ("2", "a2"), ("3", "a3"), ("4", "b1"), ("5", "c1")]);
        let places = places();
        let order: Vec<String> =
            std::iter::from_fn(|| queue.pop(&places)).map(|(effect, _)| effect.key).collect();
        assert_eq!(order, ["1", "4", "5", "2", "3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn what_replaces_an_effect_keeps_its_marks() {
        let mut queue = Queue::default();
        let mut marked = message("1", "a1");
        marked.marks = 2;
        queue.put(marked);
        queue.put(message("1", "a2"));
        queue.ripen(Timestamp::default(), domain);
        let (effect, _) = queue.pop(&places()).unwrap();
        assert_eq!((effect.marks, user(&effect)), (2, Some("a2")));
    }

    #[test]
    fn what_is_put_back_keeps_its_turn() {
        let mut queue = queue(&[("1", "a1"), ("2", "a2"), ("3", "a3"), ("4", "b1")]);
        let places = places();
        let mut order = Vec::new();
        // The rate allows every second one.
        while let Some((effect, domain)) = queue.pop(&places) {
            queue.put_back(effect, domain);
            assert!(!queue.none_due());
            order.extend(queue.pop(&places).map(|(effect, _)| effect.key));
            queue.ripen(Timestamp::default(), self::domain);
        }
        assert_eq!(order, ["1", "4", "2", "3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_domain_that_hangs_holds_up_nobody_else() {
        let mut queue =
            queue(&[("1", "a1"), ("2", "a2"), ("3", "a3"), ("4", "b1"), ("5", "b2"), ("6", "b3")]);
        let mut stuck = Vec::new();
        let mut others = Vec::new();
        let places = places();
        while let Some((effect, domain)) = queue.pop(&places) {
            let ticket = places.take(&effect, domain);
            if effect.key.as_str() < "4" {
                stuck.push(ticket);
            } else {
                others.push(effect.key);
                places.give_back(ticket);
            }
        }
        assert_eq!(others, ["4", "5", "6"]);
        assert_eq!(stuck.len(), 2, "half of the places");
    }

    #[test]
    fn one_user_gets_one_at_a_time() {
        let mut queue = queue(&[("1", "a1"), ("2", "a1"), ("3", "a2")]);
        let places = places();
        let (first, of) = queue.pop(&places).unwrap();
        let ticket = places.take(&first, of);
        let (second, of) = queue.pop(&places).unwrap();
        assert_eq!((first.key.as_str(), second.key.as_str()), ("1", "3"));
        let other = places.take(&second, of);
        assert!(queue.pop(&places).is_none());
        places.give_back(ticket);
        places.give_back(other);
        assert_eq!(queue.pop(&places).unwrap().0.key, "2");
    }

    #[test]
    fn what_changes_is_replaced_and_what_is_withdrawn_goes() {
        let mut queue = queue(&[("1", "a1"), ("2", "b1")]);
        assert_eq!(queue.remove("2").map(|effect| effect.key).as_deref(), Some("2"));
        assert!(queue.remove("2").is_none());
        queue.put(message("1", "c9"));
        assert_eq!(queue.keys(), BTreeSet::from(["1".to_owned()]));
        queue.ripen(Timestamp::default(), domain);
        assert_eq!(user(&queue.pop(&places()).unwrap().0), Some("c9"));
        assert!(queue.pop(&places()).is_none() && queue.take_all().is_empty());
    }
}
