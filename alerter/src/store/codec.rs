//! Rows as every store keeps them.

use daemon::Timestamp;
use rand::RngExt;

use super::{Effect, EffectState, StoreError};
use crate::{incidents::Incident, plan::Command};

/// Ended incidents are given to the planner for so long: they may be continued or owe a message.
pub(super) const LOOK_BACK_MS: i64 = 4 * 86_400_000;
/// How many persons were suppressed in so long bounds how many may be.
pub(super) const HOUR_MS: i64 = 3_600_000;

pub(super) fn decode_incident(body: &str) -> Result<Incident, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Unreadable { table: "incidents", why: error.to_string() })
}

pub(super) fn decode_effect(body: &str, state: &str) -> Result<Effect, StoreError> {
    let unreadable = |why| StoreError::Unreadable { table: "effects", why };
    let mut effect: Effect = serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))?;
    effect.state = EffectState::parse(state).ok_or_else(|| unreadable(format!("state {state:?}")))?;
    Ok(effect)
}

pub(super) fn decode_command(body: &str) -> Result<Command, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Unreadable { table: "commands", why: error.to_string() })
}

/// What becomes of an effect whose process died while it attempted it.
pub(super) fn after_death(mut effect: Effect, now: Timestamp) -> Effect {
    effect.state = EffectState::Unknown;
    effect.reason = "the alerter ended while it was attempted".to_owned();
    effect.changed = now;
    effect.unknowns += 1;
    effect
}

/// These types hold strings, numbers and lists only, which JSON always has a form for.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Timestamps are kept as milliseconds since 1970, as clocks here count.
pub(super) fn to_time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

/// The rows of a page: at most 1,000, and 100 where nothing is said.
pub(super) fn page(limit: u32, offset: u32) -> (i64, i64) {
    let limit = if limit == 0 { 100 } else { limit.min(1000) };
    (i64::from(limit), i64::from(offset))
}

/// 256 random bits in hexadecimal.
pub(super) fn new_salt() -> String {
    let mut random = rand::rng();
    (0..32).map(|_| format!("{:02x}", random.random::<u8>())).collect()
}
