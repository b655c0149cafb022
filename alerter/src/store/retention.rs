//! How long what was done is kept (behaviour, section 8): variables 30 days, rows 400; nothing of open incidents
//! is deleted.

use std::collections::BTreeMap;

use daemon::Timestamp;

use super::{Effect, Payload};

/// Variables of an effect are kept this long after its end.
const VARIABLES_MS: i64 = 30 * 86_400_000;
/// Rows are kept this long after their last change.
const ROWS_MS: i64 = 400 * 86_400_000;
/// Rows erased in one transaction.
pub(super) const AT_ONCE: i64 = 500;
/// States in which nothing follows, as SQL lists them.
pub(super) const FINAL: &str =
    "('delivered', 'obsolete', 'expired', 'dead', 'cancelled', 'dry-run', 'unreachable')";

/// What changed before this time has no variables any more.
pub(super) fn variables_before(now: Timestamp) -> i64 {
    now.as_millisecond() - VARIABLES_MS
}

/// What changed before this time is gone.
pub(super) fn rows_before(now: Timestamp) -> i64 {
    now.as_millisecond() - ROWS_MS
}

/// The effect without what it said and to whom: what is left says that something was done, when and how it ended.
pub(crate) fn spent(mut effect: Effect) -> Effect {
    match &mut effect.payload {
        Payload::Message(message) => {
            message.user.clear();
            message.connections.clear();
            message.message_id.clear();
            message.in_reply_to = None;
        }
        Payload::Refresh { user, connection, .. } => {
            user.clear();
            connection.clear();
        }
        Payload::Ticket { ticket, cases } => {
            ticket.subject.clear();
            ticket.body.clear();
            ticket.connections.clear();
            cases.clear();
        }
        Payload::Comment { text, user, .. } => {
            text.clear();
            user.clear();
        }
        Payload::Notice(notice) => {
            notice.summary.clear();
            notice.description.clear();
            notice.labels = BTreeMap::new();
        }
    }
    effect
}
