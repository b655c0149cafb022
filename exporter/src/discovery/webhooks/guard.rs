//! What keeps old and repeated webhooks out: headers, the window of time, and the ids that were seen.

use std::collections::{HashMap, VecDeque};

use axum::http::HeaderMap;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use crate::ledger::{LONGEST, Ms, span};

/// How far a webhook's time may be off (Standard Webhooks; Basiq's guide).
const WINDOW: Ms = 5 * span::MINUTE;
/// Ids that are remembered at most; some megabytes.
const REMEMBERED: usize = 65_536;
/// The longest header with signatures: several of 47 characters.
const SIGNATURES: usize = 4096;

/// Why a webhook is refused before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its headers are missing or are none of Standard Webhooks.
    Headers,
    /// Its time is more than five minutes off.
    Time,
    /// The very same message was taken in before.
    Replay,
    /// It is being taken in at this moment, or there is no room to remember it.
    Busy,
}

/// The headers of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// The message's id; the same in each attempt to deliver it.
    pub(super) id: String,
    /// When this attempt was signed, in seconds.
    pub(super) timestamp: i64,
    /// One or more signatures.
    pub(super) signatures: String,
}

/// Reads the headers, and refuses what is not of now.
pub(super) fn headers(headers: &HeaderMap, now: Ms) -> Result<Signed, Refusal> {
    let one = |name: &str| headers.get(name)?.to_str().ok();
    let id = one(HEADER_WEBHOOK_ID).filter(|id| !id.is_empty() && id.len() <= LONGEST);
    let timestamp = one(HEADER_WEBHOOK_TIMESTAMP).and_then(|text| text.parse::<i64>().ok());
    let signatures = one(HEADER_WEBHOOK_SIGNATURE).filter(|text| text.len() <= SIGNATURES);
    let (Some(id), Some(timestamp), Some(signatures)) = (id, timestamp, signatures) else {
        return Err(Refusal::Headers);
    };
    let at = timestamp.checked_mul(1000).ok_or(Refusal::Headers)?;
    if at.abs_diff(now) > WINDOW.unsigned_abs() {
        return Err(Refusal::Time);
    }
    Ok(Signed { id: id.to_owned(), timestamp, signatures: signatures.to_owned() })
}

/// What is known of a message that may be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    No,
    /// It was taken in, and is sent again since the answer was lost.
    Taken,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    timestamp: i64,
    taken: bool,
}

/// Ids of messages whose time is still within the window.
#[derive(Debug, Default)]
pub(super) struct Guard {
    seen: HashMap<String, Seen>,
    /// When each is too old to come again, oldest first.
    order: VecDeque<(Ms, String)>,
}

impl Guard {
    /// A message whose signature was verified. `leave` must follow if it may be taken in.
    pub(super) fn enter(&mut self, signed: &Signed, now: Ms) -> Result<Known, Refusal> {
        while self.order.front().is_some_and(|(until, _)| *until < now) {
            if let Some((_, id)) = self.order.pop_front() {
                self.seen.remove(&id);
            }
        }
        match self.seen.get(&signed.id) {
            Some(Seen { taken: false, .. }) => return Err(Refusal::Busy),
            // Only who knows the secret can sign the same id for another time: it is Basiq's next attempt.
            Some(seen) if seen.timestamp != signed.timestamp => return Ok(Known::Taken),
            Some(_) => return Err(Refusal::Replay),
            None if self.order.len() >= REMEMBERED => return Err(Refusal::Busy),
            None => {}
        }
        self.seen.insert(signed.id.clone(), Seen { timestamp: signed.timestamp, taken: false });
        // Signed up to one window ahead, it stays acceptable for a second one.
        self.order.push_back((now + 2 * WINDOW, signed.id.clone()));
        Ok(Known::No)
    }

    /// It was taken in, or may be sent again.
    pub(super) fn leave(&mut self, id: &str, taken: bool) {
        if taken {
            if let Some(seen) = self.seen.get_mut(id) {
                seen.taken = true;
            }
        } else {
            self.seen.remove(id);
            self.order.retain(|(_, known)| known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Ms = 1_795_348_800_000;

    fn signed(id: &str, timestamp: i64) -> Signed {
        Signed { id: id.to_owned(), timestamp, signatures: String::new() }
    }

    #[test]
    fn five_minutes_either_way() {
        let at = |offset: i64| {
            let mut map = HeaderMap::new();
            map.insert(HEADER_WEBHOOK_ID, "m".parse().unwrap());
            map.insert(HEADER_WEBHOOK_TIMESTAMP, (NOON / 1000 + offset).to_string().parse().unwrap());
            map.insert(HEADER_WEBHOOK_SIGNATURE, "v1,x".parse().unwrap());
            headers(&map, NOON).map(|signed| signed.timestamp)
        };
        assert!(at(-300).is_ok() && at(300).is_ok());
        assert_eq!((at(-301), at(301)), (Err(Refusal::Time), Err(Refusal::Time)));
        assert_eq!(headers(&HeaderMap::new(), NOON), Err(Refusal::Headers));
    }

    #[test]
    fn a_replay_is_refused_a_repetition_is_known_and_a_failure_may_come_again() {
        let mut guard = Guard::default();
        let first = signed("m", 100);
        assert_eq!(guard.enter(&first, NOON), Ok(Known::No));
        assert_eq!(guard.enter(&first, NOON), Err(Refusal::Busy), "while it is taken in");
        guard.leave("m", false);
        assert_eq!(guard.enter(&first, NOON), Ok(Known::No));
        guard.leave("m", true);
        assert_eq!(guard.enter(&first, NOON + 1), Err(Refusal::Replay));
        assert_eq!(guard.enter(&signed("m", 105), NOON + 1), Ok(Known::Taken));
        assert_eq!(
            guard.enter(&first, NOON + 2 * WINDOW),
            Err(Refusal::Replay),
            "as long as its time is accepted"
        );
        assert_eq!(guard.enter(&first, NOON + 2 * WINDOW + 1), Ok(Known::No), "and memory is bounded");
    }

    #[test]
    fn what_there_is_no_room_to_remember_comes_again_later() {
        let mut guard = Guard::default();
        for n in 0..REMEMBERED {
            assert_eq!(guard.enter(&signed(&n.to_string(), 0), NOON), Ok(Known::No));
        }
        assert_eq!(guard.enter(&signed("more", 0), NOON), Err(Refusal::Busy));
        assert_eq!(guard.enter(&signed("more", 0), NOON + 2 * WINDOW + 1), Ok(Known::No));
        assert_eq!(guard.seen.len(), 1);
    }
}
