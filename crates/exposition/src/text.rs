//! Words and lines that both formats share, and the few that differ.

use std::io::Write;

use crate::{Format, Kind};

/// Appends the lines that announce a family. OpenMetrics names a counter's family without `_total`; a
/// counter without that ending (other people's registries have some) is announced as unknown there,
/// so that its series keep one name in both formats.
pub(crate) fn header(out: &mut Vec<u8>, format: Format, name: &str, help: &str, kind: Kind) {
    let (name, kind) = match (format, kind, name.strip_suffix("_total")) {
        (Format::OpenMetrics(_), Kind::Counter, Some(stem)) => (stem, kind.as_openmetrics()),
        (Format::OpenMetrics(_), Kind::Counter, None) => (name, Kind::Unknown.as_openmetrics()),
        (Format::OpenMetrics(_), ..) => (name, kind.as_openmetrics()),
        (Format::Text, ..) => (name, kind.as_text()),
    };
    if !help.is_empty() {
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        escape(out, help, matches!(format, Format::OpenMetrics(_)));
        out.push(b'\n');
    }
    for word in ["# TYPE ", name, " ", kind, "\n"] {
        out.extend_from_slice(word.as_bytes());
    }
}

/// Appends `name{labels} value`, where `labels` is what [`labels`] rendered, without braces.
pub(crate) fn sample(out: &mut Vec<u8>, name: &str, labels: &[u8], value: f64) {
    out.extend_from_slice(name.as_bytes());
    if !labels.is_empty() {
        out.push(b'{');
        out.extend_from_slice(labels);
        out.push(b'}');
    }
    out.push(b' ');
    number(out, value);
    out.push(b'\n');
}

/// Appends `a="1",b="2"`, without braces.
pub(crate) fn labels<'a>(out: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (at, (name, value)) in pairs.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape(out, value, true);
        out.push(b'"');
    }
}

/// Appends `text` with backslash and line feed escaped, and quotation marks where they end a string.
fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\\' | b'\n') || (quotes && *b == b'"')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            _ => b"\\\"",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends the shortest text that reads back as `value`.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    // Counts and whole seconds are most of what is shown, and integers are written faster.
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    let written = if value.is_nan() {
        out.write_all(b"NaN")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if value.fract() == 0.0 && value.abs() < 9e15 && !(value == 0.0 && value.is_sign_negative()) {
        write!(out, "{}", value as i64)
    } else if value == 0.0 || (1e-5..1e21).contains(&value.abs()) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    debug_assert!(written.is_ok(), "a vector takes all that is written");
}

/// Appends a bucket bound or a quantile: OpenMetrics wants `1.0` where the text format has `1`.
pub(crate) fn bound(out: &mut Vec<u8>, format: Format, value: f64) {
    let start = out.len();
    number(out, value);
    let plain = out[start..].iter().all(|b| b.is_ascii_digit() || *b == b'-');
    if matches!(format, Format::OpenMetrics(_)) && plain {
        out.extend_from_slice(b".0");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::negotiate::Version;

    const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (1_790_000_000.25, "1790000000.25"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (1e-9, "1e-9"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(written(|out| number(out, value)), text);
        }
    }

    #[test]
    fn bounds_are_canonical_in_openmetrics() {
        for (value, text, om) in [(5.0, "5", "5.0"), (0.25, "0.25", "0.25"), (f64::INFINITY, "+Inf", "+Inf")]
        {
            assert_eq!(written(|out| bound(out, Format::Text, value)), text);
            assert_eq!(written(|out| bound(out, OPENMETRICS, value)), om);
        }
    }

    #[test]
    fn help_is_escaped_as_each_format_wants() {
        let help = "a \"b\" \\ c\nd";
        assert_eq!(
            written(|out| header(out, Format::Text, "x_total", help, Kind::Counter)),
            "# HELP x_total a \"b\" \\\\ c\\nd\n# TYPE x_total counter\n"
        );
        assert_eq!(
            written(|out| header(out, OPENMETRICS, "x_total", help, Kind::Counter)),
            "# HELP x a \\\"b\\\" \\\\ c\\nd\n# TYPE x counter\n"
        );
        assert_eq!(written(|out| header(out, OPENMETRICS, "x", "", Kind::Counter)), "# TYPE x unknown\n");
    }

    proptest! {
        #[test]
        fn numbers_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let text = written(|out| number(out, value));
            let read: f64 = text.parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{}", text);
        }
    }
}
