//! What waits in one line, and who comes next: in order of time, in turns between the domains of recipients, and
//! never two at a time for one user.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use daemon::Timestamp;

use crate::store::{Effect, Payload};

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
    /// Users with an attempt on its way, and attempts by domain.
    users: HashSet<String>,
    running: HashMap<Domain, usize>,
    /// How many of one domain may be on their way at a time.
    bound: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Later(Timestamp),
    Due(Domain),
}

/// What an attempt holds of the bounds, to be given back.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket {
    user: Option<String>,
    domain: Domain,
}

impl Queue {
    /// A queue for a line with so many attempts at a time: one domain gets half of them.
    pub(super) fn new(concurrency: usize) -> Self {
        Self { bound: concurrency.div_ceil(2).max(1), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// When the first comes that is not due yet.
    pub(super) fn first_later(&self) -> Option<Timestamp> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts one in, in the place of what waits under its key.
    pub(super) fn put(&mut self, effect: Effect) {
        self.remove(&effect.key);
        self.places.insert(effect.key.clone(), Place::Later(effect.next_attempt));
        self.later.insert((effect.next_attempt, effect.key.clone()), effect);
    }

    pub(super) fn remove(&mut self, key: &str) {
        match self.places.remove(key) {
            Some(Place::Later(at)) => {
                self.later.remove(&(at, key.to_owned()));
            }
            Some(Place::Due(domain)) => {
                if let Some(queue) = self.due.get_mut(&domain) {
                    queue.retain(|effect| effect.key != key);
                }
            }
            None => {}
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
            let queue = self.due.entry(domain).or_default();
            if queue.is_empty() && !self.turns.contains(&domain) {
                self.turns.push_back(domain);
            }
            queue.push_back(effect);
        }
    }

    /// The next that may go.
    pub(super) fn pop(&mut self) -> Option<(Effect, Domain)> {
        for _ in 0..self.turns.len() {
            let domain = self.turns.pop_front()?;
            if self.due.get(&domain).is_none_or(VecDeque::is_empty) {
                self.due.remove(&domain);
                continue;
            }
            self.turns.push_back(domain);
            // Also while nobody else waits: who comes next must not find all places taken.
            let running = self.running.get(&domain).copied().unwrap_or_default();
            if domain != ANY && running >= self.bound {
                continue;
            }
            let Some(queue) = self.due.get_mut(&domain) else { continue };
            let free = |effect: &Effect| user(effect).is_none_or(|user| !self.users.contains(user));
            let Some(at) = queue.iter().take(LOOK).position(free) else { continue };
            let Some(effect) = queue.remove(at) else { continue };
            self.places.remove(&effect.key);
            return Some((effect, domain));
        }
        None
    }

    /// One is on its way.
    pub(super) fn begins(&mut self, effect: &Effect, domain: Domain) -> Ticket {
        let user = user(effect).map(str::to_owned);
        self.users.extend(user.clone());
        *self.running.entry(domain).or_default() += 1;
        Ticket { user, domain }
    }

    /// It is no longer on its way.
    pub(super) fn ends(&mut self, ticket: Ticket) {
        if let Some(user) = ticket.user {
            self.users.remove(&user);
        }
        if let Some(running) = self.running.get_mut(&ticket.domain) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&ticket.domain);
            }
        }
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

/// Whom a message is for; other effects bother nobody.
fn user(effect: &Effect) -> Option<&str> {
    match &effect.payload {
        Payload::Message(message) => Some(&message.user),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        channels::UserMessage,
        demand::Action,
        store::{EffectState, Phase},
    };

    fn message(key: &str, user: &str) -> Effect {
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

    fn queue(effects: &[(&str, &str)]) -> Queue {
        let mut queue = Queue::new(4);
        for (key, user) in effects {
            queue.put(message(key, user));
        }
        queue.ripen(Timestamp::default(), domain);
        queue
    }

    #[test]
    fn domains_take_turns() {
        let mut queue = queue(&[("1", "a1"), ("2", "a2"), ("3", "a3"), ("4", "b1"), ("5", "c1")]);
        let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|(effect, _)| effect.key).collect();
        assert_eq!(order, ["1", "4", "5", "2", "3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_domain_that_hangs_holds_up_nobody_else() {
        let mut queue =
            queue(&[("1", "a1"), ("2", "a2"), ("3", "a3"), ("4", "b1"), ("5", "b2"), ("6", "b3")]);
        let mut stuck = Vec::new();
        let mut others = Vec::new();
        while let Some((effect, domain)) = queue.pop() {
            let ticket = queue.begins(&effect, domain);
            if effect.key.as_str() < "4" {
                stuck.push(ticket);
            } else {
                others.push(effect.key);
                queue.ends(ticket);
            }
        }
        assert_eq!(others, ["4", "5", "6"]);
        assert_eq!(stuck.len(), 2, "half of the places");
    }

    #[test]
    fn one_user_gets_one_at_a_time() {
        let mut queue = queue(&[("1", "a1"), ("2", "a1"), ("3", "a2")]);
        let (first, of) = queue.pop().unwrap();
        let ticket = queue.begins(&first, of);
        let (second, of) = queue.pop().unwrap();
        assert_eq!((first.key.as_str(), second.key.as_str()), ("1", "3"));
        let other = queue.begins(&second, of);
        assert!(queue.pop().is_none());
        queue.ends(ticket);
        queue.ends(other);
        assert_eq!(queue.pop().unwrap().0.key, "2");
    }

    #[test]
    fn what_changes_is_replaced_and_what_is_withdrawn_goes() {
        let mut queue = queue(&[("1", "a1"), ("2", "b1")]);
        queue.remove("2");
        queue.put(message("1", "c9"));
        assert_eq!(queue.keys(), BTreeSet::from(["1".to_owned()]));
        queue.ripen(Timestamp::default(), domain);
        assert_eq!(user(&queue.pop().unwrap().0), Some("c9"));
        assert!(queue.pop().is_none() && queue.take_all().is_empty());
    }
}
