//! Who is watched: what sources and hints say, who leaves, and who is forgotten.

use super::Core;
use crate::{
    api::Hint,
    discovery::{Found, Item, News, What},
    ledger::{Id, IdSet, Ms, Standing, User, span},
    poll::Need,
};

/// The source under which hinted users are kept.
const HINTS: &str = "hints";
/// An event this much older than a user's last look was seen by that look.
const SEEN: Ms = span::MINUTE;

impl Core {
    /// The bit of a source.
    fn source(&mut self, name: &str) -> u8 {
        u8::try_from(self.ledger.sources.intern(name).place()).unwrap_or(0)
    }

    pub(super) fn have_all_spoken(&self) -> bool {
        self.spoke.values().all(|at| *at != 0)
    }

    /// Users that only sources name which are no longer configured are dropped, once all that are configured have
    /// spoken: a source whose settings changed names most of the same users under its new name.
    pub(super) fn drop_old_sources(&mut self, now: Ms) {
        let kept = |name: &&str| *name == HINTS || self.spoke.contains_key(*name);
        let stored = self.ledger.sources.iter().skip(2).filter(|name| !kept(name));
        let old: Vec<String> = stored.map(str::to_owned).collect();
        for name in old {
            let source = self.source(&name);
            self.ledger.set_source(source, &IdSet::default(), now);
            self.settle_places(now);
        }
    }

    /// Schedules who is new, and frees the places of who is gone.
    fn settle_places(&mut self, now: Ms) {
        for place in self.ledger.take_removed() {
            self.vacate(place);
        }
        for place in self.ledger.take_added() {
            self.schedule.set(place, Need::New, now);
        }
    }

    pub(super) fn found(&mut self, name: &str, found: Found, now: Ms) {
        let source = self.source(name);
        match found {
            Found::All(ids) => self.found_all(name, source, &ids, now),
            Found::Same => {}
            Found::News(news) => self.news(name, source, news, now),
        }
        let first = self.spoke.insert(name.to_owned(), now.max(1)) == Some(0);
        if first && self.have_all_spoken() {
            self.drop_old_sources(now);
        }
        // One source that is silent is not hidden by the others.
        if let Some(oldest) = self.spoke.values().min().filter(|at| **at != 0) {
            self.metrics.own.succeeded("discovery", *oldest);
        }
    }

    fn found_all(&mut self, name: &str, source: u8, ids: &IdSet, now: Ms) {
        let added = ids.iter().filter(|id| self.ledger.discover(source, id, now)).count();
        let missing = self.ledger.named_by(source).filter(|id| !ids.contains(id)).cloned();
        let leaving = self.leaving.set(source, missing, now);
        tracing::info!(source = name, users = ids.len(), added, leaving, "users found");
        self.settle_places(now);
    }

    /// Drops whom no source has named for a while.
    pub(super) fn drop_leaving(&mut self, now: Ms) {
        let due = self.leaving.take_due(now);
        if due.is_empty() {
            return;
        }
        let before = self.ledger.len();
        for (source, id) in &due {
            self.ledger.unname(*source, id, now);
        }
        tracing::info!(dropped = before - self.ledger.len(), "users left that no source names any more");
        self.settle_places(now);
    }

    fn news(&mut self, name: &str, source: u8, news: News, now: Ms) {
        let told = news.items.len();
        for item in news.items {
            self.item(source, &item, now);
        }
        if let Some(mark) = news.mark
            && self.notes.marks.insert(name.to_owned(), mark) != Some(mark)
        {
            self.notes_changed = true;
        }
        if told > 0 {
            tracing::info!(source = name, events = told, "events taken in");
        }
    }

    fn item(&mut self, source: u8, item: &Item, now: Ms) {
        if item.what == What::Deleted {
            tracing::info!("Basiq has deleted a user");
            self.gone(&item.user, now);
            return;
        }
        self.ledger.discover(source, &item.user, now);
        self.settle_places(now);
        let Some(place) = self.ledger.place(&item.user) else { return };
        let mut look = match self.ledger.user(place) {
            Some(user) if user.jobs_listed == 0 => false,
            Some(user) => item.at + SEEN > user.jobs_listed,
            None => false,
        };
        match &item.what {
            What::Worked => look &= self.waits_for_a_job(place),
            What::Connection(connection, event) => {
                self.ledger.observe_event(&item.user, connection.as_ref(), *event, item.at, now);
                let unlisted = |user: &User| user.jobs_listed != 0 && user.connections_listed == 0;
                look |= self.ledger.user(place).is_some_and(unlisted);
            }
            What::Changed | What::Deleted => {}
        }
        if look {
            self.schedule.hasten(place, Need::Hint, now);
        }
        self.move_alarmed(now);
    }

    /// Whether a job's end would be news of this user: one runs or is queued, or a connection fails.
    fn waits_for_a_job(&self, place: u32) -> bool {
        let Some(user) = self.ledger.user(place) else { return false };
        let failing = |connection| matches!(self.ledger.standing(user, connection), Standing::Failing(_));
        user.jobs.iter().any(|job| job.is_running() || job.is_queued())
            || user.connections.iter().any(failing)
    }

    pub(super) fn hint(&mut self, hint: &Hint, now: Ms) {
        let source = self.source(HINTS);
        if self.ledger.discover(source, &hint.user, now) {
            tracing::info!("a hint named a user that was not watched");
            self.ledger.take_added();
        }
        let (connection, job) = (hint.connection.as_ref(), hint.job.as_ref());
        self.ledger.observe_hint(&hint.user, connection, job, hint.kind, now);
        if let Some(place) = self.ledger.place(&hint.user) {
            self.schedule.hasten(place, Need::Hint, now);
        }
    }

    /// Basiq has deleted the user: it leaves all numbers for good.
    pub(super) fn gone(&mut self, user: &Id, now: Ms) {
        self.ledger.user_gone(user, now);
        self.ledger.bury(user);
        self.settle_places(now);
    }

    /// The partner wants nothing to be known of the user.
    pub(super) fn forget(&mut self, user: &Id, now: Ms) {
        tracing::info!("a user is forgotten");
        self.ledger.forget(user, now);
        self.settle_places(now);
    }

    /// A place in the ledger is free and may be another's next.
    fn vacate(&mut self, place: u32) {
        self.schedule.remove(place);
        self.failed.remove(&place);
        self.missing.remove(&place);
        self.unreadable.retain(|(at, _), _| *at != place);
        if let Some(cold) = &mut self.cold {
            cold.remove(&place);
        }
    }
}
