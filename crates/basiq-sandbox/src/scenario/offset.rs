//! Times of a scenario: relative to its start, or absolute.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time as scenarios write it: `10m` after the start, `-6d23h` before it, or an RFC 3339 date.
/// Units are `w`, `d`, `h`, `m`, `s` and `ms`, largest first, as in Prometheus' durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Since the start of the sandbox; negative for what happened before.
    Offset(SignedDuration),
    /// A date.
    Date(Timestamp),
}

impl At {
    /// The start itself.
    pub const START: Self = Self::Offset(SignedDuration::ZERO);

    /// So many seconds after the start (before it, if negative).
    pub const fn seconds(seconds: i64) -> Self {
        Self::Offset(SignedDuration::from_secs(seconds))
    }

    /// So many minutes after the start (before it, if negative).
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// So many hours after the start (before it, if negative).
    pub const fn hours(hours: i64) -> Self {
        Self::seconds(hours * 3600)
    }

    /// The date it means in a sandbox that started at `epoch`.
    pub fn resolve(self, epoch: Timestamp) -> Timestamp {
        match self {
            Self::Offset(offset) => epoch.checked_add(offset).unwrap_or(if offset.is_negative() {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            }),
            Self::Date(date) => date,
        }
    }
}

/// Why a time or duration of a scenario cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a time: write a duration such as 90s, 10m or -6d23h (counted from the start), or an RFC 3339 date"
)]
pub struct BadTime(String);

/// Reads `1d2h`, `-90s`, `0` as a duration.
///
/// # Errors
/// A unit is missing, unknown or out of order, or the number does not fit.
pub fn parse_offset(text: &str) -> Result<SignedDuration, BadTime> {
    let bad = || BadTime(text.to_owned());
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let (mut total, mut smallest) = (0_i64, i64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: i64 = rest[..digits].parse().map_err(|_| bad())?;
        let letters =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| digits + length);
        let unit = match &rest[digits..letters] {
            "w" => 604_800_000,
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return Err(bad()),
        };
        if unit >= smallest {
            return Err(bad());
        }
        smallest = unit;
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = &rest[letters..];
    }
    if smallest == i64::MAX { Err(bad()) } else { Ok(SignedDuration::from_millis(sign * total)) }
}

impl FromStr for At {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        match text.parse::<Timestamp>() {
            Ok(date) => Ok(Self::Date(date)),
            Err(_) => parse_offset(text).map(Self::Offset),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::Offset(offset) => write_offset(*offset, f),
        }
    }
}

fn write_offset(offset: SignedDuration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let millis = offset.as_millis();
    if millis == 0 {
        return f.write_str("0");
    }
    if millis < 0 {
        f.write_str("-")?;
    }
    let mut left = millis.unsigned_abs();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= size {
            write!(f, "{}{unit}", left / size)?;
            left %= size;
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A length of time as scenarios write it: `24h`, `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub SignedDuration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// So many hours.
    pub const fn hours(hours: i64) -> Self {
        Self::seconds(hours * 3600)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_offset(&String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&At::Offset(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds) in
            [("0", 0), ("10m", 600), ("-6d23h", -601_200), ("1h30m", 5_400), ("1w", 604_800)]
        {
            assert_eq!(text.parse::<At>().unwrap(), At::seconds(seconds), "{text}");
        }
        assert_eq!(At::seconds(-601_200).to_string(), "-6d23h");
        assert_eq!("2026-01-01T00:00:00Z".parse::<At>().unwrap().to_string(), "2026-01-01T00:00:00Z");
        for bad in ["", "-", "10", "5x", "1m2h", "1h1h", "99999999999999999999s", "h"] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }
}
