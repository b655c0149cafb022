//! The places of one line: how many may be on their way, in all, of one domain and to one user, and at what rate. The
//! line gives them to what waits; the engine gives them to what it plans while nothing waits, so that one commit both
//! plans it and marks it as being attempted.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Pace,
    queue::{ANY, Domain},
    rate::Bucket,
};
use crate::store::{Effect, Payload};

#[derive(Debug)]
pub(super) struct Places {
    /// In all.
    concurrency: usize,
    /// Of one domain.
    of_domain: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    all: usize,
    /// Users with an attempt on its way, and attempts by domain.
    users: HashSet<String>,
    domains: HashMap<Domain, usize>,
    bucket: Bucket,
    /// Nothing waits that could begin, and nothing keeps the line from beginning.
    open: bool,
}

/// A place, to be given back.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket {
    user: Option<String>,
    domain: Domain,
}

impl Places {
    /// One domain gets half of them.
    pub(super) fn new(pace: &Pace) -> Self {
        let bucket = Bucket::new(pace.rate, pace.burst, Instant::now());
        let (all, users, domains, open) = (0, HashSet::new(), HashMap::new(), false);
        let taken = Mutex::new(Taken { all, users, domains, bucket, open });
        Self { concurrency: pace.concurrency, of_domain: pace.concurrency.div_ceil(2).max(1), taken }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may be on its way.
    pub(super) fn any(&self) -> bool {
        self.taken().all < self.concurrency
    }

    /// Whether one more of the domain may be on its way. Also while nobody else waits: who comes next must not find
    /// all places taken.
    pub(super) fn any_of(&self, domain: Domain) -> bool {
        self.taken().any_of(domain, self.of_domain)
    }

    /// Whether nothing is on its way to whom this is for.
    pub(super) fn reaches(&self, effect: &Effect) -> bool {
        self.taken().reaches(effect)
    }

    /// Takes a token of the rate, or says how long there is none, where the rate is shared by so many.
    pub(super) fn rate(&self, sharers: u32) -> Result<(), Duration> {
        self.taken().bucket.take(Instant::now(), sharers)
    }

    /// One is on its way.
    pub(super) fn take(&self, effect: &Effect, domain: Domain) -> Ticket {
        self.taken().take(effect, domain)
    }

    /// It is no longer on its way.
    pub(super) fn give_back(&self, ticket: Ticket) {
        let mut taken = self.taken();
        taken.all -= 1;
        if let Some(user) = ticket.user {
            taken.users.remove(&user);
        }
        if let Some(running) = taken.domains.get_mut(&ticket.domain) {
            *running -= 1;
            if *running == 0 {
                taken.domains.remove(&ticket.domain);
            }
        }
    }

    /// Whether what is new may begin before the line has looked at it.
    pub(super) fn open(&self, open: bool) {
        self.taken().open = open;
    }

    /// A place for what is new, if it would be its turn.
    pub(super) fn reserve(&self, effect: &Effect, domain: Domain) -> Option<Ticket> {
        let mut taken = self.taken();
        let free = taken.open
            && taken.all < self.concurrency
            && taken.any_of(domain, self.of_domain)
            && taken.reaches(effect);
        (free && taken.bucket.take(Instant::now(), 1).is_ok()).then(|| taken.take(effect, domain))
    }
}

impl Taken {
    fn any_of(&self, domain: Domain, bound: usize) -> bool {
        domain == ANY || self.domains.get(&domain).is_none_or(|running| *running < bound)
    }

    fn reaches(&self, effect: &Effect) -> bool {
        user(effect).is_none_or(|user| !self.users.contains(user))
    }

    fn take(&mut self, effect: &Effect, domain: Domain) -> Ticket {
        let user = user(effect).map(str::to_owned);
        self.all += 1;
        self.users.extend(user.clone());
        *self.domains.entry(domain).or_default() += 1;
        Ticket { user, domain }
    }
}

/// Whom a message is for; other effects bother nobody.
pub(super) fn user(effect: &Effect) -> Option<&str> {
    match &effect.payload {
        Payload::Message(message) => Some(&message.user),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::queue::tests::message, *};

    #[test]
    fn what_is_new_gets_a_place_only_if_nothing_waits_and_within_all_bounds() {
        let places = Places::new(&Pace { concurrency: 4, rate: 0.001, burst: 4.0 });
        let reserve = |user: &str, domain| places.reserve(&message("k", user), domain);
        assert!(reserve("a", 1).is_none(), "the line has not looked yet");
        places.open(true);
        let first = reserve("a", 1).unwrap();
        assert!(reserve("a", 2).is_none(), "one user gets one at a time");
        let second = reserve("b", 1).unwrap();
        assert!(reserve("c", 1).is_none(), "one domain gets half");
        assert!(reserve("c", 2).is_some() && places.any());
        assert!(reserve("d", 2).is_some() && !places.any());
        assert!(reserve("e", 3).is_none(), "all places are taken");
        places.give_back(first);
        places.give_back(second);
        assert!(places.any() && places.any_of(1));
        assert!(reserve("e", 3).is_none(), "the burst is used up");
    }
}
