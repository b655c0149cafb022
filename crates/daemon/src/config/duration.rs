//! Durations as Prometheus writes them.

use std::{borrow::Cow, fmt, time::Duration as StdDuration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds in each unit, in the order in which Prometheus wants them.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration in a configuration file: `15s`, `2h`, `1d12h`, `0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub StdDuration);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration; write it as 30s, 10m, 2h, 7d or 1h30m")]
pub struct DurationError(String);

/// Reads a Prometheus duration: numbers with the units y, w, d, h, m, s, ms, largest first, each at
/// most once; or a bare `0`.
///
/// # Errors
/// The text is something else, or is longer than 2^64 milliseconds.
pub fn parse_duration(text: &str) -> Result<StdDuration, DurationError> {
    let error = || DurationError(text.chars().take(40).collect());
    if text == "0" {
        return Ok(StdDuration::ZERO);
    }
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| error())?;
        // `find` moves the iterator on, so a unit that is repeated or out of order is not found.
        let (_, scale) = units.find(|(name, _)| *name == unit).ok_or_else(error)?;
        total = number.checked_mul(*scale).and_then(|ms| total.checked_add(ms)).ok_or_else(error)?;
        rest = tail;
    }
    if text.is_empty() { Err(error()) } else { Ok(StdDuration::from_millis(total)) }
}

/// Writes a duration as Prometheus does: the shortest exact form, `0s` for nothing.
pub fn format_duration(duration: StdDuration) -> String {
    Duration(duration).to_string()
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (name, scale) in UNITS {
            // As in Prometheus, years and weeks only where they say it all: 8d, not 1w1d.
            let exact = matches!(name, "y" | "w") && left % scale != 0;
            if !exact && left >= scale {
                write!(f, "{}{name}", left / scale)?;
                left %= scale;
            }
        }
        Ok(())
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration" })
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 30s, 10m or 7d")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                parse_duration(text).map(Duration).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        let cases = [("0", 0), ("15s", 15_000), ("1h30m", 5_400_000), ("1y2w3d", 33_004_800_000), ("5ms", 5)];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for bad in
            ["", "1", "s", "1.5h", "30m1h", "1m1m", "-5s", " 5s", "5 s", "5S", "9999999999999y", "1h 3m"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn writes_what_prometheus_writes() {
        for text in ["0s", "15s", "1h30m", "8d", "1w", "1y", "1d12h", "1s5ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(ms in 0_u64..=u64::MAX / 4) {
            let duration = StdDuration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
