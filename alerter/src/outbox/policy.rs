//! What follows from the answer of a channel: the next state of the effect (pure).

use std::time::Duration;

use daemon::Timestamp;

use crate::{
    channels::{DeliveryError, Receipt},
    plan::after,
    store::{Effect, EffectState, Phase},
};

/// First wait after a refused attempt; doubled with each, up to half an hour.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
/// A mail whose outcome stayed unknown is tried once more after this.
const UNKNOWN_MESSAGE: Duration = Duration::from_secs(900);
/// A desk's search may lag behind what it took.
const UNKNOWN_TICKET: Duration = Duration::from_secs(300);
/// A refresh is looked after by reading the jobs.
const UNKNOWN_REFRESH: Duration = Duration::from_secs(60);

/// What a channel said, or why nothing was asked of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It answered.
    Answer(Result<Receipt, DeliveryError>),
    /// All but the last write was done.
    DryRun,
}

/// The effect after an attempt. `jitter` is a point of `0..1`; `searchable` says whether the desk can be
/// searched after an unknown outcome.
pub(super) fn settle(
    mut effect: Effect,
    told: Told,
    now: Timestamp,
    jitter: f64,
    searchable: bool,
) -> Effect {
    effect.changed = now;
    match told {
        Told::DryRun => end(effect, EffectState::DryRun, "everything but the last write was done".to_owned()),
        Told::Answer(Ok(receipt)) => {
            effect.attempts += 1;
            effect.remote = Some(receipt.remote);
            end(effect, EffectState::Delivered, receipt.detail)
        }
        Told::Answer(Err(error)) => refused(effect, error, now, jitter, searchable),
    }
}

fn refused(
    mut effect: Effect,
    error: DeliveryError,
    now: Timestamp,
    jitter: f64,
    searchable: bool,
) -> Effect {
    let reason = error.to_string();
    match error {
        DeliveryError::Retry { after: asked, .. } => {
            effect.attempts += 1;
            let wait = asked.unwrap_or_else(|| backoff(effect.attempts, jitter));
            // Its end is not later for being asked to wait beyond it.
            let again = after(now, wait).min(effect.expires);
            defer(effect, again, reason)
        }
        // The circuit says when; no attempt is spent.
        DeliveryError::Channel { .. } => defer(effect, now, reason),
        DeliveryError::Recipient { .. } | DeliveryError::Unreachable { .. } => {
            end(effect, EffectState::Unreachable, reason)
        }
        DeliveryError::Permanent { .. } => {
            effect.attempts += 1;
            end(effect, EffectState::Dead, reason)
        }
        DeliveryError::Unknown { .. } => {
            effect.attempts += 1;
            effect.unknowns += 1;
            after_unknown(effect, reason, now, searchable)
        }
    }
}

/// The effect after an attempt of which nobody knows how it ended: a mail is tried once more, then final;
/// a ticket is searched for, or held for a person where the desk cannot be searched; the jobs tell how
/// a refresh went.
pub fn after_unknown(mut effect: Effect, reason: String, now: Timestamp, searchable: bool) -> Effect {
    effect.changed = now;
    effect.state = EffectState::Unknown;
    let wait = match effect.phase {
        Phase::Opening | Phase::GaveUp | Phase::Closing if effect.unknowns > 1 => {
            let reason = format!("{reason}; nobody knows whether it was taken, twice");
            return end(effect, EffectState::Dead, reason);
        }
        Phase::Ticket | Phase::Comment if !searchable => {
            let reason = format!("{reason}; the desk cannot be searched, so a person must look");
            return end(effect, EffectState::Held, reason);
        }
        Phase::Opening | Phase::GaveUp | Phase::Closing => UNKNOWN_MESSAGE,
        Phase::Ticket | Phase::Comment => UNKNOWN_TICKET,
        Phase::Refresh | Phase::Notice => UNKNOWN_REFRESH,
    };
    effect.next_attempt = after(now, wait);
    effect.reason = reason;
    effect
}

/// The effect put off until `at`.
pub(super) fn defer(mut effect: Effect, at: Timestamp, reason: String) -> Effect {
    // One whose outcome is unknown stays so: its next attempt differs.
    if effect.state != EffectState::Unknown {
        effect.state = EffectState::Deferred;
    }
    effect.next_attempt = at;
    effect.reason = reason;
    effect
}

/// The effect in a state in which it stays.
pub(super) fn end(mut effect: Effect, state: EffectState, reason: String) -> Effect {
    effect.state = state;
    effect.reason = reason;
    effect
}

/// Exponential, with equal jitter: half of it fixed, half drawn.
fn backoff(attempts: u32, jitter: f64) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.clamp(1, 10).saturating_sub(1)).min(LONGEST_WAIT);
    wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{super::queue::tests::message, *};

    #[test]
    fn a_wait_that_is_asked_for_ends_with_the_effect() {
        let now = Timestamp::from_second(100).unwrap();
        let refused = |asked| {
            let mut effect = message("k", "u");
            effect.expires = after(now, Duration::from_secs(4 * 3600));
            let told = Told::Answer(Err(DeliveryError::Retry { after: asked, why: "busy".into() }));
            settle(effect, told, now, 0.0, true)
        };
        let day = refused(Some(Duration::from_secs(86_400)));
        assert_eq!((day.state, day.next_attempt), (EffectState::Deferred, day.expires));
        assert_eq!(refused(Some(Duration::from_secs(7))).next_attempt, after(now, Duration::from_secs(7)));
        assert_eq!(refused(None).next_attempt, after(now, FIRST_WAIT / 2), "equal jitter: at least half");
    }
}
