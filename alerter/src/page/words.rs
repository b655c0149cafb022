//! Names of the code in words for people.

use daemon::Timestamp;
use serde::Serialize;

use crate::{
    config::Actions,
    demand::Action,
    incidents::{Cause, Class, Incident, MessageState, Status, TicketState},
    store::{EffectState, Phase},
};

/// A time on the page: for machines, for reading, and how long ago.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Time {
    pub iso: String,
    pub text: String,
    pub ago: String,
}

impl Time {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let seconds = now.duration_since(at).as_secs();
        let ago = match seconds {
            0.. => format!("{} ago", length(seconds)),
            _ => format!("in {}", length(-seconds)),
        };
        Self { iso: at.to_string(), text: at.strftime("%-d %b %H:%M UTC").to_string(), ago }
    }
}

/// A length of time in its largest unit that is at least 2, or 1.
pub(super) fn length(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What is wrong, in a sentence without a name.
pub(super) fn scenario(scenario: &str) -> &str {
    match scenario {
        "invalid-credentials" => "The bank refuses the user's sign-in details",
        "account-locked" => "The bank has locked the user's access",
        "mfa-required" => "The bank waits for the user's confirmation",
        "user-action-required" => "The bank shows the user something to deal with",
        "reauthorisation-required" => "The consent must be renewed",
        "consent-ended" => "The consent has ended",
        "retry-queued" => "The bank does not serve; Basiq tries again every two hours",
        "retry-expired" => "The bank does not serve; Basiq has given up after seven days",
        "service-unavailable" => "The bank does not serve",
        "unsupported" => "The bank cannot be reached through Basiq",
        "stale" => "No data has come for two periods",
        "unknown" => "A failure that Basiq's documents do not know",
        other => other,
    }
}

/// Who has to do something now.
pub(super) fn next_step(incident: &Incident) -> &'static str {
    match (&incident.status, incident.class) {
        (Status::Ended { .. }, _) => "Nothing: it is over",
        (_, Class::Credentials | Class::Locked | Class::Mfa | Class::BankAction | Class::Consent) => {
            "The user"
        }
        (_, Class::Service) if incident.queued => "Basiq, which tries every two hours",
        (_, Class::Service) if incident.outage.since.is_some() => "The bank, which has an outage",
        (_, Class::Service) => "Automatic refreshes, then support",
        (_, Class::Unsupported | Class::Unknown | Class::Stale) => "Operators",
    }
}

/// The same for programs.
pub(super) fn waits_for(incident: &Incident) -> &'static str {
    match incident.class {
        Class::Credentials | Class::Locked | Class::Mfa | Class::BankAction | Class::Consent => "user",
        Class::Service if incident.queued => "basiq",
        Class::Service if incident.outage.since.is_some() => "bank",
        Class::Service => "automatic",
        Class::Unsupported | Class::Unknown | Class::Stale => "support",
    }
}

pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Connection => "this connection",
        Cause::Bank => "the bank",
        Cause::Platform => "Basiq",
    }
}

pub(super) fn end(reason: &str) -> &str {
    match reason {
        "recovered" => "recovered",
        "superseded" => "replaced by another connection that works",
        "deleted" => "the connection was deleted",
        "consent-ended" => "the consent has ended",
        "abandoned" => "no job for 30 days",
        other => other,
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "Message to the user",
        Phase::GaveUp => "Message: we could not",
        Phase::Closing => "Message: it works again",
        Phase::Refresh => "Refresh",
        Phase::Ticket => "Ticket",
        Phase::Comment => "Comment on the ticket",
        Phase::Notice => "Notice to operators",
    }
}

/// What happened, in a word or two.
pub(super) fn event(what: &str) -> &str {
    match what {
        "dry-run" => "in dry run",
        "wont-fix" => "won't fix",
        other => other,
    }
}

/// The tone of a line of a story.
pub(super) fn event_tone(what: &str) -> &'static str {
    match EffectState::parse(what) {
        Some(state) => tone(state),
        None => match what {
            "ended" | "recovered" | "released" | "told" => "good",
            "opened" | "reopened" | "failed" | "changed" => "bad",
            "held" | "deferred" | "withheld" | "muted" | "baseline" | "discarded" => "warn",
            _ => "plain",
        },
    }
}

/// A state and the tone it is shown in.
pub(super) fn tone(state: EffectState) -> &'static str {
    match state {
        EffectState::Delivered => "good",
        EffectState::Planned | EffectState::Attempting | EffectState::DryRun => "plain",
        EffectState::Deferred | EffectState::Held | EffectState::Unknown => "warn",
        EffectState::Dead | EffectState::Expired | EffectState::Unreachable => "bad",
        EffectState::Obsolete | EffectState::Cancelled => "quiet",
    }
}

/// What became of the messages to the user.
pub(super) fn message(state: &MessageState) -> (&'static str, &'static str) {
    match state {
        MessageState::Pending => ("plain", "message on its way"),
        MessageState::Told { .. } => ("good", "user told"),
        MessageState::Closed { .. } => ("good", "told, and told of the end"),
        MessageState::DryRun => ("plain", "message in dry run"),
        MessageState::Failed { .. } => ("bad", "message failed"),
    }
}

pub(super) fn ticket(state: TicketState) -> (&'static str, &'static str) {
    match state {
        TicketState::Pending => ("plain", "ticket on its way"),
        TicketState::Filed => ("good", "ticket filed"),
        TicketState::WontFix => ("quiet", "ticket closed: won't fix"),
        TicketState::DryRun => ("plain", "ticket in dry run"),
        TicketState::Failed => ("bad", "ticket failed"),
    }
}

/// Every action with its switch.
pub(super) fn actions(actions: &Actions) -> Vec<(&'static str, &'static str)> {
    [Action::NotifyUser, Action::RefreshConnection, Action::FileTicket]
        .into_iter()
        .map(|action| (action.as_str(), actions.mode(action).as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_people_say_them() {
        for (seconds, expected) in
            [(0, "0 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (604_800, "7 days")]
        {
            assert_eq!(length(seconds), expected);
        }
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(Time::new(now - jiff::SignedDuration::from_mins(10), now).ago, "10 min ago");
        assert_eq!(Time::new(now + jiff::SignedDuration::from_mins(10), now).ago, "in 10 min");
        assert_eq!(Time::new(now, now).text, "22 Nov 12:00 UTC");
    }
}
