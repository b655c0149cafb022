//! Who is watched: users come by discovery and go when nobody names them any more or Basiq has deleted them.

use super::{Departed, End, Id, IdSet, Ledger, Ms, Owner, User, standing::counted_from};

impl Ledger {
    /// Source `source` (below 32) names this user. Whether it is new; one that was forgotten stays so.
    pub fn discover(&mut self, source: u8, id: &Id, now: Ms) -> bool {
        let bit = 1 << (source & 31);
        if let Some(place) = self.place(id) {
            if let Some(Some(user)) = self.users.get_mut(place as usize)
                && user.sources & bit == 0
            {
                user.sources |= bit;
                self.unstored.insert(place);
            }
            return false;
        }
        if self.forgotten.contains(id) {
            return false;
        }
        let user = User {
            id: id.clone(),
            discovered: now,
            // What finished up to here is not counted; the first moment that counts is just after.
            watermark: counted_from(now, self.born) - 1,
            jobs_listed: 0,
            connections_listed: 0,
            sources: bit,
            settled: now,
            timer: Ms::MAX,
            connections: Vec::new(),
            jobs: Vec::new(),
        };
        let place = match self.free.pop_first() {
            Some(place) => place,
            None => {
                self.users.push(None);
                (self.users.len() - 1) as u32
            }
        };
        self.users[place as usize] = Some(user);
        self.index.insert(place, &self.users);
        self.unstored.insert(place);
        self.added.push(place);
        true
    }

    /// Source `source` now names exactly these users. Those that no source names any more are dropped from all
    /// numbers, which says nothing about how they stand. Returns how many came and went.
    pub fn set_source(&mut self, source: u8, ids: &IdSet, now: Ms) -> (usize, usize) {
        let bit = 1 << (source & 31);
        let mut dropped = Vec::new();
        for place in 0..self.users.len() {
            if let Some(user) = &mut self.users[place]
                && user.sources & bit != 0
                && !ids.contains(&user.id)
            {
                user.sources &= !bit;
                self.unstored.insert(place as u32);
                if user.sources == 0 {
                    dropped.push(place as u32);
                }
            }
        }
        for place in &dropped {
            self.remove(*place, None, now);
        }
        let added = ids.iter().filter(|id| self.discover(source, id, now)).count();
        (added, dropped.len())
    }

    /// Whom a source names.
    pub fn named_by(&self, source: u8) -> impl Iterator<Item = &Id> {
        let bit = 1 << (source & 31);
        self.users.iter().flatten().filter(move |user| user.sources & bit != 0).map(|user| &user.id)
    }

    /// A source no longer names this user, who is dropped from all numbers if no other does.
    pub fn unname(&mut self, source: u8, id: &Id, now: Ms) {
        let Some(place) = self.place(id) else { return };
        let Some(Some(user)) = self.users.get_mut(place as usize) else { return };
        user.sources &= !(1 << (source & 31));
        self.unstored.insert(place);
        if user.sources == 0 {
            self.remove(place, None, now);
        }
    }

    /// This user must not come back, whoever names it.
    pub fn bury(&mut self, id: &Id) {
        self.forgotten.add(id);
    }

    /// Erases what is known of this user, the ends of its connections included, and keeps it from coming back.
    /// Counters keep their counts.
    pub fn forget(&mut self, id: &Id, now: Ms) {
        if let Some(place) = self.place(id) {
            self.remove(place, None, now);
        }
        let of_user = |(number, departed): (&u32, &Departed)| (departed.user == *id).then_some(*number);
        let ended: Vec<u32> = self.departed.iter().filter_map(of_user).collect();
        for number in ended {
            self.departed.remove(&number);
            self.rows.set(Owner::Departed(number), Vec::new());
            self.unstored_rest = true;
        }
        self.bury(id);
    }

    /// Basiq has deleted this user: it leaves all numbers, and its failing connections end as `deleted`.
    pub fn user_gone(&mut self, id: &Id, now: Ms) {
        if let Some(place) = self.place(id) {
            self.remove(place, Some(End::Deleted), now);
        }
    }

    fn remove(&mut self, place: u32, end: Option<End>, now: Ms) {
        let Some(mut user) = self.users.get_mut(place as usize).and_then(Option::take) else { return };
        self.withdraw(&user);
        self.rows.set(Owner::User(place), Vec::new());
        if let Some(end) = end {
            for connection in std::mem::take(&mut user.connections) {
                self.depart(&user, &connection, end, now);
            }
        }
        self.index.remove(&user.id, place);
        self.free.insert(place);
        self.unstored.insert(place);
        self.removed.push(place);
    }

    /// Notes the end of a connection that is gone, if it was failing, and what it had in the retry queue.
    pub(super) fn depart(&mut self, user: &User, connection: &super::Connection, end: End, now: Ms) {
        for job in user.jobs.iter().filter(|job| job.connection.as_ref() == Some(&connection.id)) {
            if job.is_queued() {
                self.counters.count(super::Counter::Left(connection.institution, super::Left::Deleted), now);
            }
        }
        if !connection.trouble.as_ref().is_some_and(|trouble| trouble.failing) {
            return;
        }
        let departed = Departed {
            user: user.id.clone(),
            connection: connection.id.clone(),
            institution: connection.institution,
            method: connection.method,
            end,
            at: now,
        };
        self.add_departed(departed);
    }

    pub(super) fn add_departed(&mut self, departed: Departed) {
        let number = self.next_departed;
        self.next_departed = self.next_departed.wrapping_add(1);
        let row = super::Row {
            rank: super::Rank::Ended,
            order: -departed.at,
            owner: Owner::Departed(number),
            place: 0,
        };
        self.departed.insert(number, departed);
        self.rows.set(Owner::Departed(number), vec![row]);
        self.unstored_rest = true;
    }

    /// Forgets what has been shown for long enough.
    pub(super) fn drop_departed(&mut self, now: Ms) {
        if now < self.departed_checked + super::span::MINUTE {
            return;
        }
        self.departed_checked = now;
        let over = |departed: &Departed| departed.at + super::standing::END_SHOWN <= now;
        let old: Vec<u32> =
            self.departed.iter().filter(|(_, departed)| over(departed)).map(|(number, _)| *number).collect();
        for number in old {
            self.departed.remove(&number);
            self.rows.set(Owner::Departed(number), Vec::new());
            self.unstored_rest = true;
        }
    }
}
