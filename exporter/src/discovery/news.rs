//! Basiq's events as news: which of its types matter here, and reading all of them since a time.

use std::collections::{BTreeMap, BTreeSet};

use basiq::{Client, Error, Event, EventFilter, Priority};

use super::{Item, What};
use crate::ledger::{EventSeen, Id, Ms, span};

/// Entities and types that are read from Basiq's list. `connection.updated` is not: it is no evidence, and there is
/// one for each refresh of each connection.
const LISTED: [(&str, &str); 10] = [
    ("user", "created"),
    ("user", "deleted"),
    ("connection", "created"),
    ("connection", "deleted"),
    ("connection", "invalidated"),
    ("connection", "activated"),
    ("consent", "created"),
    ("consent", "updated"),
    ("consent", "revoked"),
    ("consent", "expired"),
];

/// How far before the mark events are read again: Basiq may list one later than it happened.
const OVERLAP: Ms = 10 * span::MINUTE;

/// What an event means here; `None` if nothing.
pub(super) fn item(event: &Event, received: Ms) -> Option<Item> {
    let connection = event.connection_id.as_deref().and_then(Id::parse);
    let what = match (event.entity.as_str(), event.event_type.as_str()) {
        ("user", "deleted") => What::Deleted,
        ("connection", kind) => match (kind, connection) {
            ("created", Some(id)) => What::Connection(Some(id), EventSeen::Created),
            ("deleted", Some(id)) => What::Connection(Some(id), EventSeen::Deleted),
            ("invalidated", Some(id)) => What::Connection(Some(id), EventSeen::Invalidated),
            ("activated", Some(id)) => What::Connection(Some(id), EventSeen::Activated),
            ("updated", _) => What::Worked,
            _ => What::Changed,
        },
        ("consent", "revoked" | "expired") => What::Connection(None, EventSeen::ConsentEnded),
        ("user" | "consent", _) => What::Changed,
        _ => return None,
    };
    let at = event.created.map_or(received, |at| at.as_millisecond());
    Some(Item { user: Id::parse(&event.user_id)?, at, what })
}

/// Reads Basiq's list of events again and again, telling each event once.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    mark: Option<Ms>,
    /// Ids of events near the mark that have been told.
    told: BTreeMap<String, Ms>,
}

impl Sweep {
    /// Goes on after `mark`; from the beginning of Basiq's list (7 days) without one.
    pub(super) fn from(mark: Option<Ms>) -> Self {
        Self { mark, told: BTreeMap::new() }
    }

    /// What has happened since the last sweep, oldest first, and the new mark.
    pub(super) async fn read(&mut self, client: &Client, now: Ms) -> Result<(Vec<Item>, Ms), Error> {
        let mut listed = Vec::new();
        for (entity, event_type) in LISTED {
            let filter = EventFilter {
                entity: Some(entity.to_owned()),
                event_type: Some(event_type.to_owned()),
                ..EventFilter::default()
            };
            listed.extend(client.events(&filter, Priority::Background).await?);
        }
        Ok(self.take(&listed, now))
    }

    fn take(&mut self, listed: &[Event], now: Ms) -> (Vec<Item>, Ms) {
        let since = self.mark.map_or(Ms::MIN, |mark| mark - OVERLAP);
        let mut items = Vec::new();
        let mut seen = BTreeSet::new();
        for event in listed {
            let at = event.created.map_or(now, |at| at.as_millisecond());
            if at < since || self.told.contains_key(&event.id) || !seen.insert(&event.id) {
                continue;
            }
            items.extend(item(event, now));
            self.told.insert(event.id.clone(), at);
        }
        // Basiq's clock may be ahead; an event that it dates in the future must not hide others.
        let newest = items.iter().map(|item| item.at).max().unwrap_or(Ms::MIN).min(now);
        let mark = self.mark.unwrap_or(newest).max(newest);
        let mark = if mark == Ms::MIN { now } else { mark };
        self.mark = Some(mark);
        self.told.retain(|_, at| *at >= mark - OVERLAP);
        // A user's deletion is the last word.
        items.sort_by_key(|item| (item.at, item.what == What::Deleted));
        (items, mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, entity: &str, event_type: &str, at: Ms) -> Event {
        Event {
            id: id.to_owned(),
            created: daemon::Timestamp::from_millisecond(at).ok(),
            entity: entity.to_owned(),
            event_type: event_type.to_owned(),
            user_id: "u".to_owned(),
            connection_id: (entity == "connection").then(|| "c".to_owned()),
            ..Event::default()
        }
    }

    #[test]
    fn each_event_is_told_once_and_those_that_come_late_too() {
        let noon = 40 * span::DAY;
        let mut sweep = Sweep::from(None);
        let mut listed = vec![
            event("2", "connection", "invalidated", noon),
            event("1", "user", "created", noon - span::DAY),
        ];
        let (items, mark) = sweep.take(&listed, noon + 5);
        assert_eq!(items.iter().map(|item| item.at).collect::<Vec<_>>(), [noon - span::DAY, noon]);
        assert_eq!(mark, noon);
        assert_eq!(sweep.take(&listed, noon + 6), (Vec::new(), noon));
        listed.push(event("3", "connection", "deleted", noon - span::MINUTE));
        listed.push(event("4", "consent", "revoked", noon + 8));
        let (items, mark) = sweep.take(&listed, noon + 9);
        assert_eq!((items.len(), mark), (2, noon + 8), "one was listed later than it happened");
        // After a restart nothing older than the overlap is told again.
        let (items, _) = Sweep::from(Some(noon + 20 * span::MINUTE)).take(&listed, noon + 20 * span::MINUTE);
        assert!(items.is_empty(), "{items:?}");
    }

    #[test]
    fn a_date_in_the_future_hides_nothing() {
        let noon = 40 * span::DAY;
        let mut sweep = Sweep::from(Some(noon));
        assert_eq!(sweep.take(&[event("1", "user", "created", noon + span::DAY)], noon + 1).1, noon + 1);
        assert_eq!(sweep.take(&[event("2", "user", "created", noon + 2)], noon + 3).0.len(), 1);
    }

    #[test]
    fn events_mean_what_behaviour_says() {
        let of = |entity: &str, kind: &str| item(&event("1", entity, kind, 5), 9).map(|item| item.what);
        let c = Id::parse("c");
        assert_eq!(of("connection", "invalidated"), Some(What::Connection(c, EventSeen::Invalidated)));
        assert_eq!(of("connection", "updated"), Some(What::Worked), "alone it is no evidence");
        assert_eq!(of("consent", "revoked"), Some(What::Connection(None, EventSeen::ConsentEnded)));
        assert_eq!(of("consent", "warning"), Some(What::Changed));
        assert_eq!(of("user", "deleted"), Some(What::Deleted));
        assert_eq!(of("transactions", "updated"), None);
    }
}
